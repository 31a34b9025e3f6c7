"""A copy that a coroutine function keeps: at least once, whatever happens between it and the state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from smappee_async import ConfigurationError, SessionStatus, SyncStoreError
from smappee_async.sync import Commit, SqliteStore
from smappee_async.sync.stores.callback import CallbackStore

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, by_chance, session
from .support import select, sync_once, world_of

pytestmark = pytest.mark.anyio

START_MS = BEGIN_MS + 10 * DAY_MS
ENDED = attrs.evolve(
    session(7, START_MS), status=SessionStatus.STOPPED, to_ms=START_MS + HOUR_MS, service_location_id=1
)
CORRECTED = attrs.evolve(ENDED, energy=21.0)


class Copy:
    """What a user's function keeps: upserts by park and id, and a log of what came."""

    def __init__(self) -> None:
        self.energy: dict[tuple[int, int], float | int | None] = {}
        self.vanished: set[tuple[int, int]] = set()
        self.commits: list[Commit] = []

    async def save(self, commit: Commit) -> None:
        await asyncio.sleep(0)
        self.commits.append(commit)
        for change in commit.changes:
            key = (change.service_location_id, change.id)
            if change.after is None:
                self.vanished.add(key)
            else:
                self.vanished.discard(key)
                self.energy[key] = change.after.energy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def state(anyio_backend: object, path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path) as opened:
        yield opened


@pytest.fixture
def copy() -> Copy:
    return Copy()


def kept(path: Path) -> dict[tuple[int, int], float]:
    rows = select(path, "SELECT service_location_id, id, energy FROM sessions")
    return {(row["service_location_id"], row["id"]): row["energy"] for row in rows}


async def test_what_a_sync_found_is_handed_over_with_the_first_reading(
    state: SqliteStore, path: Path, copy: Copy
) -> None:
    world = by_chance(5, parks=2, days=100)
    for day in range(60, 150):
        world.now_ms = BEGIN_MS + day * DAY_MS
        await sync_once(world, CallbackStore(copy.save, state))

    vanished = {
        (row["service_location_id"], row["id"])
        for row in select(path, "SELECT service_location_id, id FROM sessions WHERE vanished_at IS NOT NULL")
    }
    assert copy.energy == kept(path)
    assert copy.vanished == vanished
    assert vanished


async def test_nothing_is_handed_over_when_nothing_changed(state: SqliteStore, copy: Copy) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    world.now_ms = START_MS + DAY_MS
    await sync_once(world, CallbackStore(copy.save, state))

    world.now_ms += HOUR_MS
    await sync_once(world, CallbackStore(copy.save, state))

    assert [[change.id for change in commit.changes] for commit in copy.commits] == [[7]]


async def test_what_was_handed_over_but_not_noted_is_handed_over_again(
    state: SqliteStore, path: Path, copy: Copy
) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "completed", CORRECTED)])
    world.now_ms = START_MS + HOUR_MS
    await sync_once(world, CallbackStore(copy.save, state))
    world.now_ms = START_MS + 3 * HOUR_MS

    class Dying(SqliteStore):
        async def commit(self, commit: Commit) -> bool:
            if commit.changes:
                raise SyncStoreError("the machine lost power")
            return await super().commit(commit)

    async with Dying(path) as dying:
        with pytest.raises(SyncStoreError, match="lost power"):
            await sync_once(world, CallbackStore(copy.save, dying))
    await sync_once(world, CallbackStore(copy.save, state))

    assert [[change.kind for change in commit.changes] for commit in copy.commits] == [
        ["ended"],
        ["corrected"],
        ["corrected"],
    ]
    assert copy.energy == kept(path) == {(1, 7): 21.0}


async def test_an_error_of_the_function_is_raised_and_what_is_remembered_stays(
    state: SqliteStore, path: Path, copy: Copy
) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "completed", CORRECTED)])
    world.now_ms = START_MS + HOUR_MS
    await sync_once(world, CallbackStore(copy.save, state))
    before = select(path, "SELECT state FROM smappee_sync"), kept(path)
    world.now_ms = START_MS + 3 * HOUR_MS

    async def fail(commit: Commit) -> None:
        raise RuntimeError("the queue is full")

    with pytest.raises(RuntimeError, match="the queue is full"):
        await sync_once(world, CallbackStore(fail, state))

    assert (select(path, "SELECT state FROM smappee_sync"), kept(path)) == before


