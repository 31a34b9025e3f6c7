"""Clients of several processes at one account: what a shared limiter is told, and what it spares the service."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from smappee_async import (
    ChargingSession,
    Limits,
    RateLimited,
    RateLimiterError,
    RedisRateLimiter,
    RetryPolicy,
    SmappeeClient,
    TimeRange,
)
from smappee_async.simulator import Assumptions, Fault, Park, SimulatedClock
from smappee_async.testing import VirtualTimeLoop
from tests.rate_twin import TwinRedis

from .support import Cloud, StartCloud, told

pytestmark = pytest.mark.anyio

PARKS = [1001, 1002]
STORM_S = 30


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Noted:
    """A limiter that a user wrote; it inherits from nothing."""

    def __init__(self) -> None:
        self.acquired = 0
        self.told: list[float | None] = []

    async def acquire(self) -> None:
        self.acquired += 1

    async def throttled(self, retry_after_s: float | None) -> None:
        self.told.append(retry_after_s)


async def test_a_limiter_is_asked_before_each_attempt_and_told_of_each_429(cloud: Cloud) -> None:
    limiter = Noted()
    client = await cloud.connect(limits=Limits(rate=limiter))
    cloud.sim.add_fault(Fault("status", route="info", status=429, retry_after="3", times=1))
    cloud.sim.add_fault(Fault("status", route="info", status=429, times=1))
    cloud.sim.add_fault(Fault("status", route="info", status=503, times=1))

    await client.service_location(1001)

    assert limiter.acquired == 4
    assert limiter.told == [3, None]


async def test_a_limiter_is_told_of_a_429_that_is_raised(cloud: Cloud) -> None:
    limiter = Noted()
    client = await cloud.connect(limits=Limits(rate=limiter), retry=RetryPolicy.none())
    cloud.sim.add_fault(Fault("status", route="info", status=429, retry_after="900"))

    with pytest.raises(RateLimited):
        await client.service_location(1001)

    assert limiter.told == [900]


async def test_a_limiter_that_cannot_say_when_fails_the_call_with_its_facts(cloud: Cloud) -> None:
    redis = TwinRedis()
    redis.is_gone()
    client = await cloud.connect(limits=Limits(rate=limiter_on(redis)))

    with pytest.raises(RateLimiterError, match="could not be reached") as caught:
        await client.service_location(1001)

    assert caught.value.facts.service_location_id == 1001
    assert cloud.sim.hits("info") == 0


async def test_a_stream_goes_on_without_redis_at_the_fallback_rate_and_loses_nothing(cloud: Cloud) -> None:
    redis = TwinRedis()
    limiter = limiter_on(redis, fallback=5)
    client = await cloud.connect(limits=Limits(rate=limiter, target_sessions=3))
    whole = TimeRange.month(2026, 10, tz="UTC")
    sessions: list[ChargingSession] = []
    async for batch in client.sessions(PARKS, whole).batches():
        sessions += batch.sessions
        redis.is_back() if redis.error else redis.is_gone()
    assert told(sessions) == cloud.truth(PARKS, whole)
    await limiter.aclose()


def limiter_on(redis: TwinRedis, **settings: Any) -> RedisRateLimiter:
    client: Any = redis
    return RedisRateLimiter(client, "account", rate=100, **settings)


async def test_at_a_service_that_allows_less_a_shared_rate_spares_it_the_refusals(cloud_of: StartCloud) -> None:
    """Four clients, as of four processes, that want 100 requests a second where 40 are allowed."""
    redis = TwinRedis()
    alone = await storm(cloud_of, [None] * 4)
    shared = await storm(cloud_of, [limiter_on(redis) for _ in range(4)])

    assert alone.refused >= 0.5 * alone.done
    assert shared.refused <= 0.03 * shared.done
    assert shared.done >= 0.6 * 40 * STORM_S


@attrs.frozen
class Storm:
    done: int
    refused: int


async def storm(cloud_of: StartCloud, rates: list[RedisRateLimiter | None]) -> Storm:
    cloud = await cloud_of(
        Park.home(1001),
        clock=SimulatedClock.at("2026-11-01T00:00:00Z"),
        assumptions=Assumptions(requests_per_second=40),
    )
    patient = RetryPolicy(attempts=20)
    clients = [await cloud.connect(limits=Limits(rate=rate), retry=patient) for rate in rates]
    now = asyncio.get_running_loop().time
    until = now() + STORM_S
    done = 0

    async def work(client: SmappeeClient) -> None:
        nonlocal done
        while now() < until:
            await client.service_location(1001)
            done += 1
            await asyncio.sleep(0.05)

    await asyncio.gather(*(work(client) for client in clients for _ in range(8)))
    return Storm(done, cloud.sim.hits("info") - done)
