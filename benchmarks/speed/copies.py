"""A copy in SQLite: rows a second beside other ways to write the same rows, and what a sync costs the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.speed import loops
from benchmarks.speed.heartbeat import Heartbeat, beating
from benchmarks.speed.measure import Stopwatch, side_by_side
from benchmarks.speed.process import forget_peak, in_fresh_process, peak_bytes, resident_bytes
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import BEGIN_MS, DAY_MS, Kind, parks
from smappee_async import ChargingSession, SessionStatus
from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.sync import DEFAULT_TIERS, Commit, SessionChange, SqliteStore, SyncStore
from smappee_async.sync.run import visit_parks
from smappee_async.sync.source import ClientSource, Reading
from smappee_async.sync.state import ParkState
from smappee_async.sync.steps import compare, gather
from smappee_async.sync.stores.rows import NAMES, to_row
from smappee_async.tables.columns import COLUMNS

_BATCH: Final = 2_000
_MIB: Final = 2**20
_MINUTE_MS: Final = 60_000
#: The URL of an empty database; its rows are printed if it is set.
_POSTGRESQL: Final = "BENCHMARK_POSTGRESQL"


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    rounds = scale.of(5, quick=1)
    written = scale.of(20_000, quick=400)
    return [
        *in_fresh_process(_written, written, rounds),
        *in_fresh_process(_unchanged, written, rounds),
        Row.of(
            "rows are written: longest hold of the loop, CPU",
            [max(in_fresh_process(_held, written).held_s) * 1e3 for _ in range(rounds)],
            "ms",
            Goal(at_most=5),
        ),
        *_memory(scale),
        *_idle(scale),
    ]


def some_sessions(first: int, count: int, park: int = 1) -> list[ChargingSession]:
    """Completed sessions with all fields, a minute apart."""
    return [
        ChargingSession(
            id=number,
            serial_number="6200000001",
            from_ms=BEGIN_MS + number * _MINUTE_MS,
            to_ms=BEGIN_MS + number * _MINUTE_MS + 3_600_000,
            status=SessionStatus.STOPPED,
            connector=1,
            authentication_type="RFID",
            rfid="04AB12CD",
            csms_transaction_id="7d1f",
            user_id=316_799,
            start_reading=1_000.25 + number,
            stop_reading=1_014.5 + number,
            energy=14.25,
            range=100,
            duration=5,
            priority=100,
            suspended_by_user=False,
            external_control=False,
            smart_mode="SOLAR",
            minimum_excess_percentage=75,
            max_amperes=(16, 16, 16),
            service_location_id=park,
        )
        for number in range(first, first + count)
    ]


async def fill(store: SyncStore, count: int, first: int = 0) -> None:
    """Write new sessions, 2,000 with the state in each transaction."""
    generation = (await store.load(1)).generation
    for begin in range(first, first + count, _BATCH):
        sessions = some_sessions(begin, min(_BATCH, first + count - begin))
        changes = [
            SessionChange(
                kind="ended", service_location_id=1, id=session.id, at_ms=BEGIN_MS, is_new=True, after=session
            )
            for session in sessions
        ]
        commit = Commit(
            service_location_id=1,
            generation=generation,
            state=ParkState(BEGIN_MS).to_json(),
            changes=changes,
            is_logged=False,
        )
        assert await store.commit(commit)
        generation += 1
        await asyncio.sleep(0)


# --- rows that are written --------------------------------------------------------------------------------------------


def _written(count: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / f"{number}.db" for number in range(10_000))
        contenders: dict[str, Callable[[], object]] = {
            "ours": lambda: asyncio.run(_fill_new(SqliteStore(next(paths)), count)),
            "aiosqlite": lambda: asyncio.run(_fill_aiosqlite(next(paths), count)),
            "sqlalchemy": lambda: asyncio.run(_fill_sqlalchemy(next(paths), count)),
        }
        if url := os.environ.get(_POSTGRESQL):
            contenders["postgresql"] = lambda: asyncio.run(_fill_postgresql(url, count))
        found = side_by_side(contenders, rounds=rounds)
    dlt_s = [_fill_dlt(min(count, 2_000)) / min(count, 2_000) for _ in range(min(rounds, 3))]
    ours_s = [cpu_s / count for cpu_s in found.cpu_s("ours")]
    rows = [
        Row.of("rows written into SQLite, a second", [count / cost.wall_s for cost in found.costs["ours"]], ""),
        found.micros_each("a row written into SQLite, CPU", "ours", count),
        found.ratio("written: aiosqlite ÷ ours, CPU", "aiosqlite", "ours"),
        found.ratio("written: SQLAlchemy and aiosqlite ÷ ours, CPU", "sqlalchemy", "ours"),
        Row.of("written: dlt into DuckDB ÷ ours, CPU", [each / min(ours_s) for each in dlt_s]),
    ]
    if url:
        rows += [
            Row.of("rows written into PostgreSQL, a second", [count / c.wall_s for c in found.costs["postgresql"]], ""),
            found.micros_each("a row written into PostgreSQL, CPU of the client", "postgresql", count),
        ]
    return rows


async def _fill_new(store: SqliteStore, count: int) -> None:
    async with store:
        await fill(store, count)


async def _fill_postgresql(url: str, count: int) -> None:
    from smappee_async.sync.stores.postgresql import PostgresqlStore  # noqa: PLC0415 - needs an extra

    async with PostgresqlStore(url) as store:
        await fill(store, count, first=int((await store.load(1)).generation) * _BATCH)


_COLUMNS: Final = ", ".join(NAMES)
_UPSERT: Final = (
    f"INSERT INTO sessions ({_COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"
    " ON CONFLICT (service_location_id, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in ("service_location_id", "id"))
)


async def _fill_aiosqlite(path: Path, count: int) -> None:
    """The same rows, with the same pragmas; without fingerprints, and without comparing anything."""
    import aiosqlite  # noqa: PLC0415 - a peer

    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        await connection.execute(
            f"CREATE TABLE sessions ({_COLUMNS}, PRIMARY KEY (service_location_id, id)) WITHOUT ROWID"
        )
        await connection.execute("CREATE INDEX by_start ON sessions (service_location_id, started_at)")
        for begin in range(0, count, _BATCH):
            rows = [to_row(session) for session in some_sessions(begin, min(_BATCH, count - begin))]
            await connection.executemany(_UPSERT, rows)
            await connection.commit()


async def _fill_sqlalchemy(path: Path, count: int) -> None:
    import sqlalchemy as sa  # noqa: PLC0415 - a peer
    from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    types: dict[str, Any] = {"integer": sa.Integer, "boolean": sa.Integer, "energy": sa.Float, "number": sa.Float}
    columns = [
        sa.Column(
            column.name,
            types.get(column.kind, sa.Text),
            primary_key=column.name in ("service_location_id", "id"),
            autoincrement=False,
        )
        for column in COLUMNS
    ]
    metadata = sa.MetaData()
    table = sa.Table("sessions", metadata, *columns, sa.Index("by_start", "service_location_id", "started_at"))
    upsert = insert(table)
    changed = {name: upsert.excluded[name] for name in NAMES if name not in ("service_location_id", "id")}
    upsert = upsert.on_conflict_do_update(index_elements=["service_location_id", "id"], set_=changed)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.begin() as connection:
        await connection.execute(sa.text("PRAGMA synchronous = NORMAL"))
        await connection.run_sync(metadata.create_all)
    for begin in range(0, count, _BATCH):
        rows = [
            dict(zip(NAMES, to_row(session), strict=True))
            for session in some_sessions(begin, min(_BATCH, count - begin))
        ]
        async with engine.begin() as connection:
            await connection.execute(upsert, rows)
    await engine.dispose()


def _fill_dlt(count: int) -> float:
    """Merge the same rows into DuckDB; returns the seconds of CPU."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # noqa: PLC0415 - a peer

    rows = [dict(zip(NAMES, to_row(session), strict=True)) for session in some_sessions(0, count)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pipeline = dlt.pipeline(
            "copies",
            pipelines_dir=f"{folder}/state",
            destination=dlt.destinations.duckdb(f"{folder}/sessions.duckdb"),
            dataset_name="charging",
        )
        stack.callback(pipeline.drop)
        resource = dlt.resource(
            rows, name="sessions", primary_key=("service_location_id", "id"), write_disposition="merge"
        )
        gc.collect()
        stopwatch = Stopwatch()
        pipeline.run(resource)
        return stopwatch.read().cpu_s


# --- rows that are as the copy has them -------------------------------------------------------------------------------


def _unchanged(count: int, rounds: int) -> list[Row]:
    costs = asyncio.run(_compare(count, rounds))
    return [
        Row.of(
            "unchanged rows compared with SQLite, a second",
            [count / cost.wall_s for cost in costs],
            "",
            Goal(at_least=250_000),
        ),
        Row.of("an unchanged row compared with SQLite, CPU", [cost.cpu_s * 1e6 / count for cost in costs], "µs"),
    ]


async def _compare(count: int, rounds: int) -> list[Any]:
    """What a visit does with what it has read: fingerprints, what the copy has, and the comparison."""
    end_ms = BEGIN_MS + count * _MINUTE_MS
    completed = Reading(sessions=some_sessions(0, count), asked_ms=end_ms)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder) / "copy.db") as store:
            await fill(store, count)
            for _ in range(rounds + 1):
                gc.collect()
                stopwatch = Stopwatch()
                found = await gather(Reading(sessions=(), asked_ms=end_ms), completed, rfid="keep")
                known = await store.known(1, 0, end_ms, found.sessions)
                outcome = await compare(1, ParkState(BEGIN_MS), known, found)
                costs.append(stopwatch.read())
                assert outcome.unchanged == count
    return costs[1:]


