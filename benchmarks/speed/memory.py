"""The memory of a stream whose consumer is slow: the peak above an idle client, in fresh processes."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

from benchmarks.speed import loops
from benchmarks.speed.chunks import first_days
from benchmarks.speed.process import forget_peak, in_fresh_process, peak_bytes, resident_bytes
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks

_YEAR: Final = first_days(365)
_MIB: Final = 2**20
#: The consumer pauses after so many sessions, so that it is always slower than the service.
_PAUSE_EVERY: Final = 1_000
_PAUSE_S: Final = 0.001


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    busy = Kind(sessions=scale.of(50_000, quick=2_000), days=365)
    few, many = scale.of(20, quick=1), scale.of(80, quick=4)
    with serving(busy) as base_url:
        peaks = {
            count: [in_fresh_process(_peak_above_idle, base_url, count, busy.sessions) / _MIB for _ in range(repeats)]
            for count, repeats in ((few, scale.of(2, quick=1)), (many, 1))
        }
    return [
        *(
            Row.of(f"peak above idle, {count * busy.sessions:,} sessions", found, "MiB", Goal(at_most=48))
            for count, found in peaks.items()
        ),
        Row("peak of four times as many sessions", max(peaks[many]) / max(peaks[few]), goal=Goal(at_most=1.1)),
    ]


def _peak_above_idle(base_url: str, count: int, sessions: int) -> int:
    """In bytes, for so many parks with so many sessions each."""
    return asyncio.run(_stream_slowly(base_url, count, sessions))


async def _stream_slowly(base_url: str, count: int, sessions: int) -> int:
    async with loops.connect(base_url) as client:
        gc.collect()
        idle = resident_bytes()
        forget_peak()
        read = 0
        async for _ in client.sessions(parks(1, count), _YEAR):
            read += 1
            if read % _PAUSE_EVERY == 0:
                await asyncio.sleep(_PAUSE_S)
        assert read == count * sessions
        return peak_bytes() - idle
