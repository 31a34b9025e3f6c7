"""The SQLite store: other programs, full disks, other versions, and interruptions."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from smappee_async import SyncStoreError
from smappee_async.sync import SqliteStore

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, by_chance
from .support import select, sync_once

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


async def test_a_newer_database_is_refused(path: Path) -> None:
    async with SqliteStore(path):
        pass
    execute(path, "UPDATE smappee_version SET version = 99")

    with pytest.raises(SyncStoreError, match="newer version"):
        async with SqliteStore(path):
            pass


async def test_an_older_database_gets_the_columns_that_it_lacks(path: Path) -> None:
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with SqliteStore(path) as store:
        await sync_once(world, store)
    execute(path, "ALTER TABLE sessions DROP COLUMN extra")
    execute(path, "UPDATE smappee_version SET version = 0")
    before = select(path, "SELECT count(*) AS n FROM sessions")
    world.now_ms += DAY_MS

    async with SqliteStore(path) as store:
        report = await sync_once(world, store)

    assert report.new > 0
    assert {row["extra"] for row in select(path, "SELECT extra FROM sessions")} == {None}
    assert select(path, "SELECT count(*) AS n FROM sessions")[0]["n"] == before[0]["n"] + report.new
    assert select(path, "SELECT version FROM smappee_version") == [{"version": 1}]


async def test_a_database_that_cannot_be_written_is_an_error_with_advice(path: Path) -> None:
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with SqliteStore(path) as store:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(store._thread, store._opened().execute, "PRAGMA query_only = 1")
        with pytest.raises(SyncStoreError, match="readonly") as caught:
            await sync_once(world, store)
    assert "may write to" in caught.value.advice


async def test_a_column_that_the_user_added_stays(path: Path) -> None:
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with SqliteStore(path) as store:
        await sync_once(world, store)
    execute(path, "ALTER TABLE sessions ADD COLUMN cost REAL DEFAULT 1.5")
    world.now_ms += DAY_MS

    async with SqliteStore(path) as store:
        report = await sync_once(world, store)

    assert report.new > 0
    assert {row["cost"] for row in select(path, "SELECT cost FROM sessions")} == {1.5}


async def test_a_file_that_is_no_database_is_an_error_that_names_it(path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"no database" * 100)
    with pytest.raises(SyncStoreError, match=r"copy\.db"):
        async with SqliteStore(path):
            pass


async def test_a_database_that_another_program_holds_is_an_error_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smappee_async.sync.stores.sqlite._BUSY_S", 0.05)
    world = by_chance(7, parks=1, days=10)
    world.now_ms = BEGIN_MS + 5 * DAY_MS
    async with SqliteStore(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SyncStoreError, match="locked") as caught:
            await sync_once(world, store)
        other.execute("ROLLBACK")
        other.close()
        assert "Another program" in caught.value.advice
        assert (await sync_once(world, store)).new > 0


async def test_a_full_disk_leaves_the_copy_as_it_was(path: Path) -> None:
    world = by_chance(8, parks=1, days=60, per_day=50)
    world.now_ms = BEGIN_MS + 2 * DAY_MS
    async with SqliteStore(path) as store:
        await sync_once(world, store)
        before = select(path, "SELECT * FROM sessions"), select(path, "SELECT * FROM smappee_sync")
        world.now_ms += 30 * DAY_MS
        # A limit on the number of pages fails as a full disk does.
        connection = store._opened()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(store._thread, connection.execute, "PRAGMA max_page_count = 30")
        with pytest.raises(SyncStoreError, match="full") as caught:
            await sync_once(world, store)
        assert "as it was before" in caught.value.advice
        after = select(path, "SELECT * FROM sessions"), select(path, "SELECT * FROM smappee_sync")
        assert after == before


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_sync_that_is_cancelled_anywhere_is_made_good_by_the_next(path: Path, turns: int) -> None:
    world = by_chance(9, parks=2, days=40)
    world.now_ms = BEGIN_MS + 20 * DAY_MS
    async with SqliteStore(path) as store:
        for _ in range(2):
            task = asyncio.create_task(sync_once(world, store))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.wait([task])
            world.now_ms += 9 * HOUR_MS
        await sync_once(world, store)

    rows = {(row["service_location_id"], row["id"]): row["status"] for row in select(path, "SELECT * FROM sessions")}
    listed = {
        (park, each.id): str(each.status)
        for park in world.versions
        for one in ("completed", "active")
        for each in world.listing(park, one)
    }
    assert {key: rows.get(key) for key in listed} == listed
    assert select(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


async def test_two_syncs_at_once_write_each_change_once(path: Path) -> None:
    world = by_chance(10, parks=3, days=40)
    async with SqliteStore(path) as first, SqliteStore(path) as second:
        for hours in range(0, 20 * 24, 7):
            world.now_ms = BEGIN_MS + 5 * DAY_MS + hours * HOUR_MS
            await asyncio.gather(sync_once(world, first), sync_once(world, second))

    log = select(path, "SELECT service_location_id, id, kind, after FROM session_changes")
    assert len(log) == len({tuple(row.values()) for row in log})
    assert {row["kind"] for row in log} >= {"started", "ended"}
