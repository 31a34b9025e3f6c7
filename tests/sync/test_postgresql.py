"""The PostgreSQL store: lost connections, other programs, other versions, and interruptions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from psycopg import AsyncConnection

from smappee_async import ConfigurationError, SmappeeClient, SyncStoreError
from smappee_async.simulator import Park, World
from smappee_async.sync import Commit, MemoryStore, PostgresqlStore, SessionChange, sync, verify
from smappee_async.sync.stores import open_store, postgresql_connection
from smappee_async.sync.stores.postgresql_connection import Connection
from tests.walking import everything_about, shown

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, by_chance, session
from .postgresql_server import Cutter, Database, cutting
from .support import sync_once
from .test_stores import PARK, STATE, change, of, write

pytestmark = pytest.mark.anyio

SECRETS = ("hunter2", "the-user", "04:RFID:99")
#: Made where no traceback shows the line.
LOGIN = "&password=hunter2"
RFID = "04:RFID:99"
UNREACHABLE = "postgresql://the-user:hunter2@127.0.0.1:1/copy"
MISSPELT = "postgresq://the-user:hunter2@host/copy"


@pytest.fixture
def smappee_world() -> World:
    return World.of([Park.home(1001)], seed=1)


@pytest.fixture
async def store(database: Database, anyio_backend: object) -> AsyncIterator[PostgresqlStore]:
    async with PostgresqlStore(database.url) as store:
        yield store


@pytest.fixture
async def cutter(postgresql_place: Path, anyio_backend: object) -> AsyncIterator[Cutter]:
    async with cutting(postgresql_place) as cutter:
        yield cutter


async def look(database: Database, statement: str) -> list[Any]:
    return await asyncio.to_thread(database.execute, statement)


async def idle_connections(database: Database) -> bool:
    """Whether no transaction is open, after the server had time to notice a closed connection."""
    for _ in range(200):
        rows = await asyncio.to_thread(database.sessions_of_the_store)
        if all(state == "idle" for _, state in rows):
            return True
        await asyncio.sleep(0.01)
    return False


# --- tables -----------------------------------------------------------------------------------------------------------


async def test_the_types_are_those_of_the_database(database: Database, store: PostgresqlStore) -> None:
    await write(store, change("ended", of(1, energy=14.25, to_ms=BEGIN_MS + 1500, max_amperes=(16, 16.5))))

    rows = await look(
        database,
        "SELECT energy_kwh * 3, to_char(ended_at - started_at, 'SS.MS'), max_amperes->>1, octet_length(fingerprint),"
        " first_seen_at = changed_at, vanished_at, pg_typeof(energy_kwh)::text, pg_typeof(extra)::text FROM sessions",
    )

    assert [str(value) for value in rows[0]] == ["42.75", "01.500", "16.5", "12", "True", "None", "numeric", "jsonb"]


async def test_times_do_not_depend_on_the_time_zone_of_the_connection(database: Database) -> None:
    await look(database, f"ALTER DATABASE {database.name} SET timezone = 'Pacific/Chatham'")
    await look(database, f"ALTER DATABASE {database.name} SET datestyle = 'SQL, DMY'")
    async with PostgresqlStore(database.url) as store:
        await write(store, change("ended", of(1, BEGIN_MS + 1)))
        await write(store, change("vanished", 1))
        _, vanished = await store.events(0, limit=9)
        found = await store.known(PARK, BEGIN_MS + 1, BEGIN_MS + 2, [])

    assert vanished.before == of(1, BEGIN_MS + 1)
    assert [each.start_ms for each in found.values()] == [BEGIN_MS + 1]


async def test_a_newer_database_is_refused_and_not_changed(database: Database) -> None:
    async with PostgresqlStore(database.url):
        pass
    await look(database, "UPDATE smappee_version SET version = 99")
    await look(database, "ALTER TABLE sessions DROP COLUMN smart_mode")

    with pytest.raises(SyncStoreError, match="newer version"):
        async with PostgresqlStore(database.url):
            pass

    there = await look(database, "SELECT 1 FROM information_schema.columns WHERE column_name = 'smart_mode'")
    assert there == []


async def test_an_older_database_gets_the_columns_that_are_new(database: Database) -> None:
    async with PostgresqlStore(database.url) as store:
        await write(store, change("ended", of(1)))
    await look(database, "ALTER TABLE sessions DROP COLUMN smart_mode, DROP COLUMN extra")
    await look(database, "UPDATE smappee_version SET version = 0")

    async with PostgresqlStore(database.url) as store:
        await write(store, change("ended", of(2, smart_mode="SMART")))

    assert await look(database, "SELECT id, smart_mode FROM sessions ORDER BY 1") == [(1, None), (2, "SMART")]
    assert await look(database, "SELECT version FROM smappee_version") == [(1,)]


async def test_a_column_that_the_user_added_stays(database: Database) -> None:
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with PostgresqlStore(database.url) as store:
        await sync_once(world, store)
        await look(database, "ALTER TABLE sessions ADD COLUMN cost numeric DEFAULT 1.5")
        await look(database, "UPDATE sessions SET cost = 2.5")
        world.now_ms += DAY_MS
        report = await sync_once(world, store)

    assert report.new > 0
    assert {str(cost) for (cost,) in await look(database, "SELECT cost FROM sessions")} == {"1.5", "2.5"}


async def test_many_that_open_an_empty_database_at_once_make_it_once(database: Database) -> None:
    stores = [PostgresqlStore(database.url) for _ in range(8)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    for store in stores:
        await store.__aexit__()

    assert await look(database, "SELECT version FROM smappee_version") == [(1,)]


async def test_a_user_who_may_not_make_tables_can_use_them(database: Database) -> None:
    async with PostgresqlStore(database.url):
        pass
    role = f"plain_{database.name}"
    await look(database, f"CREATE ROLE {role} LOGIN")
    try:
        await look(database, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
        async with PostgresqlStore(database.url.replace("postgres@", f"{role}@")) as store:
            assert await write(store, change("started", of(1)))
            assert len(await store.events(0, limit=2)) == 1
    finally:
        await look(database, f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_unchanged_rows_are_not_written(database: Database, store: PostgresqlStore) -> None:
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    await sync_once(world, store)
    before = await look(database, "SELECT id, xmin::text FROM sessions ORDER BY 1")

    report = await sync_once(world, store)

    assert report.unchanged > 0
    assert await look(database, "SELECT id, xmin::text FROM sessions ORDER BY 1") == before


async def test_no_statement_is_prepared(store: PostgresqlStore) -> None:
    for number in range(1, 12):
        await write(store, change("started", of(number)))
        await store.known(PARK, 0, BEGIN_MS, [number])

    async def prepared(connection: Connection) -> list[Any]:
        return await (await connection.execute("SELECT name FROM pg_prepared_statements")).fetchall()

    assert await store._connection.run(prepared) == []


# --- the same copy as in memory ---------------------------------------------------------------------------------------


def held(world: ChangingWorld) -> dict[tuple[int, int], str]:
    return {
        (park, each.id): str(each.status)
        for park in world.versions
        for one in ("completed", "active")
        for each in world.listing(park, one)
    }


async def test_a_copy_and_its_events_are_those_of_a_copy_in_memory(database: Database, store: PostgresqlStore) -> None:
    world = by_chance(11, parks=3, days=60)
    memory = MemoryStore()
    await memory.position("reader")
    for hours in range(0, 50 * 24, 17):
        world.now_ms = BEGIN_MS + hours * HOUR_MS
        assert await sync_once(world, store) == await sync_once(world, memory)

    for park in world.versions:
        log = [await each.events(0, limit=9999, service_location_id=park) for each in (store, memory)]
        first, second = [[attrs.evolve(event, number=0) for event in events] for events in log]
        assert first == second
        assert len(first) > 100
        assert await store.load(park) == await memory.load(park)
        assert await store.known(park, 0, world.now_ms, []) == await memory.known(park, 0, world.now_ms, [])


# --- lost connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", [b"BEGIN", b"UPDATE smappee_sync", b"pg_advisory", b"json_to_rec", b"COMMIT\0"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_that_is_lost_anywhere_in_a_commit_writes_it_once(
    database: Database, cutter: Cutter, statement: bytes, when: Any
) -> None:
    async with PostgresqlStore(cutter.url(database.name)) as store:
        await write(store)
        cutter.at, cutter.when = statement, when
        assert await write(store, change("started", of(1)))
        assert cutter.was_cut == 1
        assert (await store.load(PARK)).generation == 2

    assert await look(database, "SELECT id FROM session_changes") == [(1,)]
    assert await look(database, "SELECT id FROM sessions") == [(1,)]


async def test_a_commit_that_was_rolled_back_with_its_connection_does_not_replace_another(
    database: Database, cutter: Cutter, store: PostgresqlStore
) -> None:
    async with PostgresqlStore(cutter.url(database.name)) as late:
        await write(late)
        commit = Commit(service_location_id=PARK, generation=1, state=STATE, changes=[change("started", of(1))])
        cutter.at = b"COMMIT\0"
        losing = asyncio.create_task(late.commit(commit))
        await cutter.has_cut.wait()
        # The other one waits until the server has rolled the first one back.
        other, lost = await asyncio.gather(
            store.commit(attrs.evolve(commit, changes=[change("started", of(2))])), losing
        )

    # Whoever was first, one of them is written, and says so.
    assert sorted([other, lost]) == [False, True]
    assert await look(database, "SELECT id FROM sessions") == [(2,) if other else (1,)]


def kill(database: Database) -> None:
    ((pid, _),) = database.sessions_of_the_store()
    os.kill(pid, signal.SIGKILL)


async def test_a_backend_that_is_killed_while_nothing_is_under_way_is_replaced(
    database: Database, store: PostgresqlStore
) -> None:
    """A backend that is killed takes all connections down, and the server restarts."""
    await write(store)
    await asyncio.to_thread(kill, database)

    assert await write(store, change("started", of(1)))

    assert await look(database, "SELECT id FROM session_changes") == [(1,)]


async def test_a_backend_that_is_killed_within_a_transaction_is_replaced(
    database: Database, store: PostgresqlStore
) -> None:
    await write(store)
    other = await AsyncConnection.connect(database.url)
    await other.execute("UPDATE smappee_sync SET generation = generation")
    writing = asyncio.create_task(write(store, change("started", of(1))))
    await until_one_waits(database)
    await asyncio.to_thread(kill, database)

    assert await writing

    await other.close()
    assert await look(database, "SELECT id FROM session_changes") == [(1,)]


async def test_a_server_that_stays_away_is_an_error_and_is_used_again_when_it_is_back(
    database: Database, postgresql_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "_REOPEN_WAITS_S", (0.0, 0.0))
    async with cutting(postgresql_place) as cutter, PostgresqlStore(cutter.url(database.name)) as store:
        await write(store)
        cutter.at, cutter.cuts = b"", 100
        with pytest.raises(SyncStoreError, match="could not be reached") as caught:
            await write(store)
        assert "Check that it runs" in caught.value.advice

        cutter.at = None
        assert await write(store, change("started", of(1)))


async def test_an_unknown_outcome_is_an_error_if_the_server_does_not_tell(
    database: Database, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "_REOPEN_WAITS_S", (0.0, 0.0))
    async with PostgresqlStore(cutter.url(database.name)) as store:
        await write(store)
        cutter.at, cutter.when = b"COMMIT\0", "after"
        writing = asyncio.create_task(write(store, change("started", of(1))))
        await cutter.has_cut.wait()
        cutter.at, cutter.when, cutter.cuts = b"", "before", 100
        with pytest.raises(SyncStoreError):
            await writing
        cutter.at = None
        assert (await store.load(PARK)).generation == 2

    assert await look(database, "SELECT id FROM session_changes") == [(1,)]


# --- at once ----------------------------------------------------------------------------------------------------------


async def test_two_syncs_at_once_write_each_change_once(database: Database) -> None:
    world = by_chance(10, parks=3, days=40)
    async with PostgresqlStore(database.url) as first, PostgresqlStore(database.url) as second:
        superseded = 0
        for hours in range(0, 20 * 24, 7):
            world.now_ms = BEGIN_MS + 5 * DAY_MS + hours * HOUR_MS
            reports = await asyncio.gather(sync_once(world, first), sync_once(world, second))
            superseded += sum(report.superseded for report in reports)

    assert superseded > 0
    log = await look(database, "SELECT service_location_id, id, kind, after::text FROM session_changes")
    assert len(log) == len(set(log))


async def until_one_waits(database: Database) -> None:
    while await look(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(1,)]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("generation", [0, 1])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_commit_waits_for_one_that_is_under_way_and_writes_only_if_that_fails(
    database: Database, store: PostgresqlStore, generation: int, end: str
) -> None:
    if generation:
        await write(store)
    async with await AsyncConnection.connect(database.url) as other:
        await other.execute(
            "INSERT INTO smappee_sync VALUES (%s, 1, '{}') ON CONFLICT (service_location_id)"
            " DO UPDATE SET generation = smappee_sync.generation + 1",
            (PARK,),
        )
        commit = Commit(service_location_id=PARK, generation=generation, state=STATE, changes=[change("ended", of(1))])
        writing = asyncio.create_task(store.commit(commit))
        await until_one_waits(database)
        await other.execute(end.encode())
        assert await writing == (end == "ROLLBACK")

    assert (await store.load(PARK)).generation == generation + 1
    assert await look(database, "SELECT id FROM sessions") == ([(1,)] if end == "ROLLBACK" else [])


async def test_events_appear_in_the_order_of_their_numbers(database: Database) -> None:
    """A consumer that reads while several write skips none."""
    stores = [PostgresqlStore(database.url) for _ in range(4)]
    for store in stores:
        await store.__aenter__()
    reader, *writers = stores
    seen: list[int] = []
    done = asyncio.Event()

    async def write_some(store: PostgresqlStore, park: int) -> None:
        for generation in range(40):
            changes = [
                SessionChange(
                    kind="started",
                    service_location_id=park,
                    id=generation * 10 + n,
                    at_ms=BEGIN_MS,
                    after=session(1, BEGIN_MS),
                )
                for n in range(generation % 4 + 1)
            ]
            changes = [
                attrs.evolve(each, after=attrs.evolve(session(each.id, BEGIN_MS), service_location_id=park))
                for each in changes
            ]
            assert await store.commit(
                Commit(service_location_id=park, generation=generation, state=STATE, changes=changes)
            )

    async def read() -> None:
        while True:
            last_time = done.is_set()
            events = await reader.events(seen[-1] if seen else 0, limit=7)
            seen.extend(event.number for event in events)
            if last_time and not events:
                return

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write_some(store, park) for park, store in enumerate(writers, 1)))
    done.set()
    await reading
    for store in stores:
        await store.__aexit__()

    assert [(number,) for number in seen] == await look(database, "SELECT number FROM session_changes ORDER BY 1")
    assert len(seen) == 300


async def test_a_commit_waits_with_its_numbers_for_one_that_has_some(
    database: Database, store: PostgresqlStore
) -> None:
    async with await AsyncConnection.connect(database.url) as other:
        await other.execute("SELECT pg_advisory_xact_lock(1936548208, 2)")
        await other.execute(
            "INSERT INTO session_changes (service_location_id, id, kind, changed_at, after)"
            " VALUES (1, 1, 'started', now(), '{}')"
        )
        writing = asyncio.create_task(write(store, change("started", of(1))))
        await until_one_waits(database)
        # What logs nothing does not wait.
        async with PostgresqlStore(database.url) as third:
            assert await third.commit(Commit(service_location_id=2, generation=0, state=STATE))
            assert await third.last_event() == 0
        await other.commit()
        assert await writing

    assert await look(database, "SELECT number FROM session_changes ORDER BY 1") == [(1,), (2,)]


async def test_a_row_that_another_program_holds_is_an_error_after_a_while(
    database: Database, store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smappee_async.sync.stores.postgresql.LOCK_TIMEOUT_S", 0.05)
    await write(store)
    async with await AsyncConnection.connect(database.url) as other:
        await other.execute("UPDATE smappee_sync SET generation = generation")
        with pytest.raises(SyncStoreError, match="waited in vain") as caught:
            await write(store)
    assert "Another program" in caught.value.advice
    assert await write(store)


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_sync_that_is_cancelled_anywhere_is_made_good_by_the_next(database: Database, turns: int) -> None:
    world = by_chance(9, parks=2, days=40)
    world.now_ms = BEGIN_MS + 20 * DAY_MS
    async with PostgresqlStore(database.url) as store:
        for _ in range(2):
            task = asyncio.create_task(sync_once(world, store))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            task.cancel()
            await asyncio.wait([task])
            assert await idle_connections(database)
            world.now_ms += 9 * HOUR_MS
        await sync_once(world, store)

    rows = await look(database, "SELECT service_location_id, id, status FROM sessions")
    here = {(park, number): status for park, number, status in rows}
    assert {key: here.get(key) for key in held(world)} == held(world)


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 10, 20, 30])
async def test_a_scope_that_is_cancelled_again_and_again_leaves_no_transaction(
    database: Database, delay_ms: int
) -> None:
    """Other than a task, a cancelled scope of anyio cancels each await in it, those of cleaning up included."""
    world = by_chance(9, parks=2, days=40)
    world.now_ms = BEGIN_MS + 20 * DAY_MS
    async with PostgresqlStore(database.url) as store:
        with anyio.move_on_after(delay_ms / 1000):
            await sync_once(world, store)
        assert await idle_connections(database)
        assert (await sync_once(world, store)).failures == ()


async def test_a_commit_that_is_cancelled_while_it_waits_for_a_lock_leaves_nothing(
    database: Database, store: PostgresqlStore
) -> None:
    await write(store)
    async with await AsyncConnection.connect(database.url) as other:
        await other.execute("UPDATE smappee_sync SET generation = generation")
        task = asyncio.create_task(write(store, change("started", of(1))))
        await until_one_waits(database)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # It does not wait any longer, so its statement was cancelled too.
        assert await look(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]

    assert await store.load(PARK) is not None
    assert await look(database, "SELECT count(*) FROM session_changes") == [(0,)]


async def test_work_that_fails_leaves_no_transaction_open(database: Database, store: PostgresqlStore) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("BEGIN")
        raise RuntimeError("by mistake")

    with pytest.raises(RuntimeError, match="by mistake"):
        await store._connection.run(work)

    assert await idle_connections(database)
    assert await write(store)


# --- errors, and secrets ----------------------------------------------------------------------------------------------


async def test_a_database_that_takes_no_writes_can_be_read(database: Database) -> None:
    async with PostgresqlStore(database.url) as store:
        await write(store, change("started", of(1)))
    await look(database, f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")

    async with PostgresqlStore(database.url) as store:
        assert len(await store.events(0, limit=2)) == 1
        with pytest.raises(SyncStoreError, match="takes no writes") as caught:
            await write(store)
    assert "primary" in caught.value.advice


async def test_a_store_that_is_not_open_says_so(database: Database) -> None:
    store = PostgresqlStore(database.url)
    with pytest.raises(SyncStoreError, match="not open"):
        await store.parks()
    async with store:
        pass
    with pytest.raises(SyncStoreError, match="not open"):
        await store.parks()


@pytest.mark.parametrize(
    ("url", "sentence", "advice"),
    [
        ("postgresql://the-user:hunter2@127.0.0.1:1/copy", "could not be reached", "host, port"),
        ("postgresql://the-user:hunter2@127.0.0.1:{port}/missing", "refused the user", "PGPASSWORD"),
        ("postgresql://postgres:hunter2@127.0.0.1:{port}/missing", "does not have this database", "createdb"),
        ("postgresql://the-user:hunter2@127.0.0.1:1/copy?nonsense=hunter2", "URL of the copy", "postgresql://USER"),
        ("postgresql://the-user:hunter2@127.0.0.1:hunter2/copy", "could not be reached", ""),
    ],
)
async def test_what_goes_wrong_at_first_is_a_sentence_without_secrets(
    cutter: Cutter, url: str, sentence: str, advice: str
) -> None:
    with pytest.raises(SyncStoreError, match=sentence) as caught:
        async with open_store(url.format(port=cutter.port)):
            pass

    assert advice in caught.value.advice
    assert shown(SECRETS, everything_about(caught.value)) == []


async def test_neither_the_store_nor_an_error_of_a_commit_shows_a_secret(database: Database) -> None:
    async with PostgresqlStore(database.url + LOGIN) as store:
        assert shown(SECRETS, [repr(store), str(store), repr(vars(store)), repr(vars(store._connection))]) == []
        await look(database, "ALTER TABLE sessions ADD CHECK (rfid <> '04:RFID:99')")
        with pytest.raises(SyncStoreError, match="CheckViolation") as caught:
            await write(store, change("started", of(1, rfid=RFID, extra={"a": RFID})))

    assert shown(SECRETS, everything_about(caught.value)) == []


@pytest.mark.parametrize("steps", range(0, 30, 2))
async def test_a_cancelled_store_shows_no_secret(database: Database, steps: int) -> None:
    async def use() -> None:
        async with open_store(database.url + LOGIN) as store:
            await write(store, change("started", of(1, rfid=RFID)))

    task = asyncio.create_task(use())
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.wait([task])

    if task.cancelled():
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert shown(SECRETS, everything_about(caught.value)) == []
    assert await idle_connections(database)


async def test_an_unknown_url_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError, match="named by a URL") as caught:
        async with open_store(MISSPELT):
            pass

    assert shown(SECRETS, everything_about(caught.value)) == []


async def test_a_sync_that_cannot_reach_its_copy_shows_no_secret(smappee_client: SmappeeClient) -> None:
    async with smappee_client as client:
        for using in (
            sync(client, 1001, to=UNREACHABLE, since=datetime(2026, 9, 1, tzinfo=UTC)),
            verify(client, "2026-01", to=UNREACHABLE),
        ):
            with pytest.raises(SyncStoreError, match="could not be reached") as caught:
                await using
            assert shown(SECRETS, everything_about(caught.value)) == []


async def test_a_copy_follows_the_service(database: Database, smappee_client: SmappeeClient) -> None:
    since = datetime(2025, 1, 1, tzinfo=UTC)
    async with smappee_client as client:
        parks = [location.id for location in await client.service_locations()]
        first = await sync(client, parks, to=database.url, since=since)
        second = await sync(client, parks, to=database.url, since=since)

    assert first.new > 0
    assert (first.failures, second.failures, second.new) == ((), (), 0)
    assert await look(database, "SELECT count(*) FROM sessions") == [(first.new,)]


# --- the extra --------------------------------------------------------------------------------------------------------


def run_python(program: str) -> str:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def test_the_driver_is_imported_only_when_it_is_used() -> None:
    assert run_python("import sys, smappee_async.sync; print('psycopg' in sys.modules)") == "False"


def test_without_the_driver_the_error_says_which_extra_brings_it() -> None:
    program = """
import asyncio, sys
sys.modules["psycopg"] = None
from smappee_async import ConfigurationError
from smappee_async.sync.stores import open_store
async def main():
    async with open_store("postgresql://host/copy"):
        pass
try:
    asyncio.run(main())
except ConfigurationError as error:
    print(error)
"""
    assert "smappee-async[postgresql]" in run_python(program)
