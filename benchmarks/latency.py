"""Against a service that takes 50 ms a response: how close to the ideal, and how soon the first session is out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import aiohttp

from benchmarks import asking
from benchmarks.asking import Question
from benchmarks.result import Goal, Row
from benchmarks.scale import Scale
from benchmarks.server import serving
from benchmarks.world import Kind, parks
from smappee_async import Limits, SmappeeClient
from smappee_async.query.session_query import Order

_ANSWER_S: Final = 0.05
_YEAR: Final = asking.first_days(365)
_MONTH: Final = asking.first_days(31)
#: Thirty sessions a month, and responses of about as many: each park's year is some twelve requests.
_LIMITS: Final = Limits(concurrency=16, target_sessions=30)
_YEARLY: Final = Kind(sessions=365, days=365)
_MONTHLY: Final = Kind(sessions=500, days=31)


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    with serving(_YEARLY, _MONTHLY, delay_s=_ANSWER_S) as base_url:
        return asyncio.run(_run(base_url, scale))


async def _run(base_url: str, scale: Scale) -> list[Row]:
    async with asking.connect(base_url, limits=_LIMITS) as client, aiohttp.ClientSession() as session:
        return [
            *await _whole(client, "arrival", scale.of(2, quick=1), Goal(at_most=1.1), scale),
            *await _whole(client, "start", 1, None, scale),
            await _first(client, session, base_url, scale),
        ]


async def _whole(client: SmappeeClient, order: Order, repeats: int, goal: Goal | None, scale: Scale) -> list[Row]:
    """How long many parks take as a whole."""
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
        ratios.append(wall_s / (requests * _ANSWER_S / _LIMITS.concurrency))
    title = f"{len(numbers)} parks, a year, order={order}"
    return [
        Row(f"{title}: requests", requests, "requests"),
        Row.of(f"{title}: wall ÷ ideal", ratios, goal=goal),
    ]


async def _first(client: SmappeeClient, session: aiohttp.ClientSession, base_url: str, scale: Scale) -> Row:
    """How soon the first session is out, beside how soon a bare request has its response."""
    park = parks(2, 1)[0]
    ratios: list[float] = []
    for number in range(scale.of(21, quick=2) + 1):
        out_s = await _timed(partial(_first_session, client, park))
        answered_s = await _timed(partial(_bare, session, base_url, park))
        if number:
            ratios.append(out_s / answered_s)
    return Row.of("first session out ÷ a bare request's response", ratios, goal=Goal(at_most=1.2))


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began_at = time.perf_counter()
    await work()
    return time.perf_counter() - began_at


async def _first_session(client: SmappeeClient, park: int) -> None:
    await anext(client.sessions(park, _MONTH))


async def _bare(session: aiohttp.ClientSession, base_url: str, park: int) -> None:
    async with session.get(base_url + Question(park, _MONTH).path) as response:
        await response.read()
