"""What every store promises: each test runs on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from smappee_async import ChargingSession, SessionStatus, TimeRange
from smappee_async.models import FrozenDict
from smappee_async.sync import Commit, Known, MemoryStore, SessionChange, SqliteStore, SyncStore, VerifiedMonth
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import ChangeKind
from smappee_async.sync.state import ParkState
from smappee_async.sync.stores.base import Saved

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, session

pytestmark = pytest.mark.anyio

PARK = 1001
STATE = ParkState(BEGIN_MS, tiers_ms=[BEGIN_MS], open={7: BEGIN_MS}).to_json()
OCTOBER = TimeRange.month(2026, 10, tz="Europe/Brussels")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: object) -> AsyncIterator[SyncStore]:
    made: SyncStore
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path / "copy.db")
    else:
        from smappee_async.sync import PostgresqlStore  # noqa: PLC0415 - as users import it, only when it is used

        made = PostgresqlStore(request.getfixturevalue("database").url)
    async with made:
        # Without a consumer, a store in memory keeps no events.
        await made.position("reader")
        yield made


def of(number: int, start_ms: int = BEGIN_MS, **fields: Any) -> ChargingSession:
    return attrs.evolve(session(number, start_ms), service_location_id=PARK, **fields)


def change(kind: ChangeKind, after: ChargingSession | int, at_ms: int = BEGIN_MS) -> SessionChange:
    return SessionChange(
        kind=kind,
        service_location_id=PARK,
        id=after if isinstance(after, int) else after.id,
        at_ms=at_ms,
        after=None if isinstance(after, int) else after,
    )


async def write(store: SyncStore, *changes: SessionChange, **fields: Any) -> bool:
    """A commit on top of what is there."""
    generation = (await store.load(PARK)).generation
    commit = Commit(service_location_id=PARK, generation=generation, state=STATE, changes=changes, **fields)
    return await store.commit(commit)


async def known_ids(store: SyncStore, start_ms: int, end_ms: int, ids: Sequence[int] = ()) -> set[int]:
    return set(await store.known(PARK, start_ms, end_ms, ids))


async def test_a_new_store_has_nothing(store: SyncStore) -> None:
    assert await store.parks() == []
    assert await store.load(PARK) == Saved()
    assert await store.known(PARK, 0, BEGIN_MS + DAY_MS, [1]) == {}
    assert await store.events(0, limit=10) == []
    assert await store.last_event() == 0
    assert await store.verified(PARK, OCTOBER) is None


async def test_each_commit_is_one_generation(store: SyncStore) -> None:
    for _ in range(3):
        assert await write(store)

    assert await store.load(PARK) == Saved(3, STATE)


async def test_parks_are_in_ascending_order(store: SyncStore) -> None:
    for park in (300, 5, 2**40):
        await store.commit(Commit(service_location_id=park, generation=0, state=STATE))

    assert list(await store.parks()) == [5, 300, 2**40]


@pytest.mark.parametrize("generation", [0, 1, 3])
async def test_a_commit_on_another_generation_writes_nothing(store: SyncStore, generation: int) -> None:
    await write(store, change("started", of(1)))
    await write(store)

    late = Commit(
        service_location_id=PARK,
        generation=generation,
        state={**STATE, "since_ms": 0},
        changes=[change("corrected", of(1, energy=99.0)), change("started", of(2))],
        verified=VerifiedMonth(time_range=OCTOBER, at_ms=BEGIN_MS, ids=[1], digest="d"),
    )
    assert not await store.commit(late)

    assert await store.load(PARK) == Saved(2, STATE)
    found = await store.known(PARK, 0, BEGIN_MS + DAY_MS, [])
    assert found == {1: Known(BEGIN_MS, fingerprint(of(1)), False)}
    assert [event.kind for event in await store.events(0, limit=10)] == ["started"]
    assert await store.verified(PARK, OCTOBER) is None


async def test_of_many_first_commits_at_once_one_wins(store: SyncStore) -> None:
    commits = [
        Commit(service_location_id=PARK, generation=0, state=STATE, changes=[change("started", of(number))])
        for number in range(1, 9)
    ]

    won = await asyncio.gather(*map(store.commit, commits))

    assert sorted(won) == [False] * 7 + [True]
    assert await known_ids(store, 0, BEGIN_MS + DAY_MS) == {won.index(True) + 1}


async def test_known_has_the_range_without_its_end_and_the_ids(store: SyncStore) -> None:
    starts = {1: BEGIN_MS, 2: BEGIN_MS + HOUR_MS - 1, 3: BEGIN_MS + HOUR_MS, 4: BEGIN_MS + DAY_MS}
    await write(store, *(change("started", of(number, start)) for number, start in starts.items()))

    assert await known_ids(store, BEGIN_MS, BEGIN_MS + HOUR_MS) == {1, 2}
    assert await known_ids(store, BEGIN_MS + 1, BEGIN_MS + HOUR_MS + 1, [1, 2, 99]) == {1, 2, 3}
    assert await known_ids(store, 0, 1, range(4, 20_000)) == {4}


async def test_known_is_of_one_park(store: SyncStore) -> None:
    await write(store, change("started", of(1)))

    assert await store.known(PARK + 1, 0, BEGIN_MS + DAY_MS, [1]) == {}


async def test_events_are_numbered_in_the_order_of_the_changes(store: SyncStore) -> None:
    numbers = [9, 3, 7, 1]
    await write(store, *(change("started", of(number)) for number in numbers))
    await write(store, change("updated", of(7, energy=11.0)))

    events = await store.events(0, limit=10)

    assert [event.session.id for event in events] == [9, 3, 7, 1, 7]
    assert [event.number for event in events] == sorted({event.number for event in events})
    assert await store.last_event() == events[-1].number


async def test_a_commit_of_many_changes_is_in_order(store: SyncStore) -> None:
    numbers = [number * 7919 % 1301 + 1 for number in range(1301)]
    await write(store, *(change("started", of(number, BEGIN_MS + number)) for number in numbers))

    assert [event.session.id for event in await store.events(0, limit=2000)] == numbers
    assert len(await known_ids(store, BEGIN_MS, BEGIN_MS + DAY_MS)) == 1301


async def test_events_begin_after_a_number_and_end_at_a_limit(store: SyncStore) -> None:
    await write(store, *(change("started", of(number)) for number in range(1, 6)))
    every = await store.events(0, limit=10)

    assert list(await store.events(every[1].number, limit=2)) == list(every[2:4])
    assert await store.events(every[-1].number, limit=2) == []


async def test_events_of_one_park(store: SyncStore) -> None:
    other = attrs.evolve(change("started", attrs.evolve(of(5), service_location_id=2)), service_location_id=2)
    await store.commit(Commit(service_location_id=2, generation=0, state=STATE, changes=[other]))
    await write(store, change("started", of(1)))

    assert [event.session.id for event in await store.events(0, limit=10, service_location_id=PARK)] == [1]
    assert [event.session.id for event in await store.events(0, limit=10, service_location_id=2)] == [5]


async def test_an_event_has_the_session_before_and_after(store: SyncStore) -> None:
    first, second = of(1, energy=1.5), of(1, energy=2.5, status=SessionStatus.SUSPENDED)
    await write(store, change("started", first))
    await write(store, change("updated", second, BEGIN_MS + 1))

    started, updated = await store.events(0, limit=10)

    assert (started.before, started.after, started.at_ms) == (None, first, BEGIN_MS)
    assert (updated.before, updated.after, updated.at_ms) == (first, second, BEGIN_MS + 1)


async def test_the_first_reading_is_not_logged(store: SyncStore) -> None:
    await write(store, change("ended", of(1)), is_logged=False)

    assert await store.events(0, limit=10) == []
    assert await known_ids(store, 0, BEGIN_MS + DAY_MS) == {1}


async def test_a_session_vanishes_and_returns(store: SyncStore) -> None:
    await write(store, change("started", of(1)), change("started", of(2)))

    await write(store, change("vanished", 1, BEGIN_MS + HOUR_MS))
    found = await store.known(PARK, 0, BEGIN_MS + DAY_MS, [])
    assert {number: each.is_vanished for number, each in found.items()} == {1: True, 2: False}
    vanished = (await store.events(0, limit=10))[-1]
    assert (vanished.kind, vanished.before, vanished.after) == ("vanished", of(1), None)

    await write(store, change("returned", of(1, energy=12.0)))
    found = await store.known(PARK, 0, BEGIN_MS + DAY_MS, [])
    assert found[1] == Known(BEGIN_MS, fingerprint(of(1, energy=12.0)), False)
    returned = (await store.events(0, limit=10))[-1]
    assert (returned.kind, returned.before, returned.after) == ("returned", of(1), of(1, energy=12.0))


FULL = ChargingSession(
    id=2**63 - 1,
    serial_number="00061\u00e9\U0001f50c\\u0000",
    from_ms=BEGIN_MS + 1,
    status=SessionStatus("PARKED"),
    to_ms=BEGIN_MS + 987,
    connector=2,
    user_id=2**62 + 1,
    start_reading=0.1,
    stop_reading=123456.789012345,
    energy=0.30000000000000004,
    range=2**53,
    duration=7.25,
    priority=-(2**63),
    authentication_type='RFID "quoted"',
    csms_transaction_id="",
    rfid="04:AA'; DROP TABLE sessions; --",
    suspended_by_user=False,
    external_control=True,
    smart_mode="SMART %s\n\t",
    minimum_excess_percentage=0,
    max_amperes=(16, 16.5, 0.1),
    service_location_id=PARK,
    extra=FrozenDict({"huge": 2**70, "float": 1e-7, "deep": [None, True, {"": ["\u2028", "x'y"]}], "with space": 1.0}),
)
EMPTY = ChargingSession(
    id=1, serial_number="1", from_ms=BEGIN_MS, status=SessionStatus.INITIAL, service_location_id=PARK
)
EXACT = attrs.evolve(EMPTY, energy=None, start_reading=1e-300, stop_reading=1e300, extra=FrozenDict({"a": {}}))


@pytest.mark.parametrize("whole", [FULL, EMPTY, EXACT], ids=["full", "empty", "exact"])
async def test_each_field_comes_back(store: SyncStore, whole: ChargingSession) -> None:
    assert {field.name for field in attrs.fields(ChargingSession)} == set(attrs.asdict(whole))
    await write(store, change("ended", whole))
    await write(store, change("vanished", whole.id))

    ended, vanished = await store.events(0, limit=10)

    assert ended.after == whole
    assert vanished.before == whole
    found = await store.known(PARK, 0, 1, [whole.id])
    assert found == {whole.id: Known(whole.from_ms, fingerprint(whole), True)}


@pytest.mark.parametrize("text", ["\0", "a\0b\0", "\u241a0000", "\u241a", "\u241a\0", "\\u0000", "\\\0"])
async def test_characters_that_a_database_may_not_have_come_back(store: SyncStore, text: str) -> None:
    odd = attrs.evolve(EXACT, smart_mode=text, extra=FrozenDict({text: [text, {"a": text, "n": 2**70, "f": 0.1}]}))
    await write(store, change("ended", odd))
    await write(store, change("vanished", odd.id))

    ended, vanished = await store.events(0, limit=10)

    assert ended.after == odd
    assert vanished.before == odd
    assert (await store.known(PARK, 0, BEGIN_MS + DAY_MS, []))[1].fingerprint == fingerprint(odd)


async def test_a_consumer_begins_at_the_last_event_and_goes_on_where_it_was(store: SyncStore) -> None:
    await write(store, change("started", of(1)))
    last = await store.last_event()

    assert await store.position("billing \0") == last
    await write(store, change("started", of(2)), change("started", of(3)))
    assert await store.position("billing \0") == last

    second = (await store.events(last, limit=1))[0].number
    await store.acknowledge("billing \0", second)
    assert await store.position("billing \0") == second
    assert [event.session.id for event in await store.events(second, limit=10)] == [3]


async def test_a_position_goes_forward_only(store: SyncStore) -> None:
    await write(store, change("started", of(1)), change("started", of(2)))
    await store.acknowledge("reader", 2)
    await store.acknowledge("reader", 1)

    assert await store.position("reader") == 2


async def test_a_verified_month_comes_back_with_the_number_of_the_last_event(store: SyncStore) -> None:
    month = VerifiedMonth(time_range=OCTOBER, at_ms=BEGIN_MS + 5, ids=[1, 2**60], digest="0a")
    await write(store, change("started", of(1)), verified=month)

    found = await store.verified(PARK, OCTOBER)

    assert found is not None
    assert attrs.evolve(found, ids=list(found.ids)) == attrs.evolve(month, change_number=await store.last_event())
    assert await store.verified(PARK, TimeRange.month(2026, 10, tz="UTC")) is None
    assert await store.verified(PARK + 1, OCTOBER) is None


async def test_a_month_that_is_verified_again_replaces_the_first(store: SyncStore) -> None:
    first = VerifiedMonth(time_range=OCTOBER, at_ms=BEGIN_MS, ids=[], digest="0a")
    await write(store, verified=first)
    await write(store, change("started", of(1)), verified=attrs.evolve(first, ids=[1], digest="0b"))

    found = await store.verified(PARK, OCTOBER)

    assert found is not None
    assert (list(found.ids), found.digest, found.change_number) == ([1], "0b", 1)
