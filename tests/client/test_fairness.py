"""Streams of one client share its permits: none is kept waiting behind another for long. On virtual time."""

from __future__ import annotations

import asyncio

import pytest

from smappee_async import Limits, SmappeeClient, TimeRange
from smappee_async.simulator import Park, SimulatedClock
from smappee_async.testing import VirtualTimeLoop

from .support import Cloud, StartCloud, told

pytestmark = pytest.mark.anyio

MONTH = TimeRange.month(2026, 3, tz="UTC")
YEAR = TimeRange.year(2025, tz="UTC")
LATENCY_S = 100.0
"""So long that nothing else counts, and below the time-out of an attempt that is set here."""
# Without the requests that verify a response, so that a small query is one request.
LIMITS = Limits(
    concurrency=4, attempt_timeout_s=10_000, read_timeout_s=10_000, target_sessions=50, verify_from_sessions=None
)
HUBS = range(2001, 2009)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def slow_cloud(cloud_of: StartCloud) -> Cloud:
    """Each response takes the same long time."""
    cloud = await cloud_of(
        Park.home(1001),
        *(Park.hub(number, sessions_per_day=20) for number in HUBS),
        clock=SimulatedClock.at("2026-11-01T00:00:00Z"),
    )
    cloud.sim.latency_s = LATENCY_S
    return cloud


def now() -> float:
    return asyncio.get_running_loop().time()


async def logged_in(cloud: Cloud) -> SmappeeClient:
    client = await cloud.connect(limits=LIMITS)
    await client.service_location(1001)
    return client


@pytest.mark.parametrize("begins_after", [0.0, 0.5, 1.25])
async def test_a_small_query_beside_a_backfill_waits_for_one_response(slow_cloud: Cloud, begins_after: float) -> None:
    client = await logged_in(slow_cloud)
    async with client.sessions(HUBS, YEAR) as backfill:
        batches = backfill.batches()
        reading = asyncio.ensure_future(anext(batches))  # its chunks take every permit
        await asyncio.sleep(begins_after * LATENCY_S)
        began_at = now()

        sessions = await client.sessions(1001, MONTH).collect()

        waited_s = now() - began_at - LATENCY_S  # its own response
        assert waited_s <= 1.1 * LATENCY_S
        assert told(sessions) == slow_cloud.truth([1001], MONTH)
        await reading


async def test_many_streams_at_once_come_whole_and_in_the_least_time(slow_cloud: Cloud) -> None:
    client = await logged_in(slow_cloud)
    streams = 100
    ended: list[float] = []
    began_at = now()

    async def read() -> list[tuple[int, str]]:
        sessions = await client.sessions(1001, MONTH).collect()
        ended.append(now() - began_at)
        return told(sessions)

    results = await asyncio.gather(*(read() for _ in range(streams)))

    truth = slow_cloud.truth([1001], MONTH)
    assert truth
    assert results == [truth] * streams
    rounds = [-(-number // LIMITS.concurrency) for number in range(1, streams + 1)]
    for number, (ended_s, round_) in enumerate(zip(ended, rounds, strict=True)):
        assert ended_s == pytest.approx(round_ * LATENCY_S, abs=0.1 * LATENCY_S), number
