from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .front import Nginx, Settings

StartNginx = Callable[[str, Settings], Nginx]


@pytest.fixture(scope="session")
def nginx_program() -> str:
    # Debian keeps it where only root's search path looks.
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    if program is None:
        reason = "there is no nginx; on Debian: apt-get install nginx"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture
def start_nginx(nginx_program: str) -> Iterator[StartNginx]:
    """Starts an nginx in front of an origin; ends it after the test."""
    with ExitStack() as stack:

        def start(origin: str, settings: Settings) -> Nginx:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="nginx"))
            nginx = Nginx(nginx_program, Path(place), origin, settings)
            stack.callback(nginx.stop)
            nginx.start()
            return nginx

        yield start
