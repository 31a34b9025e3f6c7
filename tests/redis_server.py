"""A Redis server for tests only, on a socket file, ended afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Self

import pytest
import redis
import redis.utils


class RedisServer:
    """A server that can be killed and started again; nothing is kept in between."""

    def __init__(self, place: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            reason = "there is no redis-server; on Debian: apt-get install redis-server"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        self._socket = Path(place, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no", "--dir", place]
        self._command = [program, *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + 10
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                pytest.fail("redis-server did not start")
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@pytest.fixture(scope="session")
def _redis_knows_its_version() -> Iterator[None]:
    """redis-py reads its own version from disk for each new connection. These tests must not report that as our fault."""
    with pytest.MonkeyPatch.context() as patch:
        version = metadata.version("redis")
        patch.setattr(redis.utils, "get_lib_version", lambda: version)
        yield


@pytest.fixture(scope="session")
def _shared_redis(_redis_knows_its_version: None) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis") as place, RedisServer(place) as server:
        yield server


@pytest.fixture
def redis_url(_shared_redis: RedisServer) -> str:
    """A server that many tests use, one after another; it is empty at the start of each."""
    with redis.Redis.from_url(_shared_redis.url) as client:
        client.flushall()
    return _shared_redis.url


@pytest.fixture
def own_redis(_redis_knows_its_version: None) -> Iterator[RedisServer]:
    """A server for one test, which may kill it."""
    with tempfile.TemporaryDirectory(prefix="redis") as place, RedisServer(place) as server:
        yield server
