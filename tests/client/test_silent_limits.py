"""Limits that the service does not tell, and ranges that it does not keep to, over HTTP on the simulator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from smappee_async import ClientEvent, ResponseDecodeError, TimeRange
from smappee_async.simulator import Assumptions, Park, SimulatedClock, SimulatedSession

from .support import Cloud, StartCloud, told

pytestmark = pytest.mark.anyio

MARCH = TimeRange.month(2026, 3, tz="UTC")
PARKS = [1001, 1002, 1003]


async def start(cloud_of: StartCloud, **assumptions: Any) -> Cloud:
    return await cloud_of(
        Park.home(1001),
        Park.office(1002),
        Park.hub(1003, sessions_per_day=60),
        clock=SimulatedClock.at("2026-11-01T00:00:00Z"),
        assumptions=Assumptions(**assumptions),
    )


@pytest.mark.parametrize("keeps", ["first", "newest", "oldest"])
@pytest.mark.parametrize(
    "limit",
    [
        {"session_limit": 20},
        {"session_limit": 99},
        {"session_limit_by_park": {1001: 21, 1003: 500}},
        {"size_limit_bytes": 60_000},
        {"size_limit_bytes": 300_000},
    ],
    ids=str,
)
async def test_a_silent_limit_loses_nothing(cloud_of: StartCloud, limit: dict[str, Any], keeps: str) -> None:
    """R42."""
    cloud = await start(cloud_of, **limit, limit_keeps=keeps)
    client = await cloud.connect()

    sessions = await client.sessions(PARKS, MARCH).collect()

    assert told(sessions) == cloud.truth(PARKS, MARCH)


async def test_a_park_that_grows_while_it_is_verified_costs_few_requests_ever_after(cloud_of: StartCloud) -> None:
    """R43."""
    clock = SimulatedClock.at("2026-03-20T12:00:00Z")
    day = TimeRange.last(days=30, now=clock.now)
    ended = [
        SimulatedSession(
            id=number, start_ms=day.start_ms + number * 2_400_000, end_ms=clock.now_ms + (number - 500) * 100
        )
        for number in range(1, 1_001)
    ]
    cloud = await cloud_of(Park.fixed(1004, ended), clock=clock)

    def go_on(event: ClientEvent) -> None:
        if event.kind == "attempt_ended":
            clock.move(timedelta(seconds=1))

    client = await cloud.connect(on_event=go_on)
    await client.sessions(1004, day).collect()
    cloud.sim.reset_log()

    sessions = await client.sessions(1004, day).collect()

    assert len(sessions) > 500
    assert cloud.sim.hits() <= 5


async def test_a_service_that_ignores_the_end_of_a_range_takes_few_requests(cloud_of: StartCloud) -> None:
    """R43."""
    cloud = await start(cloud_of, range_filter="start_only")
    client = await cloud.connect()
    year = TimeRange.year(2025, tz="UTC")

    sessions = await client.sessions(PARKS, year).collect()

    assert told(sessions) == cloud.truth(PARKS, year)
    assert cloud.sim.hits("park_sessions") <= 18


async def test_the_error_says_that_the_service_ignores_the_range(cloud_of: StartCloud) -> None:
    """R43."""
    cloud = await start(cloud_of, range_filter="ignored")
    client = await cloud.connect()

    with pytest.raises(ResponseDecodeError, match="the service ignores the range"):
        await client.sessions(PARKS, MARCH).collect()
