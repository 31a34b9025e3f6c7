from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
import redis.utils

from smappee_async import TokenStoreError, defaults

from .support import Stage


@pytest.fixture
async def stage(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(defaults, "SAVE_RETRY_S", 0.001)
    monkeypatch.setattr(defaults, "SAVE_RETRY_MAX_S", 0.004)
    stage = Stage()
    yield stage
    stage.service.meanwhile = None
    for manager in stage.managers:
        with suppress(TokenStoreError):
            await manager.aclose()


@pytest.fixture(scope="session")
def _redis_knows_its_version() -> Iterator[None]:
    """redis-py reads its own version from disk for each new connection. These tests must not report that as our fault."""
    with pytest.MonkeyPatch.context() as patch:
        version = metadata.version("redis")
        patch.setattr(redis.utils, "get_lib_version", lambda: version)
        yield


@pytest.fixture(scope="session")
def redis_url(_redis_knows_its_version: None) -> Iterator[str]:
    """A Redis server for these tests only, on a socket file, ended afterwards."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "there is no redis-server; on Debian: apt-get install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="redis") as place:
        socket = Path(place, "redis.sock")
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", place],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            give_up_at = time.monotonic() + 10
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > give_up_at:
                    pytest.fail("redis-server did not start")
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait()
