"""Reading a copy: each test runs on each kind of database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from smappee_async import ChargingSession, ConfigurationError, SessionStatus, SyncStoreError, TimeRange
from smappee_async.models import FrozenDict
from smappee_async.sync import Commit, SessionChange, SyncStore, open_copy, reader
from smappee_async.sync.state import Backfill, ParkState
from smappee_async.sync.stores import open_store
from smappee_async.tables.schema import SCHEMA
from tests.rows import row
from tests.walking import everything_about, shown

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, session
from .postgresql_server import Database

pytestmark = pytest.mark.anyio

PARK, OTHER = 1001, 1002
STATE = ParkState(BEGIN_MS, tiers_ms=[BEGIN_MS + 3 * DAY_MS, BEGIN_MS + DAY_MS])
SECRETS = ("hunter2", "04:RFID:99")


@attrs.frozen
class Place:
    """A database in which a copy may be made.

    :param url: of the copy.
    :param database: the PostgreSQL database; otherwise it is a file.
    """

    url: str
    path: Path
    database: Database | None

    async def execute(self, statement: str) -> None:
        """By a connection of the test's own."""
        await asyncio.to_thread(self._execute, statement)

    def _execute(self, statement: str) -> None:
        if self.database is not None:
            self.database.execute(statement)
            return
        connection = sqlite3.connect(self.path)
        try:
            connection.execute(statement)
            connection.commit()
        finally:
            connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    path = tmp_path / "a copy?.db"
    if request.param == "sqlite":
        return Place(f"sqlite:///{path}", path, None)
    database = request.getfixturevalue("database")
    return Place(database.url, path, database)


@pytest.fixture
async def store(place: Place, anyio_backend: object) -> Any:
    async with open_store(place.url) as opened:
        yield opened


def of(number: int, start_ms: int = BEGIN_MS, park: int = PARK, **fields: Any) -> ChargingSession:
    return attrs.evolve(session(number, start_ms), service_location_id=park, **fields)


async def write(store: SyncStore, *sessions: ChargingSession, state: ParkState = STATE, park: int = PARK) -> None:
    changes = [
        SessionChange(kind="ended", service_location_id=park, id=each.id, at_ms=BEGIN_MS, after=each)
        for each in sessions
    ]
    await commit(store, changes, state=state, park=park)


async def commit(
    store: SyncStore, changes: Sequence[SessionChange], state: ParkState = STATE, park: int = PARK
) -> None:
    generation = (await store.load(park)).generation
    assert await store.commit(
        Commit(service_location_id=park, generation=generation, state=state.to_json(), changes=changes)
    )


async def vanish(store: SyncStore, number: int) -> None:
    await commit(store, [SessionChange(kind="vanished", service_location_id=PARK, id=number, at_ms=BEGIN_MS)])


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_sessions_come_back_as_they_were_written(place: Place, store: SyncStore) -> None:
    full = of(
        1,
        BEGIN_MS + 1,
        serial_number="61\u241a\0",
        status=SessionStatus("PARKED"),
        to_ms=BEGIN_MS + 1501,
        connector=2,
        authentication_type="RFID",
        rfid="04:A2",
        csms_transaction_id="",
        user_id=2**40,
        start_reading=100.96,
        stop_reading=115.21,
        energy=14.249999999999986,
        range=40,
        duration=1.5,
        priority=3,
        suspended_by_user=False,
        external_control=True,
        smart_mode="SMART",
        minimum_excess_percentage=50,
        max_amperes=(16, 16.5),
        extra=FrozenDict({"colour": "r\0d", "deep": {"a": [1, None, True]}}),
    )
    empty = of(2, BEGIN_MS + 2, energy=None)
    await write(store, full, empty)

    async with open_copy(place.url) as copy:
        assert await copy.sessions().collect() == [full, empty]
        table = await copy.sessions().table()
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.to_pylist() == [row(full), row(empty)]


async def test_sessions_come_by_park_start_and_id(place: Place, store: SyncStore) -> None:
    await write(store, of(7, BEGIN_MS + 5), of(9, BEGIN_MS), of(8, BEGIN_MS + 5), of(2, BEGIN_MS + 9))
    await write(store, of(1, BEGIN_MS, park=OTHER), park=OTHER)

    async with open_copy(place.url) as copy:
        found = [(each.service_location_id, each.id) async for each in copy.sessions()]

    assert found == [(PARK, 9), (PARK, 7), (PARK, 8), (PARK, 2), (OTHER, 1)]


async def test_a_range_selects_by_start_and_is_half_open(place: Place, store: SyncStore) -> None:
    await write(store, *(of(number, BEGIN_MS + number) for number in range(5)))

    async with open_copy(place.url) as copy:
        middle = await copy.sessions(PARK, TimeRange.from_ms(BEGIN_MS + 1, BEGIN_MS + 3)).collect()
        rest = await copy.sessions(PARK, TimeRange.from_ms(BEGIN_MS + 3)).collect()

    assert [each.id for each in middle] == [1, 2]
    assert [each.id for each in rest] == [3, 4]


