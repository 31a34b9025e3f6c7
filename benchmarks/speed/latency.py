"""A service that takes 50 ms for each response: the total time beside the ideal, and the time to the first session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import aiohttp

from benchmarks.speed import loops
from benchmarks.speed.chunks import Chunk, first_days
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import Limits, SmappeeClient
from smappee_async.query.session_query import Order

_RESPONSE_S: Final = 0.05
_YEAR: Final = first_days(365)
_MONTH: Final = first_days(31)
#: Parks with thirty sessions a month, and responses of about as many: some twelve requests for a year of a park.
_LIMITS: Final = Limits(concurrency=16, target_sessions=30)
_YEARLY: Final = Kind(sessions=365, days=365)
_MONTHLY: Final = Kind(sessions=500, days=31)


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    with serving(_YEARLY, _MONTHLY, delay_s=_RESPONSE_S) as base_url:
        return asyncio.run(_run(base_url, scale))


async def _run(base_url: str, scale: Scale) -> list[Row]:
    async with loops.connect(base_url, limits=_LIMITS) as client, aiohttp.ClientSession() as session:
        return [
            *await _whole(client, "arrival", scale.of(2, quick=1), Goal(at_most=1.1), scale),
            *await _whole(client, "start", 1, None, scale),
            await _first(client, session, base_url, scale),
        ]


async def _whole(client: SmappeeClient, order: Order, repeats: int, goal: Goal | None, scale: Scale) -> list[Row]:
    """The time for many parks, divided by the least that so many requests can take."""
    numbers = parks(1, scale.of(200, quick=16))
    ratios: list[float] = []
    requests = 0
    for _ in range(repeats):
        began_at = time.perf_counter()
        stream = client.sessions(numbers, _YEAR, order=order)
        count = 0
        async for _ in stream:
            count += 1
        wall_s = time.perf_counter() - began_at
        assert count == _YEARLY.sessions * len(numbers)
        requests = stream.stats.requests
        ratios.append(wall_s / (requests * _RESPONSE_S / _LIMITS.concurrency))
    title = f"{len(numbers)} parks, a year, order={order}"
    return [
        Row(f"{title}: requests", requests, "requests"),
        Row.of(f"{title}: wall ÷ ideal", ratios, goal=goal),
    ]


async def _first(client: SmappeeClient, session: aiohttp.ClientSession, base_url: str, scale: Scale) -> Row:
    """The time to the first session, divided by the time of a bare request."""
    park = parks(2, 1)[0]
    ratios: list[float] = []
    for number in range(scale.of(21, quick=2) + 1):
        out_s = await _timed(partial(_first_session, client, park))
        bare_s = await _timed(partial(_bare, session, base_url, park))
        if number:
            ratios.append(out_s / bare_s)
    return Row.of("first session out ÷ a bare request's response", ratios, goal=Goal(at_most=1.2))


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began_at = time.perf_counter()
    await work()
    return time.perf_counter() - began_at


async def _first_session(client: SmappeeClient, park: int) -> None:
    await anext(client.sessions(park, _MONTH))


async def _bare(session: aiohttp.ClientSession, base_url: str, park: int) -> None:
    async with session.get(base_url + Chunk(park, _MONTH).path) as response:
        await response.read()
