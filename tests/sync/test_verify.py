"""A month that is read whole: what is noted, and what is told of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

import attrs
import pytest

from smappee_async import ConfigurationError, NotFound, SessionStatus
from smappee_async.sync import SqliteStore, VerifyReport
from smappee_async.sync.verifier import _Verification
from smappee_async.timerange import TimeRange

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, by_chance, session
from .support import select, sync_once, world_of

pytestmark = pytest.mark.anyio

JANUARY = TimeRange.month(2026, 1, tz=UTC)
START_MS = BEGIN_MS + 20 * DAY_MS
FEBRUARY_MS = BEGIN_MS + 31 * DAY_MS
ENDED = attrs.evolve(session(7, START_MS, START_MS + HOUR_MS, energy=20.0), service_location_id=1)
CORRECTED = attrs.evolve(ENDED, energy=21.0)


@pytest.fixture
async def store(anyio_backend: object, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "copy.db") as opened:
        yield opened


async def verify(world: ChangingWorld, store: SqliteStore, at_ms: int, month: TimeRange = JANUARY) -> VerifyReport:
    world.now_ms = at_ms
    return await _Verification(world, store, month, "keep").verify_all(await store.parks())


async def synced(world: ChangingWorld, store: SqliteStore, at_ms: int) -> None:
    world.now_ms = at_ms
    await sync_once(world, store)


async def test_a_month_that_the_copy_has_as_the_service_is_unchanged(store: SqliteStore) -> None:
    world = by_chance(11, parks=3, days=31)
    await synced(world, store, BEGIN_MS + 150 * DAY_MS)

    first = await verify(world, store, BEGIN_MS + 150 * DAY_MS + HOUR_MS)
    second = await verify(world, store, BEGIN_MS + 151 * DAY_MS)

    assert first.is_unchanged
    assert second.is_unchanged
    assert [park.is_first for park in first.parks + second.parks] == [True] * 3 + [False] * 3
    assert [park.digest for park in first.parks] == [park.digest for park in second.parks]
    assert sum(park.sessions for park in first.parks) == sum(
        JANUARY.contains_ms(each.from_ms)
        for park in (1, 2, 3)
        for listed in ("active", "completed")
        for each in world.listing(park, listed)
    )
    assert first.requests == 2 * 3


async def test_verifying_a_month_brings_the_copy_up_to_date_and_tells_what_differed(
    store: SqliteStore, tmp_path: Path
) -> None:
    world = world_of(
        [Version(START_MS, "completed", ENDED), Version(FEBRUARY_MS + DAY_MS, "completed", CORRECTED)],
    )
    await synced(world, store, FEBRUARY_MS + HOUR_MS)

    report = await verify(world, store, FEBRUARY_MS + 2 * DAY_MS)

    (park,) = report.parks
    assert [(change.kind, change.before, change.after) for change in park.changes] == [("corrected", ENDED, CORRECTED)]
    assert not report.is_unchanged
    assert select(tmp_path / "copy.db", "SELECT energy FROM sessions") == [{"energy": 21.0}]


async def test_what_a_sync_found_after_a_month_was_verified_is_listed(store: SqliteStore) -> None:
    world = world_of(
        [Version(START_MS, "completed", ENDED), Version(FEBRUARY_MS + DAY_MS, "completed", CORRECTED)],
    )
    await synced(world, store, FEBRUARY_MS + HOUR_MS)
    before = await verify(world, store, FEBRUARY_MS + 2 * HOUR_MS)
    await synced(world, store, FEBRUARY_MS + 9 * DAY_MS)

    report = await verify(world, store, FEBRUARY_MS + 10 * DAY_MS)

    assert [change.kind for change in report.parks[0].changes] == ["corrected"]
    assert report.parks[0].digest != before.parks[0].digest
    assert (await verify(world, store, FEBRUARY_MS + 11 * DAY_MS)).is_unchanged


async def test_a_session_that_moved_out_of_the_month_is_a_change_of_it(store: SqliteStore) -> None:
    last = attrs.evolve(ENDED, from_ms=FEBRUARY_MS - 600_000, to_ms=FEBRUARY_MS + HOUR_MS)
    moved = attrs.evolve(last, from_ms=FEBRUARY_MS + 600_000)
    world = world_of(
        [Version(last.from_ms, "completed", last), Version(FEBRUARY_MS + 2 * DAY_MS, "completed", moved)],
    )
    await synced(world, store, FEBRUARY_MS + HOUR_MS)
    assert [park.sessions for park in (await verify(world, store, FEBRUARY_MS + DAY_MS)).parks] == [1]

    (park,) = (await verify(world, store, FEBRUARY_MS + 3 * DAY_MS)).parks

    assert (park.sessions, [change.kind for change in park.changes]) == (0, ["corrected"])


async def test_changes_of_other_months_are_not_listed(store: SqliteStore) -> None:
    later = attrs.evolve(ENDED, id=8, from_ms=FEBRUARY_MS + DAY_MS, to_ms=FEBRUARY_MS + 2 * DAY_MS)
    world = world_of(
        [Version(START_MS, "completed", ENDED)],
        [Version(FEBRUARY_MS + 2 * DAY_MS, "completed", later)],
    )
    await synced(world, store, FEBRUARY_MS + HOUR_MS)
    await verify(world, store, FEBRUARY_MS + HOUR_MS)
    await synced(world, store, FEBRUARY_MS + 3 * DAY_MS)

    assert (await verify(world, store, FEBRUARY_MS + 4 * DAY_MS)).is_unchanged


async def test_a_session_that_is_no_longer_listed_is_missing_and_then_vanished(store: SqliteStore) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(FEBRUARY_MS + DAY_MS, None, ENDED)])
    await synced(world, store, FEBRUARY_MS + HOUR_MS)

    first = await verify(world, store, FEBRUARY_MS + 2 * DAY_MS)
    second = await verify(world, store, FEBRUARY_MS + 3 * DAY_MS)

    assert first.parks[0].missing == (7,)
    assert (second.parks[0].missing, [change.kind for change in second.parks[0].changes]) == ((), ["vanished"])


async def test_a_session_that_still_runs_is_named_because_its_energy_is_not_final(store: SqliteStore) -> None:
    runs = attrs.evolve(ENDED, to_ms=None, status=SessionStatus.CHARGING)
    world = world_of([Version(START_MS, "active", runs)])
    await synced(world, store, FEBRUARY_MS + HOUR_MS)

    assert (await verify(world, store, FEBRUARY_MS + DAY_MS)).parks[0].running == (7,)


async def test_a_month_that_has_not_ended_is_refused(store: SqliteStore) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    await synced(world, store, START_MS + DAY_MS)
    with pytest.raises(ConfigurationError, match="not ended"):
        await verify(world, store, FEBRUARY_MS - 1)


async def test_a_park_whose_copy_begins_later_is_a_failure_of_that_park(store: SqliteStore) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    await synced(world, store, FEBRUARY_MS + HOUR_MS)

    report = await verify(world, store, FEBRUARY_MS + DAY_MS, TimeRange.month(2025, 12, tz=UTC))

    assert (report.parks, report.is_unchanged) == ((), False)
    assert "the copy of park 1 begins at 2026-01-01" in str(report.failures[0].error)


async def test_a_park_that_cannot_be_read_is_a_failure_of_that_park(store: SqliteStore) -> None:
    world = by_chance(12, parks=2, days=31)
    await synced(world, store, FEBRUARY_MS + HOUR_MS)

    def fail(park: int) -> None:
        if park == 2:
            raise NotFound("Smappee answered 404 Not Found")

    world.before_read = fail
    report = await verify(world, store, FEBRUARY_MS + DAY_MS)

    assert [park.service_location_id for park in report.parks] == [1]
    assert [failure.service_location_id for failure in report.failures] == [2]


async def test_a_sync_that_writes_at_the_same_time_is_not_overwritten(store: SqliteStore) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(FEBRUARY_MS + DAY_MS, "completed", CORRECTED)])
    await synced(world, store, FEBRUARY_MS + HOUR_MS)
    old = ChangingWorld(world.versions, FEBRUARY_MS + HOUR_MS)
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    class SlowStore(SqliteStore):
        async def known(self, *given):  # type: ignore[no-untyped-def]
            has_read.set()
            await may_go_on.wait()
            return await super().known(*given)

    async with SlowStore(store._path) as slow:
        late = asyncio.create_task(_Verification(old, slow, JANUARY, "keep").verify_all([1]))
        await has_read.wait()
        await synced(world, store, FEBRUARY_MS + 9 * DAY_MS)
        may_go_on.set()
        report = await late

    assert (report.superseded, report.parks) == ((1,), ())
    assert select(store._path, "SELECT energy FROM sessions") == [{"energy": 21.0}]
