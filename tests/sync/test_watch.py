"""Events of a watch, on virtual time: what is told when, and what is asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from smappee_async import NotFound, PermissionDenied, SessionStatus
from smappee_async.models import SessionState
from smappee_async.sync import (
    WATCH_TIERS,
    Corrected,
    Ended,
    MemoryStore,
    Returned,
    SessionEvent,
    SessionWatch,
    SqliteStore,
    Started,
    Updated,
    Vanished,
)
from smappee_async.sync.source import Reading
from smappee_async.sync.stores.base import SyncStore
from smappee_async.testing import VirtualTimeLoop
from smappee_async.timerange import TimeRange

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, session
from .support import world_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual time"], indirect=True
    ),
]

MINUTE_MS = 60_000
NOW_MS = BEGIN_MS + 10 * DAY_MS
RUNNING = attrs.evolve(session(7, NOW_MS - HOUR_MS), service_location_id=1)
ENDED = attrs.evolve(RUNNING, status=SessionStatus.STOPPED, to_ms=NOW_MS, energy=20.0)


@attrs.define
class LiveWorld:
    """A world whose clock is the loop's. It notes when each park was asked for what."""

    world: ChangingWorld
    asked: list[tuple[float, int, SessionState]] = attrs.field(factory=list)

    def advance(self) -> None:
        self.world.now_ms = NOW_MS + int(asyncio.get_running_loop().time() * 1000)

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        self.advance()
        self.asked.append((asyncio.get_running_loop().time(), park, state))
        return await self.world.read(park, time_range, state)

    async def backfill(self, park, time_range, read):  # type: ignore[no-untyped-def]
        self.advance()
        async for reading in self.world.backfill(park, time_range, read):
            yield reading


def live(*lives: list[Version]) -> LiveWorld:
    return LiveWorld(world_of(*lives))


@asynccontextmanager
async def watching(
    world: LiveWorld,
    *,
    to: SyncStore | None = None,
    parks: list[int] | None = None,
    since_ms: int | None = NOW_MS - 2 * DAY_MS,
    idle_every_s: float = 300,
) -> AsyncIterator[SessionWatch]:
    watch = SessionWatch(
        world,
        list(world.world.versions) if parks is None else parks,
        every_s=60,
        idle_every_s=idle_every_s,
        to=to,
        since_ms=since_ms,
        consumer="test",
        tiers=WATCH_TIERS,
    )
    async with watch:
        yield watch


async def take(watch: SessionWatch, count: int, within_s: float = 30 * 86_400) -> list[SessionEvent]:
    async with asyncio.timeout(within_s):
        return [await anext(watch) for _ in range(count)]


async def test_a_session_that_runs_already_is_told_at_once(anyio_backend: object) -> None:
    async with watching(live([Version(NOW_MS - HOUR_MS, "active", RUNNING)])) as watch:
        (event,) = await take(watch, 1)
    assert isinstance(event, Started)
    assert (event.after, event.before, event.number) == (RUNNING, None, 1)
    assert asyncio.get_running_loop().time() == 0


async def test_without_a_copy_a_session_that_has_run_for_weeks_is_told_too(anyio_backend: object) -> None:
    old = attrs.evolve(RUNNING, from_ms=NOW_MS - 60 * DAY_MS)
    ended = attrs.evolve(old, status=SessionStatus.STOPPED, to_ms=NOW_MS + HOUR_MS, energy=20.0)
    history = attrs.evolve(ENDED, id=8, from_ms=NOW_MS - 60 * DAY_MS)
    world = live(
        [Version(old.from_ms, "active", old), Version(NOW_MS + HOUR_MS, "completed", ended)],
        [Version(history.from_ms, "completed", history)],
    )
    async with watching(world, since_ms=None) as watch:
        events = await take(watch, 2)
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=40 * 86_400)
    assert [(type(event), event.session.id) for event in events] == [(Started, 7), (Ended, 7)]


async def test_sessions_that_ended_before_the_watch_are_not_told(anyio_backend: object) -> None:
    async with watching(live([Version(NOW_MS - HOUR_MS, "completed", ENDED)])) as watch:
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=86_400)


