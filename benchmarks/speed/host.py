"""What a host program notices: a heartbeat in the same event loop while a million sessions are read.

The goals are for the CPU time of the loop's thread between two beats, because the wall time includes what the machine
did besides.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import uvloop

from benchmarks.speed import loops
from benchmarks.speed.chunks import Chunk, first_days
from benchmarks.speed.heartbeat import Heartbeat, beating
from benchmarks.speed.measure import percentile
from benchmarks.speed.process import in_fresh_process
from benchmarks.speed.readers import pydantic_v2
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks

ResultT = TypeVar("ResultT")

_MONTH: Final = first_days(31)
#: Responses of usual size, and one large one among them.
_USUAL: Final = Kind(sessions=2_000, days=31)
_LARGE: Final = Kind(sessions=50_000, days=31)
#: So many runs have more than 10,000 beats, of which the 99.9th percentile leaves out ten.
_RUNS: Final = 15
#: The objects of a web application with its libraries.
_HOST_OBJECTS: Final = 500_000


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    repeats = range(scale.of(3, quick=1))
    usual, objects = scale.of(475, quick=2), scale.of(_HOST_OBJECTS, quick=5_000)
    with serving(_USUAL, _LARGE) as base_url:
        idle = [in_fresh_process(_idle, scale.of(2.0, quick=0.05)) for _ in repeats]
        runs = range(scale.of(_RUNS, quick=1))
        asyncio_runs = [in_fresh_process(_stream, base_url, usual) for _ in runs]
        uvloop_runs = [in_fresh_process(_stream, base_url, usual, on_uvloop=True) for _ in runs]
        peer = [in_fresh_process(_parse_at_once, base_url) for _ in repeats]
        full = [in_fresh_process(_full_collection, base_url, objects, freeze=False) for _ in repeats]
        frozen = [in_fresh_process(_full_collection, base_url, objects, freeze=True) for _ in repeats]
    sessions = f"{usual * _USUAL.sessions + _LARGE.sessions:,} sessions"
    return [
        *_rows("nothing to do", idle),
        *_rows(sessions, asyncio_runs, Goal(at_most=15), Goal(at_most=5)),
        *_rows(f"{sessions}, uvloop", uvloop_runs, Goal(at_most=15), Goal(at_most=5)),
        *_rows(f"json.loads + pydantic of {_LARGE.sessions:,}", peer),
        Row.of(f"full garbage collection, {objects:,} objects of the host", full, "ms"),
        Row.of(f"full garbage collection, {objects:,} objects, after gc.freeze()", frozen, "ms"),
    ]


def _rows(title: str, runs: Sequence[Heartbeat], worst: Goal | None = None, p999: Goal | None = None) -> list[Row]:
    # Of all runs together, because a thousandth of the beats of one run is too few.
    late_ms = [late_s * 1e3 for each in runs for late_s in each.late_s]
    held_ms = [held_s * 1e3 for each in runs for held_s in each.held_s]
    return [
        Row(f"{title}: worst of {len(held_ms):,} beats, CPU of the loop", max(held_ms), "ms", goal=worst),
        Row(f"{title}: 99.9th percentile, CPU of the loop", percentile(held_ms, 0.999), "ms", goal=p999),
        Row.of(f"{title}: longest stall", (max(each.late_s) * 1e3 for each in runs), "ms"),
        Row(f"{title}: 99.9th percentile, wall", percentile(late_ms, 0.999), "ms"),
    ]


# --- each in a process of its own -------------------------------------------------------------------------------------


def _idle(seconds: float) -> Heartbeat:
    async def main() -> Heartbeat:
        with beating() as heartbeat:
            await asyncio.sleep(seconds)
        return heartbeat

    return asyncio.run(main())


def _stream(base_url: str, usual: int, *, on_uvloop: bool = False) -> Heartbeat:
    async def main() -> Heartbeat:
        numbers = parks(1, usual)
        numbers.insert(usual // 2, parks(2, 1)[0])
        async with loops.connect(base_url) as client:
            await client.sessions(numbers[0], _MONTH).collect()
            with beating() as heartbeat:
                count = 0
                async for _ in client.sessions(numbers, _MONTH):
                    count += 1
        assert count == usual * _USUAL.sessions + _LARGE.sessions
        return heartbeat

    return _run(main, on_uvloop=on_uvloop)


def _run(main: Callable[[], Coroutine[Any, Any, ResultT]], *, on_uvloop: bool) -> ResultT:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if on_uvloop else None) as runner:
        return runner.run(main())


def _full_collection(base_url: str, objects: int, *, freeze: bool) -> float:
    """Milliseconds of a full collection while a client is open, in a host with so many objects of its own."""
    host = [{"number": [number]} for number in range(objects // 2)]
    if freeze:
        gc.collect()
        gc.freeze()

    async def main() -> float:
        async with loops.connect(base_url) as client:
            await client.sessions(parks(1, 1)[0], _MONTH).collect()
            began_at = time.thread_time()
            gc.collect()
            return (time.thread_time() - began_at) * 1e3

    taken_ms = asyncio.run(main())
    assert len(host) == objects // 2
    return taken_ms


def _parse_at_once(base_url: str) -> Heartbeat:
    async def main() -> Heartbeat:
        async with aiohttp.ClientSession() as session:
            with beating() as heartbeat:
                async with session.get(base_url + Chunk(parks(2, 1)[0], _MONTH).path) as response:
                    body = await response.read()
                await asyncio.sleep(0.01)
                sessions = pydantic_v2.read_parsed(json.loads(body))
                await asyncio.sleep(0.01)
        assert len(sessions) == _LARGE.sessions
        return heartbeat

    return asyncio.run(main())