async def test_a_first_reading_that_fails_is_handed_over_again(state: SqliteStore, path: Path, copy: Copy) -> None:
    world = by_chance(6, parks=1, days=200)
    world.now_ms = BEGIN_MS + 150 * DAY_MS
    calls = 0

    async def fail_now_and_then(commit: Commit) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 1:
            raise RuntimeError("try again")
        await copy.save(commit)

    for _ in range(20):
        try:
            report = await sync_once(world, CallbackStore(fail_now_and_then, state))
        except RuntimeError:
            world.now_ms += HOUR_MS
        else:
            assert report.superseded == 0
            break

    assert copy.energy == kept(path)
    assert {(1, each.id) for each in world.listing(1, "completed")} <= copy.energy.keys()
    assert calls > 5


async def test_a_cancelled_function_leaves_what_is_remembered_as_it_was(
    state: SqliteStore, path: Path, copy: Copy
) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    world.now_ms = START_MS + HOUR_MS
    begun = asyncio.Event()

    async def hang(commit: Commit) -> None:
        begun.set()
        await asyncio.Event().wait()

    syncing = asyncio.create_task(sync_once(world, CallbackStore(hang, state)))
    await begun.wait()
    syncing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    assert kept(path) == {}

    await sync_once(world, CallbackStore(copy.save, state))
    assert copy.energy == kept(path) == {(1, 7): 10.0}


async def test_what_another_sync_has_superseded_is_not_handed_over(state: SqliteStore, path: Path, copy: Copy) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "completed", CORRECTED)])
    has_read, may_write = asyncio.Event(), asyncio.Event()

    class Slow(CallbackStore):
        async def commit(self, commit: Commit) -> bool:
            has_read.set()
            await may_write.wait()
            return await super().commit(commit)

    old = ChangingWorld(world.versions, START_MS + HOUR_MS)
    late = asyncio.create_task(sync_once(old, Slow(copy.save, state)))
    await has_read.wait()
    world.now_ms = START_MS + 3 * HOUR_MS
    await sync_once(world, CallbackStore(copy.save, state))
    may_write.set()

    assert (await late).superseded == 1
    assert len(copy.commits) == 1
    assert copy.energy == kept(path) == {(1, 7): 21.0}


async def test_of_two_syncs_that_hand_over_at_once_the_later_one_has_the_higher_generation(
    state: SqliteStore, path: Path
) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "completed", CORRECTED)])
    world.now_ms = START_MS - DAY_MS
    await sync_once(world, CallbackStore(Copy().save, state))
    begun, may_end = asyncio.Event(), asyncio.Event()
    rows: dict[int, tuple[int, float | int | None]] = {}

    async def save(commit: Commit) -> None:
        for change in commit.changes:
            assert change.after is not None
            if change.after.energy == 10.0:
                begun.set()
                await may_end.wait()
            if rows.get(change.id, (0, None))[0] <= commit.generation:
                rows[change.id] = (commit.generation, change.after.energy)

    old = ChangingWorld(world.versions, START_MS + HOUR_MS)
    late = asyncio.create_task(sync_once(old, CallbackStore(save, state)))
    await begun.wait()
    world.now_ms = START_MS + 3 * HOUR_MS
    await sync_once(world, CallbackStore(save, state))
    may_end.set()

    assert (await late).superseded == 1
    assert rows[7][1] == 21.0
    assert kept(path) == {(1, 7): 21.0}


async def test_a_function_that_is_no_coroutine_function_is_refused(state: SqliteStore, path: Path) -> None:
    world = world_of([Version(START_MS, "completed", ENDED)])
    world.now_ms = START_MS + HOUR_MS

    def save(commit: Commit) -> None: ...

    with pytest.raises(ConfigurationError, match="coroutine function"):
        await sync_once(world, CallbackStore(save, state))  # type: ignore[arg-type]
    assert kept(path) == {}