async def test_only_the_parks_that_were_asked_for_come(place: Place, store: SyncStore) -> None:
    for park in (1001, 1002, 1003):
        await write(store, of(park, park=park), park=park)

    async with open_copy(place.url) as copy:
        assert [each.id for each in await copy.sessions([1003, 1001]).collect()] == [1001, 1003]


async def test_what_vanished_comes_only_if_it_is_asked_for(place: Place, store: SyncStore) -> None:
    await write(store, of(1), of(2))
    await vanish(store, 1)

    async with open_copy(place.url) as copy:
        assert [each.id for each in await copy.sessions().collect()] == [2]
        assert [each.id for each in await copy.sessions(include_vanished=True).collect()] == [1, 2]


async def test_what_comes_is_what_was_written_selected_and_sorted(place: Place, store: SyncStore) -> None:
    chance = Random(5)
    written = [
        of(number, BEGIN_MS + chance.randrange(10) * HOUR_MS, park, energy=chance.random() * 50)
        for park in (PARK, OTHER)
        for number in chance.sample(range(1, 1_000), 300)
    ]
    for park in (PARK, OTHER):
        await write(store, *(each for each in written if each.service_location_id == park), park=park)

    async with open_copy(place.url) as copy:
        for _ in range(10):
            start, end = sorted(chance.sample(range(12), 2))
            one = TimeRange.from_ms(BEGIN_MS + start * HOUR_MS, BEGIN_MS + end * HOUR_MS)
            expected = [each for each in written if one.start <= each.started_at < (one.end or each.started_at)]
            expected.sort(key=lambda each: (each.service_location_id or 0, each.from_ms, each.id))
            assert await copy.sessions(time_range=one).collect() == expected


