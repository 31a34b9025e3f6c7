"""A Redis server for one run, on a socket file, which can be killed and started again."""

# ruff: noqa: ASYNC110 - whether a program is ready can only be polled

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

_START_S: Final = 30.0


class RedisServer:
    """A server that keeps nothing when it ends."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("there is no redis-server; on Debian: apt-get install redis-server")
        self._socket = directory / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._command = [program, *options, "--dir", str(directory)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Begin to serve."""
        self._process = await asyncio.to_thread(subprocess.Popen, self._command, stdout=subprocess.DEVNULL)
        async with asyncio.timeout(_START_S):
            while not await asyncio.to_thread(self._socket.exists):
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End at once."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None
            await asyncio.to_thread(self._socket.unlink, missing_ok=True)


@contextlib.asynccontextmanager
async def redis_server(directory: Path) -> AsyncIterator[RedisServer]:
    """Run a server while the block lasts."""
    server = RedisServer(directory)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