async def test_the_life_of_a_session_is_told_with_what_was_and_what_is(anyio_backend: object) -> None:
    grown = attrs.evolve(RUNNING, energy=15.0)
    settled = attrs.evolve(ENDED, energy=20.5)
    end_ms = NOW_MS + 30 * MINUTE_MS
    world = live(
        [
            Version(NOW_MS + 5 * MINUTE_MS, "active", RUNNING),
            Version(NOW_MS + 10 * MINUTE_MS, "active", grown),
            Version(end_ms, "completed", ENDED),
            Version(end_ms + 20_000, "completed", settled),
            Version(end_ms + HOUR_MS, None, settled),
            Version(end_ms + 9 * HOUR_MS, "completed", settled),
        ]
    )
    async with watching(world) as watch:
        events = await take(watch, 6)
    assert [(type(event), event.before, event.after) for event in events] == [
        (Started, None, RUNNING),
        (Updated, RUNNING, grown),
        (Ended, grown, ENDED),
        (Corrected, ENDED, settled),
        (Vanished, settled, None),
        (Returned, settled, settled),
    ]


async def test_a_session_that_ended_is_read_again_until_its_energy_has_settled(anyio_backend: object) -> None:
    end_ms = NOW_MS + 30_000
    world = live([Version(NOW_MS - HOUR_MS, "active", RUNNING), Version(end_ms, "completed", ENDED)])
    async with watching(world) as watch:
        await take(watch, 2)
        ended_at = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=600)
    completed = [round(at - ended_at) for at, _, state in world.asked if state == "completed" and at > ended_at]
    assert completed == [30, 120, 300]


async def test_a_park_with_a_running_session_is_visited_each_minute_and_the_others_each_five(
    anyio_backend: object,
) -> None:
    world = live([Version(NOW_MS - HOUR_MS, "active", RUNNING)])
    world.world.versions[2] = {}
    async with watching(world) as watch:
        await take(watch, 1)
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=3599)
    visits = Counter(park for _, park, state in world.asked if state == "active")
    assert visits == {1: 60, 2: 12}


async def test_completed_sessions_are_asked_for_when_a_tier_is_due(anyio_backend: object) -> None:
    world = live()
    world.world.versions[1] = {}
    async with watching(world) as watch:
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=3601)
    assert Counter(state for _, _, state in world.asked) == {"active": 13, "completed": 4}


async def test_in_the_first_hour_of_a_copy_completed_sessions_are_asked_for_as_often_as_later(
    anyio_backend: object,
) -> None:
    short = attrs.evolve(ENDED, from_ms=NOW_MS + 61_000, to_ms=NOW_MS + 90_000)
    world = live([Version(NOW_MS + 90_000, "completed", short)])
    async with watching(world, since_ms=NOW_MS - 10 * MINUTE_MS) as watch:
        await take(watch, 1)
    assert asyncio.get_running_loop().time() == 900


async def test_a_session_that_began_and_ended_between_two_visits_is_told(anyio_backend: object) -> None:
    short = attrs.evolve(ENDED, from_ms=NOW_MS + 61_000, to_ms=NOW_MS + 90_000)
    world = live(
        [
            Version(NOW_MS + 61_000, "active", attrs.evolve(short, to_ms=None)),
            Version(NOW_MS + 90_000, "completed", short),
        ]
    )
    async with watching(world) as watch:
        (event,) = await take(watch, 1)
    assert isinstance(event, Ended)
    assert (event.before, event.after) == (None, short)


async def test_a_park_that_fails_is_listed_until_it_is_read_again(anyio_backend: object) -> None:
    world = live([Version(NOW_MS + MINUTE_MS, "active", RUNNING)])

    def fail(_: int) -> None:
        if asyncio.get_running_loop().time() < 200:
            raise NotFound("Smappee answered 404 Not Found")

    world.world.before_read = fail
    async with watching(world) as watch:
        with pytest.raises(TimeoutError):
            await take(watch, 1, within_s=100)
        assert isinstance(watch.failures[1], NotFound)
        await take(watch, 1)
        assert watch.failures == {}