# --- what the event loop notices --------------------------------------------------------------------------------------


def _held(count: int) -> Heartbeat:
    async def main() -> Heartbeat:
        sessions = some_sessions(0, count)
        end_ms = BEGIN_MS + count * _MINUTE_MS
        reading = Reading(sessions=sessions, asked_ms=end_ms, requests=1, read=[(BEGIN_MS, end_ms)])
        with tempfile.TemporaryDirectory() as folder:
            async with SqliteStore(Path(folder) / "copy.db") as store:
                gc.collect()
                with beating() as heartbeat:
                    await asyncio.sleep(0.01)
                    source = _OneReading(reading)
                    await visit_parks(source, store, [1], since_ms=BEGIN_MS, tiers=DEFAULT_TIERS, rfid="keep")
                    await asyncio.sleep(0.01)
        return heartbeat

    return asyncio.run(main())


@attrs.frozen
class _OneReading:
    """A source whose history comes in batches, as a client's does."""

    _whole: Reading

    async def read(self, park: int, time_range: object, state: object) -> Reading:  # noqa: ARG002
        return attrs.evolve(self._whole, sessions=())

    async def backfill(self, park: int, time_range: object, read: object):  # type: ignore[no-untyped-def] # noqa: ANN202, ARG002
        for first in range(0, len(self._whole.sessions), SLICE_SESSIONS):
            yield attrs.evolve(self._whole, sessions=self._whole.sessions[first : first + SLICE_SESSIONS])


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(scale: Scale) -> Sequence[Row]:
    few, many = scale.of(250_000, quick=4_000), scale.of(1_000_000, quick=16_000)
    peaks = {count: in_fresh_process(peak_of, count) / _MIB for count in (few, many)}
    return [
        Row(f"peak above idle, {few:,} rows written", peaks[few], "MiB"),
        Row("peak of four times as many rows", peaks[many] / peaks[few], goal=Goal(at_most=1.1)),
    ]