async def test_batches_are_of_one_park_each_and_the_last_one_says_so(
    place: Place, store: SyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH", 2)
    await write(store, *(of(number, BEGIN_MS + number) for number in range(5)))
    await write(store, park=OTHER)
    month = TimeRange.from_ms(BEGIN_MS, BEGIN_MS + DAY_MS)

    async with open_copy(place.url) as copy:
        batches = [batch async for batch in copy.sessions(time_range=month).batches()]

    found = [(each.service_location_id, [one.id for one in each.sessions], each.is_last) for each in batches]
    assert found == [(PARK, [0, 1], False), (PARK, [2, 3], False), (PARK, [4], True), (OTHER, [], True)]
    assert {each.time_range for each in batches} == {month}


async def test_a_reading_sees_the_copy_at_one_moment(
    place: Place, store: SyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH", 2)
    before = [of(number, BEGIN_MS + number) for number in range(5)]
    await write(store, *before)

    async with open_copy(place.url) as copy:
        reading = copy.sessions().batches()
        found = list((await anext(reading)).sessions)
        # A session that was to come is moved before those that came.
        await write(store, of(4, BEGIN_MS - HOUR_MS), of(9, BEGIN_MS + 9))
        found += [each async for batch in reading for each in batch.sessions]
        after = await copy.sessions().collect()

    assert found == before
    assert [each.id for each in after] == [4, 0, 1, 2, 3, 9]


async def test_several_readings_at_once_do_not_disturb_each_other(
    place: Place, store: SyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH", 2)
    await write(store, *(of(number, BEGIN_MS + number) for number in range(9)))

    async with open_copy(place.url) as copy:
        found = await asyncio.gather(*(copy.sessions().collect() for _ in range(3)))

    assert [[each.id for each in one] for one in found] == [list(range(9))] * 3


async def test_a_reading_that_is_left_early_leaves_nothing_open(
    place: Place, store: SyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH", 2)
    await write(store, *(of(number, BEGIN_MS + number) for number in range(9)))

    async with open_copy(place.url) as copy:
        async for _ in copy.sessions():
            break

    # A snapshot that is open would keep the table.
    await asyncio.wait_for(place.execute("ALTER TABLE sessions RENAME TO others"), timeout=20)


# --- parks ------------------------------------------------------------------------------------------------------------


async def test_each_park_tells_until_when_it_is_synced(place: Place, store: SyncStore) -> None:
    await write(store)
    reading = ParkState(BEGIN_MS, backfill=Backfill(BEGIN_MS + DAY_MS))
    await write(store, state=reading, park=OTHER)

    async with open_copy(place.url) as copy:
        whole, unfinished = copy.parks

    assert (whole.service_location_id, unfinished.service_location_id) == (PARK, OTHER)
    assert whole.since == unfinished.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert whole.synced_until == datetime(2026, 1, 4, tzinfo=UTC)
    assert unfinished.synced_until is None


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        ("2026-01-01", True),
        ("2026-01-01..2026-01-04", True),
        ("2026-01-01..2026-01-05", False),
        ("2025-12-31..2026-01-02", False),
        ("2026-01-01..", False),
    ],
)
async def test_a_park_tells_whether_a_range_is_whole(place: Place, store: SyncStore, text: str, is_whole: bool) -> None:
    await write(store)
    await write(store, state=ParkState(BEGIN_MS, backfill=Backfill(BEGIN_MS + 9 * DAY_MS)), park=OTHER)

    async with open_copy(place.url) as copy:
        found = [park.covers(TimeRange.parse(text)) for park in copy.parks]

    assert found == [is_whole, False]


async def test_a_park_that_the_copy_does_not_have_is_an_error_that_names_those_it_has(
    place: Place, store: SyncStore
) -> None:
    await write(store)

    async with open_copy(place.url) as copy:
        with pytest.raises(ConfigurationError, match="does not have park 7") as caught:
            copy.sessions([PARK, 7])

    assert "It has 1001" in caught.value.advice


# --- what is no copy --------------------------------------------------------------------------------------------------


async def test_what_is_no_copy_is_refused_and_not_changed(place: Place) -> None:
    await place.execute("CREATE TABLE sessions (id integer)")

    with pytest.raises(SyncStoreError, match="is not a copy of sessions") as caught:
        async with open_copy(place.url):
            pass

    assert "smappee-async sync --to" in caught.value.advice
    await place.execute("CREATE TABLE smappee_version (version integer)")  # it was not made
    with pytest.raises(SyncStoreError, match="is not a copy of sessions"):
        async with open_copy(place.url):
            pass


async def test_a_newer_copy_is_refused(place: Place, store: SyncStore) -> None:
    await place.execute("UPDATE smappee_version SET version = 99")

    with pytest.raises(SyncStoreError, match="newer version"):
        async with open_copy(place.url):
            pass


async def test_an_older_copy_is_read_and_not_changed(place: Place, store: SyncStore) -> None:
    await write(store, of(1, smart_mode="SMART"))
    await place.execute("ALTER TABLE sessions DROP COLUMN smart_mode")
    await place.execute("UPDATE smappee_version SET version = 0")

    async with open_copy(place.url) as copy:
        assert await copy.sessions().collect() == [of(1)]

    await place.execute("ALTER TABLE sessions ADD COLUMN smart_mode TEXT")  # it is still missing


async def test_nothing_can_be_written(place: Place, store: SyncStore) -> None:
    """The databases themselves refuse it."""
    await write(store, of(1))
    async with open_copy(place.url) as copy, copy._snapshots() as snapshot:
        opened: Any = snapshot
        if place.database is None:
            with pytest.raises(SyncStoreError, match="readonly"):
                await opened._run(lambda: opened._opened().execute("DELETE FROM sessions"))
        else:
            from psycopg.errors import ReadOnlySqlTransaction  # noqa: PLC0415 - the driver is an extra

            with pytest.raises(ReadOnlySqlTransaction):
                await opened._opened().execute("DELETE FROM sessions")


async def test_a_file_that_does_not_exist_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    with pytest.raises(SyncStoreError, match=r"there is no copy in .*missing") as caught:
        async with open_copy(f"sqlite:///{path}"):
            pass

    assert "run a sync first" in caught.value.advice
    assert not await asyncio.to_thread(path.exists)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    await asyncio.to_thread(path.write_bytes, b"no database" * 100)
    with pytest.raises(SyncStoreError, match=r"copy\.db is not a copy"):
        async with open_copy(f"sqlite:///{path}"):
            pass


async def test_an_unknown_url_is_refused_without_showing_it() -> None:
    misspelt = "postgresq://the-user:hunter" + "2@host/copy"
    with pytest.raises(ConfigurationError, match="named by a URL") as caught:
        async with open_copy(misspelt):
            pass

    del misspelt
    assert shown(SECRETS, everything_about(caught.value)) == []


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


async def test_a_user_who_may_only_read_can_read_a_copy(database: Database) -> None:
    async with open_store(database.url) as store:
        await write(store, of(1))
    role = f"reader_{database.name}"
    await asyncio.to_thread(database.execute, f"CREATE ROLE {role} LOGIN")
    try:
        await asyncio.to_thread(database.execute, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        async with open_copy(database.url.replace("postgres@", f"{role}@")) as copy:
            assert [each.id for each in await copy.sessions().collect()] == [1]
    finally:
        await asyncio.to_thread(database.execute, f"DROP OWNED BY {role}")
        await asyncio.to_thread(database.execute, f"DROP ROLE {role}")


async def test_a_connection_that_is_lost_is_an_error_that_shows_no_secret(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH", 2)
    async with open_store(database.url) as store:
        await write(store, *(of(number, BEGIN_MS + number, rfid="04:RFID:" + "99") for number in range(5)))

    ends = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'smappee-async'"
    )

    async with open_copy(f"{database.url}&password={quote('hunter')}2") as copy:
        batches = copy.sessions().batches()
        await anext(batches)
        await asyncio.to_thread(database.execute, ends)
        with pytest.raises(SyncStoreError) as caught:
            await anext(batches)

    assert shown(SECRETS, everything_about(caught.value)) == []


async def test_a_database_that_is_not_reached_is_an_error_that_shows_no_secret() -> None:
    with pytest.raises(SyncStoreError, match="could not be reached") as caught:
        async with open_copy("postgresql://the-user:hunter" + "2@127.0.0.1:1/copy"):
            pass

    assert shown(SECRETS, everything_about(caught.value)) == []
