"""A web backend: a thousand streams at once on one client, and a small query beside a running backfill."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import Final

import attrs

from benchmarks.speed import loops
from benchmarks.speed.chunks import first_days
from benchmarks.speed.process import in_fresh_process
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import SmappeeClient
from smappee_async.defaults import CONCURRENCY

_RESPONSE_S: Final = 0.02
_MONTH: Final = first_days(31)
_YEAR: Final = first_days(365)
_SMALL: Final = Kind(sessions=30, days=31)
_BUSY: Final = Kind(sessions=50_000, days=365)
_KIB: Final = 1024


@attrs.frozen
class _AtOnce:
    """What so many streams took, in seconds and bytes."""

    first_s: float
    last_s: float
    peak_bytes: int


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    streams, repeats = scale.of(1_000, quick=20), range(scale.of(3, quick=1))
    with serving(_SMALL, _BUSY, delay_s=_RESPONSE_S) as base_url:
        found = [in_fresh_process(_at_once, base_url, streams, traced=False) for _ in repeats]
        traced = in_fresh_process(_at_once, base_url, streams, traced=True)
        waits = [in_fresh_process(_beside_backfill, base_url, scale.of(30, quick=2)) for _ in repeats]
    ideal_s = streams * _RESPONSE_S / CONCURRENCY
    title = f"{streams:,} streams at once"
    return [
        Row.of(f"{title}: first session ÷ a response", (each.first_s / _RESPONSE_S for each in found)),
        Row.of(f"{title}: last session ÷ ideal", (each.last_s / ideal_s for each in found)),
        Row(f"{title}: memory a stream, KiB", traced.peak_bytes / streams / _KIB, ""),
        Row.of("small query beside a backfill ÷ a response", waits, goal=Goal(at_most=3)),
    ]


def _at_once(base_url: str, streams: int, *, traced: bool) -> _AtOnce:
    """All streams begin together; each is of one park and one response."""

    async def main() -> _AtOnce:
        async with loops.connect(base_url) as client:
            await client.sessions(parks(1, 1), _MONTH).collect()
            before = 0
            if traced:
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
            firsts: list[float] = []
            began_at = time.perf_counter()

            async def one(park: int) -> int:
                count = 0
                async for _ in client.sessions(park, _MONTH):
                    if not count:
                        firsts.append(time.perf_counter() - began_at)
                    count += 1
                return count

            counts = await asyncio.gather(*map(one, parks(1, streams)))
            last_s = time.perf_counter() - began_at
            assert counts == [_SMALL.sessions] * streams
            peak = tracemalloc.get_traced_memory()[1] - before if traced else 0
            return _AtOnce(min(firsts), last_s, peak)

    return asyncio.run(main())


def _beside_backfill(base_url: str, queries: int) -> float:
    """The median time of a small query while a backfill keeps all places busy, divided by the time of a response."""

    async def main() -> float:
        async with loops.connect(base_url) as client:
            await client.sessions(parks(1, 1), _MONTH).collect()
            backfill = asyncio.create_task(_read_on(client))
            taken: list[float] = []
            for _ in range(queries):
                await asyncio.sleep(_RESPONSE_S)
                began_at = time.perf_counter()
                await client.sessions(parks(1, 1)[0], _MONTH).collect()
                taken.append(time.perf_counter() - began_at)
            assert not backfill.done()
            backfill.cancel()
            await asyncio.wait([backfill])
            return sorted(taken)[len(taken) // 2] / _RESPONSE_S

    return asyncio.run(main())


async def _read_on(client: SmappeeClient) -> None:
    async with client.sessions(parks(2, 200), _YEAR) as stream:
        async for _ in stream.batches():
            pass
