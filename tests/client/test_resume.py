"""A checkpoint covers what had begun when it was asked for, so that a resumed query finds what began since."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async import Credentials, SessionStream, SmappeeClient, TimeRange
from smappee_async.defaults import CHECKPOINT_MARGIN, CHECKPOINT_MARGIN_WITHOUT_DATE
from smappee_async.simulator import Assumptions, Park, SimulatedClock, SimulatedSession, Simulator, World
from smappee_async.testing import VirtualTimeLoop

from .support import Cloud, StartCloud

pytestmark = pytest.mark.anyio
NOW = "2026-11-01T12:00:00Z"
NOW_MS = SimulatedClock.at(NOW).now_ms
MINUTE = 60_000
OPEN = TimeRange.parse("2026-10-01T00:00Z..")
FUTURE = TimeRange.parse("2026-10-01T00:00Z..2026-12-01T00:00Z")


def session(number: int, start_ms: int, length_ms: int | None = 10 * MINUTE) -> SimulatedSession:
    return SimulatedSession(id=number, start_ms=start_ms, end_ms=None if length_ms is None else start_ms + length_ms)


async def read(stream: SessionStream) -> set[int]:
    async with stream:
        return {each.id async for each in stream}


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize("asked", [OPEN, FUTURE])
@pytest.mark.parametrize("state", ["completed", "active", "all"])
async def test_sessions_that_begin_after_a_checkpoint_are_found(
    cloud_of: StartCloud, asked: TimeRange, state: Any
) -> None:
    """R41."""
    clock = SimulatedClock.at(NOW)
    length_ms = None if state == "active" else 10 * MINUTE
    sessions = [session(number, NOW_MS + number * 30 * MINUTE, length_ms) for number in range(-50, 51)]
    cloud = await cloud_of(Park.fixed(1004, sessions), clock=clock)
    client = await cloud.connect()
    first = client.sessions(1004, asked, state=state)
    found = await read(first)
    clock.move(timedelta(days=2))

    found |= await read(client.sessions(1004, asked, state=state, resume=first.checkpoint()))

    assert found == set(range(-50, 51))


async def test_what_had_ended_before_is_not_asked_for_again(cloud_of: StartCloud) -> None:
    clock = SimulatedClock.at(NOW)
    cloud = await cloud_of(Park.fixed(1004, [session(1, NOW_MS - 600 * MINUTE)]), clock=clock)
    client = await cloud.connect()
    first = client.sessions(1004, OPEN)
    await read(first)
    cloud.sim.reset_log()

    await read(client.sessions(1004, OPEN, resume=first.checkpoint()))

    (asked,) = [each for each in cloud.sim.requests if each.route == "park_sessions"]
    assert asked.start_ms is not None
    assert 0 <= NOW_MS - asked.start_ms - CHECKPOINT_MARGIN // timedelta(milliseconds=1) <= 2_000


async def test_a_range_that_has_ended_is_read_for_good(cloud: Cloud) -> None:
    client = await cloud.connect()
    march = TimeRange.month(2026, 3, tz="UTC")
    first = client.sessions(1001, march)
    await read(first)

    assert first.checkpoint()["read"] == {"park:1001": [[march.start_ms, march.end_ms]]}


async def test_without_a_date_the_margin_is_larger_because_this_clock_may_be_wrong(cloud_of: StartCloud) -> None:
    clock = SimulatedClock.at(NOW)
    cloud = await cloud_of(Park.fixed(1004, []), clock=clock, assumptions=Assumptions(sends_date=False))
    client = await cloud.connect()
    since = TimeRange.last(days=7)
    first = client.sessions(1004, since)
    await read(first)

    read_so_far: Any = first.checkpoint()["read"]
    ((_, end_ms),) = read_so_far["park:1004"]
    ago = TimeRange.last(hours=1).start_ms + 60 * MINUTE - end_ms
    assert ago >= CHECKPOINT_MARGIN_WITHOUT_DATE // timedelta(milliseconds=1)


async def test_a_range_that_begins_in_the_future_is_not_in_a_checkpoint(cloud_of: StartCloud) -> None:
    cloud = await cloud_of(Park.fixed(1004, []), clock=SimulatedClock.at(NOW))
    client = await cloud.connect()
    first = client.sessions(1004, TimeRange.parse("2026-11-05..2026-11-06"))

    await read(first)

    assert first.checkpoint()["read"] == {}


@settings(max_examples=25)
@given(
    starts=st.lists(st.integers(0, 7 * 24 * 60), min_size=1, max_size=25, unique=True),
    visits=st.lists(st.integers(1, 36 * 60), min_size=1, max_size=5),
    asked=st.sampled_from([OPEN, FUTURE]),
)
async def test_nothing_that_began_is_missed_whenever_a_query_is_resumed(
    starts: list[int], visits: list[int], asked: TimeRange
) -> None:
    """R41: for any interleaving of sessions that begin and queries that are resumed."""
    sessions = [session(number, NOW_MS + start * MINUTE, 1000) for number, start in enumerate(starts)]
    clock = SimulatedClock.at(NOW)
    async with Simulator(World.of([Park.fixed(1004, sessions)]), clock=clock) as sim, client_of(sim) as client:
        found: set[int] = set()
        checkpoint = None
        for minutes in [*visits, 8 * 24 * 60]:
            clock.move(timedelta(minutes=minutes))
            stream = client.sessions(1004, asked, resume=checkpoint)
            found |= await read(stream)
            checkpoint = stream.checkpoint()
    assert found == set(range(len(starts)))


def client_of(sim: Simulator) -> SmappeeClient:
    account = sim.account
    return SmappeeClient(
        Credentials(account.client_id, account.client_secret, account.username, account.password), base_url=sim.base_url
    )
