"""What a host program notices: a heartbeat in the same event loop while a million sessions are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import aiohttp

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

_MONTH: Final = first_days(31)
#: Responses of usual size, and one large one among them.
_USUAL: Final = Kind(sessions=2_000, days=31)
_LARGE: Final = Kind(sessions=50_000, days=31)


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    repeats = range(scale.of(3, quick=1))
    usual = scale.of(475, quick=2)
    with serving(_USUAL, _LARGE) as base_url:
        idle = [in_fresh_process(_idle, scale.of(2.0, quick=0.05)) for _ in repeats]
        stream = [in_fresh_process(_stream, base_url, usual) for _ in repeats]
        peer = [in_fresh_process(_parse_at_once, base_url) for _ in repeats]
    sessions = usual * _USUAL.sessions + _LARGE.sessions
    return [
        *_rows("nothing to do", idle),
        *_rows(f"{sessions:,} sessions", stream, Goal(at_most=25), Goal(at_most=5)),
        *_rows(f"json.loads + pydantic of {_LARGE.sessions:,}", peer),
    ]


def _rows(title: str, runs: Sequence[Heartbeat], stall: Goal | None = None, p999: Goal | None = None) -> list[Row]:
    # Of all runs together, because a thousandth of the beats of one run is too few.
    late_ms = [late_s * 1e3 for each in runs for late_s in each.late_s]
    held_ms = [held_s * 1e3 for each in runs for held_s in each.held_s]
    return [
        Row.of(f"{title}: longest stall", (each.longest_stall_s * 1e3 for each in runs), "ms", stall),
        Row.of(f"{title}: longest stall, CPU of the loop", (each.longest_held_s * 1e3 for each in runs), "ms"),
        Row(f"{title}: 99.9th percentile of {len(late_ms):,}", percentile(late_ms, 0.999), "ms", goal=p999),
        Row(f"{title}: 99.9th percentile, CPU of the loop", percentile(held_ms, 0.999), "ms"),
    ]


# --- each in a process of its own -------------------------------------------------------------------------------------


def _idle(seconds: float) -> Heartbeat:
    async def main() -> Heartbeat:
        with beating() as heartbeat:
            await asyncio.sleep(seconds)
        return heartbeat

    return asyncio.run(main())


def _stream(base_url: str, usual: int) -> Heartbeat:
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

    return asyncio.run(main())


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
