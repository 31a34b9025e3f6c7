"""What the tests of a copy share."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smappee_async.sync import DEFAULT_TIERS, SyncReport
from smappee_async.sync.run import _Run
from smappee_async.sync.stores.base import SyncStore

from .changing_world import BEGIN_MS, ChangingWorld, Version


def world_of(*lives: Sequence[Version], park: int = 1) -> ChangingWorld:
    """One park whose sessions have these versions; the session's id is that of its first version."""
    return ChangingWorld({park: {life[0].session.id: list(life) for life in lives}})


async def sync_once(world: ChangingWorld, store: SyncStore, since_ms: int = BEGIN_MS) -> SyncReport:
    return await _Run(world, store, since_ms, DEFAULT_TIERS).visit_all(list(world.versions))


def select(path: Path, statement: str) -> list[dict[str, Any]]:
    """Rows, read by a connection of the test's own."""
    connection = sqlite3.connect(path)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement)]
    finally:
        connection.close()


def changes(path: Path) -> list[tuple[int, str, Any, Any]]:
    """The log: id, kind, and the energy before and after."""
    found = []
    for row in select(path, "SELECT * FROM session_changes ORDER BY number"):
        before, after = (None if row[name] is None else json.loads(row[name])["energy"] for name in ("before", "after"))
        found.append((row["id"], row["kind"], before, after))
    return found