def peak_of(count: int) -> int:
    """The peak above an empty copy while so many rows are written, in bytes."""

    async def main() -> int:
        with tempfile.TemporaryDirectory() as folder:
            async with SqliteStore(Path(folder) / "copy.db") as store:
                await fill(store, 20 * _BATCH)
                gc.collect()
                idle = resident_bytes()
                forget_peak()
                await fill(store, count, first=20 * _BATCH)
                return peak_bytes() - idle

    return asyncio.run(main())


# --- parks in which nothing happens -----------------------------------------------------------------------------------


def _idle(scale: Scale) -> Sequence[Row]:
    count = scale.of(10_000, quick=50)
    with serving(Kind(sessions=4, days=30)) as base_url:
        requests, cost = in_fresh_process(_sync_idle, base_url, count)
    return [
        Row(f"{count:,} idle parks: requests a sync", requests, "requests", goal=Goal(at_most=2 * count)),
        Row(f"{count:,} idle parks: a sync", cost.wall_s, "s"),
        Row(f"{count:,} idle parks: a sync, CPU a park", cost.cpu_s * 1e6 / count, "µs"),
    ]


def _sync_idle(base_url: str, count: int) -> tuple[int, Any]:
    async def main() -> tuple[int, Any]:
        numbers = parks(1, count)
        with tempfile.TemporaryDirectory() as folder:
            async with loops.connect(base_url) as client, SqliteStore(Path(folder) / "copy.db") as store:

                async def once() -> int:
                    source = ClientSource(client)
                    report = await visit_parks(
                        source, store, numbers, since_ms=BEGIN_MS + 25 * DAY_MS, tiers=DEFAULT_TIERS, rfid="keep"
                    )
                    assert not report.failures
                    return report.requests

                await once()
                await once()
                stopwatch = Stopwatch()
                return await once(), stopwatch.read()

    return asyncio.run(main())