async def test_an_error_that_concerns_every_park_ends_the_watch(anyio_backend: object) -> None:
    world = live([Version(NOW_MS, "active", RUNNING)])

    def fail(_: int) -> None:
        raise OSError("no")

    world.world.before_read = fail
    async with watching(world) as watch:
        with pytest.raises(OSError, match="no"):
            await take(watch, 1)


async def test_a_watch_that_is_left_reads_nothing_more(anyio_backend: object) -> None:
    world = live([Version(NOW_MS - HOUR_MS, "active", RUNNING)])
    async with watching(world) as watch:
        await take(watch, 1)
    asked = len(world.asked)
    await asyncio.sleep(3600)
    assert len(world.asked) == asked


async def test_a_consumer_goes_on_after_a_restart_where_it_was(anyio_backend: object, tmp_path: Path) -> None:
    lives = [
        [Version(NOW_MS + number * MINUTE_MS, "active", attrs.evolve(RUNNING, id=number))] for number in range(1, 6)
    ]
    world = LiveWorld(world_of(*lives))
    async with SqliteStore(tmp_path / "copy.db") as store, watching(world, to=store) as watch:
        first = await take(watch, 2)
        (repeated,) = await take(watch, 1)  # it was not done with this one
    await asyncio.sleep(600)
    async with SqliteStore(tmp_path / "copy.db") as store, watching(world, to=store) as watch:
        rest = await take(watch, 3)
    assert [event.session.id for event in [*first, repeated]] == [1, 2, 3]
    assert [event.session.id for event in rest] == [3, 4, 5]
    assert rest[0] == repeated


async def test_consumers_of_one_copy_come_as_far_as_each_of_them(anyio_backend: object, tmp_path: Path) -> None:
    world = live([Version(NOW_MS - HOUR_MS, "active", RUNNING)])
    async with SqliteStore(tmp_path / "copy.db") as store:
        await store.position("other")
        async with watching(world, to=store) as watch:
            await take(watch, 1)
        assert [event.kind for event in await store.events(await store.position("other"), limit=10)] == ["started"]


async def test_a_copy_in_memory_waits_for_its_consumer(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smappee_async.sync.watcher._MOST_WAITING", 3)
    life = [
        Version(NOW_MS + number * MINUTE_MS, "active", attrs.evolve(RUNNING, energy=float(number)))
        for number in range(100)
    ]
    world = live(life)
    async with watching(world) as watch:
        await asyncio.sleep(3600)
        visits = len(world.asked)
        await asyncio.sleep(3600)
        assert len(world.asked) == visits < 10
        events = await take(watch, 5, within_s=3600)
    assert [event.session.energy for event in events] == [0.0, 1.0, 2.0, 3.0, 99.0]


async def test_a_copy_in_memory_forgets_what_is_not_read_again(anyio_backend: object) -> None:
    lives = [
        [Version(NOW_MS + day * DAY_MS, "completed", attrs.evolve(ENDED, id=day, from_ms=NOW_MS + day * DAY_MS))]
        for day in range(1, 601)
    ]
    world = LiveWorld(world_of(*lives))
    store = MemoryStore()
    store._forget_after_ms = 402 * DAY_MS
    async with watching(world, to=store, idle_every_s=43_200) as watch:
        events = await take(watch, 600, within_s=700 * 86_400)
    assert [event.session.id for event in events] == list(range(1, 601))
    assert len(store.sessions(1)) < 450


async def test_a_park_that_the_account_may_not_see_does_not_end_the_watch(anyio_backend: object) -> None:
    world = live([Version(NOW_MS - HOUR_MS, "active", RUNNING)])
    world.world.versions[2] = {}

    def fail(park: int) -> None:
        if park == 2:
            raise PermissionDenied("Smappee answered 403 Forbidden")

    world.world.before_read = fail
    async with watching(world) as watch:
        await take(watch, 1)
        await asyncio.sleep(1)
        assert set(watch.failures) == {2}
