from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .postgresql_server import Database, new_database, running_server


@pytest.fixture(scope="session")
def postgresql_place() -> Iterator[Path]:
    """A PostgreSQL server for these tests only, on a socket file, ended afterwards."""
    with running_server() as place:
        yield place


@pytest.fixture
def database(postgresql_place: Path) -> Iterator[Database]:
    with new_database(postgresql_place) as made:
        yield made
