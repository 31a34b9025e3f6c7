"""What pandas, polars, DuckDB and a Parquet dataset read of a table is what the simulator's ledger says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import pyarrow as pa
import pytest

import smappee_async.tables.schema  # noqa: F401 - imports pyarrow, before an event loop runs
from smappee_async import Credentials, SmappeeClient, TimeRange
from smappee_async.simulator import Park, SimulatedClock, SimulatedSession, Simulator, World
from tests.analysis import need

from .consumers import ZONE, Consumer, Dataset, DuckDb, Pandas, Polars, Row, Total, Totals

#: With the end of daylight saving time, and with sessions that have not ended.
AUTUMN = TimeRange.parse("2026-09-01..2026-11-01", tz=ZONE)
NOW = "2026-10-30T18:00:00Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Values at the ends of what a column can hold, and sessions on both sides of midnight at the end of a month.
ODD = (
    SimulatedSession(id=2**63 - 1, start_ms=1_790_805_599_999, end_ms=1_790_805_600_001, user_id=None),
    SimulatedSession(id=2**53 + 1, start_ms=1_790_805_600_000, end_ms=1_790_809_200_007, user_id=2**53 + 3, rfid=None),
    SimulatedSession(id=1, start_ms=1_790_809_200_000, end_ms=None, extra={"tariff": 'night "B"', "phases": 3}),
    SimulatedSession(
        id=2, start_ms=1_790_809_200_001, end_ms=1_790_809_200_002, start_reading_ckwh=2**53 // 1024, energy_ckwh=1
    ),
)
PARKS = (
    Park.home(1001),
    Park.office(1002, timezone="Europe/London"),
    Park.hub(1003, sessions_per_day=60),
    Park.fixed(1004, ODD),
)


@attrs.frozen
class Truth:
    """What the ledger says: the sessions of each park as rows."""

    rows: dict[int, list[Row]]

    @property
    def totals(self) -> Totals:
        found: dict[tuple[int, str], list[Row]] = {}
        for park, rows in self.rows.items():
            for row in rows:
                month = row["started_at"].astimezone(ZoneInfo(ZONE)).strftime("%Y-%m")
                found.setdefault((park, month), []).append(row)
        return {
            of: Total(
                len(rows),
                sum((row["energy_kwh"] for row in rows), Decimal()),
                min(row["id"] for row in rows),
                max(row["id"] for row in rows),
                min(row["started_at"] for row in rows),
                max((row["ended_at"] for row in rows if row["ended_at"]), default=None),
            )
            for of, rows in found.items()
        }


def truth_of(sim: Simulator) -> Truth:
    return Truth(
        {
            park.service_location_id: [
                row_of(park.service_location_id, each, sim.clock.now_ms)
                for each in sim.ledger.sessions(park.service_location_id, AUTUMN.start_ms, AUTUMN.end_ms, "all")
            ]
            for park in PARKS
        }
    )


def row_of(park: int, session: SimulatedSession, now_ms: int) -> Row:
    is_open = session.open_at(now_ms)
    energy_ckwh = session.energy_ckwh_at(now_ms)
    return {
        "service_location_id": park,
        "id": session.id,
        "serial_number": str(session.serial_number),
        "status": session.status_at(now_ms),
        "connector": session.connector,
        "user_id": session.user_id,
        "priority": session.priority,
        "minimum_excess_percentage": session.minimum_excess_percentage,
        "started_at": instant(session.start_ms),
        "ended_at": None if is_open or session.end_ms is None else instant(session.end_ms),
        "energy_kwh": Decimal(energy_ckwh).scaleb(-2),
        "start_reading": session.start_reading_ckwh / 100,
        "stop_reading": None if is_open else session.stop_reading_ckwh / 100,
        "energy": energy_ckwh / 100,
        "range": float(session.target_range),
        "duration": float(session.target_duration),
        "authentication_type": session.authentication_type,
        "csms_transaction_id": session.csms_transaction_id,
        "smart_mode": session.smart_mode,
        "rfid": session.rfid,
        "suspended_by_user": session.suspended_by_user,
        "external_control": session.external_control,
        "max_amperes": [float(each) for each in session.max_amperes],
        "extra": None if session.extra is None else '{"phases": 3, "tariff": "night \\"B\\""}',
    }


def instant(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


async def read(time_range: TimeRange) -> tuple[Truth, pa.Table]:
    async with Simulator(World.of(PARKS, seed=3), clock=SimulatedClock.at(NOW)) as sim:
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        async with SmappeeClient(credentials, base_url=sim.base_url) as client:
            parks = [park.service_location_id for park in PARKS]
            stream = client.sessions(parks, time_range, state="all")
            table = await stream.table()
            # Most of them by the way without records, and some by that with records.
            assert stream.stats.sessions / 2 < stream.stats.columnar < stream.stats.sessions or not table.num_rows
            return truth_of(sim), table


@pytest.fixture(scope="module")
def autumn() -> tuple[Truth, pa.Table]:
    return asyncio.run(read(AUTUMN))


@pytest.fixture(scope="module")
def empty() -> pa.Table:
    return asyncio.run(read(TimeRange.parse("2001-01", tz=ZONE)))[1]


@pytest.fixture(params=[Pandas, Polars, DuckDb, Dataset], ids=lambda each: each.__name__)
def consumer(request: pytest.FixtureRequest, tmp_path: Path) -> Consumer:
    made: Consumer = request.param(tmp_path / "dataset")
    return made


def by_start(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["started_at"], row["id"]))


@pytest.mark.parametrize("park", [1001, 1004])
def test_every_value_is_that_of_the_ledger(consumer: Consumer, park: int, autumn: tuple[Truth, pa.Table]) -> None:
    truth, table = autumn
    rows = [row for row in consumer.rows(table) if row["service_location_id"] == park]
    assert by_start(rows) == by_start(truth.rows[park])


def test_counts_sums_and_extremes_of_each_park_and_month_are_those_of_the_ledger(
    consumer: Consumer, autumn: tuple[Truth, pa.Table]
) -> None:
    truth, table = autumn
    totals = consumer.totals(table)
    assert totals == truth.totals
    assert {month for _, month in totals} == {"2026-09", "2026-10"}
    assert {park for park, _ in totals} == {1001, 1002, 1003, 1004}


def test_a_table_without_sessions_has_its_columns(consumer: Consumer, empty: pa.Table) -> None:
    assert consumer.rows(empty) == []
    assert consumer.totals(empty) == {}
    assert consumer.columns(empty) == list(row_of(1004, ODD[0], 0))


# --- pandas without Arrow types ---------------------------------------------------------------------------------------


def test_pandas_keeps_ids_decimals_and_times_without_arrow_types(autumn: tuple[Truth, pa.Table]) -> None:
    need("pandas")
    truth, table = autumn
    frame = table.to_pandas()
    frame = frame[frame["service_location_id"] == 1004].sort_values(["started_at", "id"])
    rows = by_start(truth.rows[1004])
    assert frame["id"].tolist() == [row["id"] for row in rows]
    assert frame["energy_kwh"].tolist() == [row["energy_kwh"] for row in rows]
    assert [each.to_pydatetime() for each in frame["started_at"]] == [row["started_at"] for row in rows]


def test_pandas_makes_floats_of_whole_numbers_that_may_be_missing_without_arrow_types(
    autumn: tuple[Truth, pa.Table],
) -> None:
    need("pandas")
    _, table = autumn
    assert str(table.to_pandas()["user_id"].dtype) == "float64"
