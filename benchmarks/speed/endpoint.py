"""How long the callers of a FastAPI program wait while it reads a backfill."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp
import uvicorn
from fastapi import FastAPI

from benchmarks.speed import loops
from benchmarks.speed.chunks import first_days
from benchmarks.speed.measure import percentile
from benchmarks.speed.result import Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import SmappeeClient

_MONTH: Final = first_days(31)
_USUAL: Final = Kind(sessions=2_000, days=31)
#: Far less than the program could serve, so that callers wait for the backfill and not for each other.
_CALLS_A_SECOND: Final = 100


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    rounds, seconds = scale.of(3, quick=1), scale.of(4.0, quick=0.3)
    with serving(_USUAL) as base_url, _running(base_url) as own_url:
        quiet, busy, sessions = asyncio.run(_alternate(own_url, rounds, seconds))
    return [
        Row.of("p50 without a backfill", (percentile(waits, 0.5) * 1e3 for waits in quiet), "ms"),
        Row.of("p99 without a backfill", (percentile(waits, 0.99) * 1e3 for waits in quiet), "ms"),
        Row.of("p50 with a backfill", (percentile(waits, 0.5) * 1e3 for waits in busy), "ms"),
        Row.of("p99 with a backfill", (percentile(waits, 0.99) * 1e3 for waits in busy), "ms"),
        Row("sessions a second that the backfill read meanwhile", sessions / (rounds * seconds), "sessions"),
    ]


# --- the callers ------------------------------------------------------------------------------------------------------


async def _alternate(own_url: str, rounds: int, seconds: float) -> tuple[list[list[float]], list[list[float]], int]:
    """Call without and with a backfill, in turn; returns the waits of each, and how many sessions were read."""
    quiet: list[list[float]] = []
    busy: list[list[float]] = []
    read = 0
    async with aiohttp.ClientSession(own_url) as session:
        await _call(session, 0.2)
        for _ in range(rounds):
            quiet.append(await _call(session, seconds))
            await session.post("/backfill")
            busy.append(await _call(session, seconds))
            async with session.delete("/backfill") as response:
                read += await response.json()
    return quiet, busy, read


async def _call(session: aiohttp.ClientSession, seconds: float) -> list[float]:
    """Call at a steady rate, whether or not earlier calls have ended; returns how many seconds each waited."""
    waits: list[float] = []

    async def call() -> None:
        began_at = time.perf_counter()
        async with session.get("/hello") as response:
            await response.read()
        waits.append(time.perf_counter() - began_at)

    async with asyncio.TaskGroup() as group:
        for _ in range(int(seconds * _CALLS_A_SECOND)):
            group.create_task(call())
            await asyncio.sleep(1 / _CALLS_A_SECOND)
    return waits


# --- the program ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _running(base_url: str) -> Iterator[str]:
    """Run the program in a process of its own while the block lasts; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.speed.endpoint", str(listener.fileno()), base_url]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


class _Backfill:
    """Reads months of parks until it is stopped."""

    def __init__(self, client: SmappeeClient) -> None:
        self.sessions = 0
        self._client = client

    async def run(self) -> None:
        while True:
            async for _ in self._client.sessions(parks(1, 400), _MONTH):
                self.sessions += 1


def _program(base_url: str) -> FastAPI:
    client = loops.connect(base_url)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)
    under_way: list[tuple[_Backfill, asyncio.Task[None]]] = []

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "there"}

    @app.post("/backfill")
    async def start() -> None:
        backfill = _Backfill(client)
        under_way.append((backfill, asyncio.create_task(backfill.run())))

    @app.delete("/backfill")
    async def stop() -> int:
        backfill, task = under_way.pop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return backfill.sessions

    return app


if __name__ == "__main__":
    uvicorn.run(_program(sys.argv[2]), fd=int(sys.argv[1]), log_level="warning", loop="asyncio")
