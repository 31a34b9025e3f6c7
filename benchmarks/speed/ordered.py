"""Sessions of many parks in one order: how long it takes, compared with the time that the responses alone take."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import attrs

from benchmarks.speed import loops
from benchmarks.speed.chunks import first_days
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import BEGIN_MS, DAY_MS, Kind, parks
from smappee_async import Limits, TimeRange

_YEARS: Final = {
    "a year": TimeRange.from_ms(BEGIN_MS, BEGIN_MS + 365 * DAY_MS),
    # The first chunks of each are empty.
    "a year, opened after two months": TimeRange.from_ms(BEGIN_MS - 60 * DAY_MS, BEGIN_MS + 305 * DAY_MS),
}
_RESPONSE_S: Final = 0.05
#: Without the requests that verify responses: the planner's part counts these.
_LIMITS: Final = Limits(concurrency=16, verify_from_sessions=None)
#: Of each kind the sessions in the year, and how many parks of 200.
_KINDS: Final = ((365, 150), (3_000, 40), (10_000, 10))


@attrs.frozen
class _Run:
    """One reading of all parks.

    :ivar first_s: seconds to the first session.
    :ivar wall_s: seconds to the last one.
    """

    first_s: float
    wall_s: float
    requests: int

    @property
    def over_ideal(self) -> float:
        """The time divided by that of as many responses, of which ``concurrency`` are always under way."""
        return self.wall_s / (self.requests * _RESPONSE_S / _LIMITS.concurrency)


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    kinds = [Kind(sessions, days=365) for sessions, _ in _KINDS]
    numbers = [park for kind, (_, count) in enumerate(_KINDS, 1) for park in parks(kind, scale.of(count, quick=2))]
    with serving(*kinds, delay_s=_RESPONSE_S) as base_url:
        found = {
            title: [asyncio.run(_read(base_url, numbers, year)) for _ in range(scale.of(5, quick=1))]
            for title, year in _YEARS.items()
        }
    return [row for title, runs in found.items() for row in _rows(f"{len(numbers)} parks x {title}", runs)]


def _rows(world: str, runs: list[_Run]) -> list[Row]:
    title = f'order="start", {world}, 50 ms a response'
    return [
        Row.of(f"{title}: wall ÷ ideal", (each.over_ideal for each in runs), goal=Goal(at_most=1.12)),
        Row.of(f"{title}: first session", (each.first_s for each in runs), "s", Goal(at_most=1.0)),
        Row.of(f"{title}: requests", (float(each.requests) for each in runs), "requests"),
    ]


async def _read(base_url: str, numbers: list[int], year: TimeRange) -> _Run:
    async with loops.connect(base_url, limits=_LIMITS) as client:
        await client.sessions(numbers[:1], first_days(1)).collect()  # logs in
        stream = client.sessions(numbers, year, order="start")
        began_at = time.perf_counter()
        first_s = last_ms = 0.0
        async for session in stream:
            first_s = first_s or time.perf_counter() - began_at
            assert session.from_ms >= last_ms, "the sessions are not in order"
            last_ms = session.from_ms
        return _Run(first_s, time.perf_counter() - began_at, stream.stats.requests)
