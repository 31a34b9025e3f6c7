"""Visits of parks: what is written, what is logged, and what is left as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from smappee_async import NotFound, SessionStatus
from smappee_async.sync import SqliteStore
from smappee_async.sync.stores.base import Commit

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, by_chance, session
from .support import changes, select, sync_once, world_of

pytestmark = pytest.mark.anyio

START_MS = BEGIN_MS + 10 * DAY_MS
RUNNING = attrs.evolve(session(7, START_MS), service_location_id=1)
ENDED = attrs.evolve(RUNNING, status=SessionStatus.STOPPED, to_ms=START_MS + HOUR_MS, energy=20.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


@pytest.fixture
async def store(anyio_backend: object, path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path) as opened:
        yield opened


async def synced(world: ChangingWorld, store: SqliteStore, *at_ms: int) -> None:
    for each in at_ms:
        world.now_ms = each
        await sync_once(world, store)


async def test_the_first_reading_is_the_whole_history_and_logs_what_runs(store: SqliteStore, path: Path) -> None:
    world = by_chance(3, parks=2, days=200)
    world.now_ms = BEGIN_MS + 150 * DAY_MS

    report = await sync_once(world, store)

    listed = sum(len(world.listing(park, each)) for park in (1, 2) for each in ("active", "completed"))
    assert report.new == listed == select(path, "SELECT count(*) AS n FROM sessions")[0]["n"]
    running = {each.id for park in (1, 2) for each in world.listing(park, "active")}
    assert {(number, kind) for number, kind, _, _ in changes(path)} == {(number, "started") for number in running}
    assert running


async def test_a_session_that_runs_and_ends_is_logged_with_what_was_and_what_is(store: SqliteStore, path: Path) -> None:
    world = world_of([Version(START_MS, "active", RUNNING), Version(START_MS + HOUR_MS, "completed", ENDED)])

    await synced(world, store, START_MS - DAY_MS, START_MS + 10, START_MS + 2 * HOUR_MS, START_MS + 3 * HOUR_MS)

    assert changes(path) == [(7, "started", None, 10.0), (7, "ended", 10.0, 20.0)]


async def test_a_correction_weeks_later_is_found_and_logged(store: SqliteStore, path: Path) -> None:
    corrected = attrs.evolve(ENDED, energy=21.0)
    late_ms = START_MS + 30 * DAY_MS
    world = world_of([Version(START_MS + HOUR_MS, "completed", ENDED), Version(late_ms, "completed", corrected)])

    await synced(world, store, *range(START_MS, late_ms + 9 * DAY_MS, 6 * HOUR_MS))

    assert changes(path) == [(7, "ended", None, 20.0), (7, "corrected", 20.0, 21.0)]


async def test_a_session_that_was_plugged_in_for_weeks_is_completed_at_the_next_sync(
    store: SqliteStore, path: Path
) -> None:
    end_ms = START_MS + 30 * DAY_MS
    ended = attrs.evolve(ENDED, to_ms=end_ms)
    world = world_of([Version(START_MS, "active", RUNNING), Version(end_ms, "completed", ended)])

    await synced(world, store, START_MS - DAY_MS, START_MS + 1, end_ms - 1, end_ms + HOUR_MS)

    assert changes(path)[-1] == (7, "ended", 10.0, 20.0)


async def test_a_removed_session_stays_with_the_time_of_its_removal_and_may_return(
    store: SqliteStore, path: Path
) -> None:
    gone_ms, back_ms = START_MS + 2 * HOUR_MS, START_MS + 20 * HOUR_MS
    world = world_of(
        [
            Version(START_MS + HOUR_MS, "completed", ENDED),
            Version(gone_ms, None, ENDED),
            Version(back_ms, "completed", ENDED),
        ]
    )

    await synced(world, store, START_MS - DAY_MS, START_MS + HOUR_MS, gone_ms, gone_ms + 2 * HOUR_MS)
    removed = select(path, "SELECT vanished_at FROM sessions")[0]["vanished_at"]
    await synced(world, store, back_ms)

    assert removed == "2026-01-11T03:58:00.000Z"
    assert [kind for _, kind, _, _ in changes(path)] == ["ended", "vanished", "returned"]
    assert select(path, "SELECT vanished_at FROM sessions")[0]["vanished_at"] is None


async def test_unchanged_sessions_are_not_written(store: SqliteStore, path: Path) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    await synced(world, store, START_MS + HOUR_MS)
    stamp = select(path, "SELECT changed_at FROM sessions")

    world.now_ms += HOUR_MS
    report = await sync_once(world, store)

    assert (report.unchanged, report.changed) == (1, 0)
    assert select(path, "SELECT changed_at FROM sessions") == stamp


async def test_a_visit_takes_two_requests_if_nothing_is_due(store: SqliteStore) -> None:
    world = by_chance(4, parks=5, days=20)
    await synced(world, store, BEGIN_MS + 15 * DAY_MS, BEGIN_MS + 80 * DAY_MS, BEGIN_MS + 80 * DAY_MS + HOUR_MS)

    world.now_ms += HOUR_MS
    report = await sync_once(world, store)

    assert report.requests == 2 * 5


@pytest.mark.parametrize(("back_ms", "is_read_again"), [(5_000, False), (DAY_MS, True)])
async def test_a_clock_of_the_service_that_was_wrong_lets_everything_be_read_again(
    store: SqliteStore, back_ms: int, is_read_again: bool
) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    await synced(world, store, START_MS + 5 * DAY_MS)

    world.now_ms -= back_ms
    report = await sync_once(world, store)

    # Two servers may differ by seconds, which is no reason.
    assert report.unchanged == int(is_read_again)


async def test_a_park_that_fails_leaves_the_others_and_its_own_state_as_they_should_be(
    store: SqliteStore, path: Path
) -> None:
    world = by_chance(5, parks=3, days=20)
    await synced(world, store, BEGIN_MS + 10 * DAY_MS)
    before = select(path, "SELECT * FROM smappee_sync WHERE service_location_id = 2")
    world.now_ms += DAY_MS

    def fail(park: int) -> None:
        if park == 2:
            raise NotFound("Smappee answered 404 Not Found")

    world.before_read = fail
    report = await sync_once(world, store)

    assert [failure.service_location_id for failure in report.failures] == [2]
    assert report.parks == 2
    assert select(path, "SELECT * FROM smappee_sync WHERE service_location_id = 2") == before


async def test_an_interrupted_first_reading_goes_on_where_it_was(store: SqliteStore, path: Path) -> None:
    world = by_chance(6, parks=1, days=300)
    world.now_ms = BEGIN_MS + 300 * DAY_MS

    def fail_late(_: int) -> None:
        if world.requests == 6:
            raise NotFound("Smappee answered 404 Not Found")

    world.before_read = fail_late
    await sync_once(world, store)
    first = world.requests
    half = select(path, "SELECT count(*) AS n FROM sessions")[0]["n"]
    await sync_once(world, store)

    listed = len(world.listing(1, "active")) + len(world.listing(1, "completed"))
    assert 0 < half < listed == select(path, "SELECT count(*) AS n FROM sessions")[0]["n"]
    assert world.requests - first < 11  # the whole history takes eleven


async def test_an_older_reading_never_replaces_a_newer_one(store: SqliteStore, path: Path) -> None:
    corrected = attrs.evolve(ENDED, energy=21.0)
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "completed", corrected)])
    await synced(world, store, START_MS + HOUR_MS)
    has_read, may_write = asyncio.Event(), asyncio.Event()

    class SlowStore(SqliteStore):
        async def commit(self, commit: Commit) -> bool:
            has_read.set()
            await may_write.wait()
            return await super().commit(commit)

    async with SlowStore(path) as slow:
        late = asyncio.create_task(sync_once(ChangingWorld(world.versions, START_MS + HOUR_MS), slow))
        await has_read.wait()
        await synced(world, store, START_MS + 3 * HOUR_MS)
        may_write.set()

        assert (await late).superseded == 1
    assert select(path, "SELECT energy FROM sessions") == [{"energy": 21.0}]


OLD_MS = BEGIN_MS + 100 * DAY_MS
OLD = attrs.evolve(ENDED, id=8, from_ms=OLD_MS, to_ms=OLD_MS + HOUR_MS)


@pytest.mark.parametrize(("few", "requests"), [(0, 1 + 1 + 3), (1_000_000, 1 + 1 + 1)])
async def test_the_older_part_of_a_window_of_a_busy_park_is_read_month_by_month(
    store: SqliteStore, path: Path, few: int, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smappee_async.sync.sweep._FEW", few)
    late = attrs.evolve(OLD, energy=21.0)
    recent = [
        [Version(OLD_MS + 60 * DAY_MS, "completed", attrs.evolve(OLD, id=number, from_ms=OLD_MS + 60 * DAY_MS))]
        for number in (11, 12, 13)
    ]
    world = world_of([Version(OLD_MS, "completed", OLD), Version(OLD_MS + 65 * DAY_MS, "completed", late)], *recent)
    await synced(world, store, OLD_MS + 62 * DAY_MS)

    world.now_ms = OLD_MS + 80 * DAY_MS
    report = await sync_once(world, store)

    assert changes(path) == [(8, "corrected", 20.0, 21.0)]
    assert (report.requests, report.unchanged) == (requests, 3)


async def test_a_sweep_that_is_interrupted_is_done_again(store: SqliteStore, path: Path) -> None:
    late = attrs.evolve(OLD, energy=21.0)
    world = world_of([Version(OLD_MS, "completed", OLD), Version(OLD_MS + 65 * DAY_MS, "completed", late)])
    await synced(world, store, OLD_MS + 62 * DAY_MS)
    before = world.requests

    def fail(_: int) -> None:
        if world.requests == before + 3:  # the active ones, the recent part, and then the older one
            raise NotFound("Smappee answered 404 Not Found")

    world.before_read = fail
    world.now_ms = OLD_MS + 80 * DAY_MS
    assert [failure.service_location_id for failure in (await sync_once(world, store)).failures] == [1]
    assert changes(path) == []
    world.now_ms += HOUR_MS
    await sync_once(world, store)

    assert changes(path) == [(8, "corrected", 20.0, 21.0)]


async def test_a_session_that_vanished_long_ago_is_found_by_a_sweep(store: SqliteStore, path: Path) -> None:
    world = world_of([Version(OLD_MS, "completed", OLD), Version(OLD_MS + 65 * DAY_MS, None, OLD)])
    await synced(world, store, OLD_MS + 62 * DAY_MS, OLD_MS + 80 * DAY_MS, OLD_MS + 80 * DAY_MS + 2 * HOUR_MS)
    assert [kind for _, kind, _, _ in changes(path)] == ["vanished"]
