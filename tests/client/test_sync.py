"""A copy that is kept with a client, over HTTP on the simulator, in an SQLite file."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smappee_async import ConfigurationError, NotFound
from smappee_async.simulator import Park, SimulatedClock
from smappee_async.sync import Commit, sync

from .support import Cloud, StartCloud

pytestmark = pytest.mark.anyio

SINCE = datetime(2026, 9, 1, tzinfo=UTC)


def copied(path: Path) -> dict[tuple[int, int], str]:
    connection = sqlite3.connect(path)
    try:
        return {
            (park, number): status
            for park, number, status in connection.execute("SELECT service_location_id, id, status FROM sessions")
        }
    finally:
        connection.close()


def listed(cloud: Cloud, parks: list[int]) -> set[tuple[int, int]]:
    start_ms = int(SINCE.timestamp() * 1000)
    return {(park, each.id) for park in parks for each in cloud.sim.ledger.sessions(park, start_ms, None, "all")}


@pytest.fixture
async def city(cloud_of: StartCloud) -> Cloud:
    return await cloud_of(
        Park.home(1001),
        Park.office(1002),
        Park.hub(1003, sessions_per_day=20),
        clock=SimulatedClock.at("2026-11-01T00:00:00Z"),
    )


async def test_a_copy_follows_the_service(city: Cloud, tmp_path: Path) -> None:
    path, parks = tmp_path / "sessions.db", [1001, 1002, 1003]
    client = await city.connect()
    for _ in range(4):
        report = await sync(client, parks, to=f"sqlite:///{path}", since=SINCE)
        assert (report.parks, report.failures, report.superseded) == (3, (), 0)
        assert copied(path).keys() == listed(city, parks)
        city.sim.clock.move(timedelta(hours=7))
    assert "CHARGING" in copied(path).values()


async def test_a_sync_takes_two_requests_a_park_if_nothing_else_is_due(city: Cloud, tmp_path: Path) -> None:
    client = await city.connect()
    reports = [
        await sync(client, [1001, 1002, 1003], to=f"sqlite:///{tmp_path / 'copy.db'}", since=SINCE) for _ in range(3)
    ]
    # The second one has the largest responses so far, which are verified.
    assert reports[2].requests == 2 * 3


async def test_a_session_that_ended_is_ended_in_the_copy(city: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    client = await city.connect()
    await sync(client, [1002], to=f"sqlite:///{path}", since=SINCE)
    ran = {number for (_, number), status in copied(path).items() if status != "STOPPED"}
    city.sim.clock.move(timedelta(days=9))

    report = await sync(client, [1002], to=f"sqlite:///{path}", since=SINCE)

    assert report.ended >= len(ran)
    assert {copied(path)[1002, number] for number in ran} <= {"STOPPED"}


async def test_a_park_that_the_account_does_not_see_is_a_failure_of_that_park(city: Cloud, tmp_path: Path) -> None:
    client = await city.connect()

    report = await sync(client, [1001, 4711], to=f"sqlite:///{tmp_path / 'sessions.db'}", since=SINCE)

    assert report.parks == 1
    assert [failure.service_location_id for failure in report.failures] == [4711]
    assert isinstance(report.failures[0].error, NotFound)


async def test_an_unknown_place_is_refused_before_anything_is_sent(city: Cloud) -> None:
    client = await city.connect()
    with pytest.raises(ConfigurationError, match="URL"):
        await sync(client, [1001], to="mysql://localhost", since=SINCE)
    assert city.sim.hits() == 0


async def test_a_coroutine_function_keeps_a_copy_with_the_state_in_a_file(city: Cloud, tmp_path: Path) -> None:
    client, state, got = await city.connect(), f"sqlite:///{tmp_path / 'state.db'}", list[int]()

    async def save(commit: Commit) -> None:
        got.extend(change.id for change in commit.changes)

    first = await sync(client, [1002], to=save, state=state, since=SINCE)
    second = await sync(client, [1002], to=save, state=state, since=SINCE)

    assert {(1002, number) for number in got} == listed(city, [1002])
    assert (first.new, second.new, second.changed) == (len(got), 0, 0)


async def test_a_coroutine_function_without_a_state_is_refused_with_advice(city: Cloud) -> None:
    async def save(commit: Commit) -> None: ...

    with pytest.raises(ConfigurationError, match=r"state\.db"):
        await sync(await city.connect(), 1002, to=save, since=SINCE)


async def test_a_state_without_a_coroutine_function_is_refused_with_advice(city: Cloud) -> None:
    with pytest.raises(ConfigurationError, match="Leave state= out"):
        await sync(await city.connect(), 1002, to="sqlite:///a.db", state="sqlite:///b.db", since=SINCE)
