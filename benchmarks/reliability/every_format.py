"""``python -m benchmarks.reliability.every_format``: sessions through every format, read back by the tools of others.

A simulated year of 24 parks is written in each format, of the service and of a copy of it. pandas, polars, DuckDB and
openpyxl read the files, and what they read is compared with the simulator's ledger: every session, and every value that
its record has. The exit code is 1 if anything differs. It needs the extras ``analysis`` and ``test``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import duckdb
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa

from smappee_async import Credentials, SmappeeClient, TimeRange, export
from smappee_async.simulator import Park, SimulatedClock, Simulator, World
from smappee_async.sync import open_copy, sync
from smappee_async.tables import schema  # noqa: F401 - imports pyarrow now, and not while the event loop runs

Row = dict[str, Any]
Kind = Literal["number", "exact", "text", "instant", "boolean", "numbers"]

#: From each column to the key of the ledger's record, and what it holds. A table of its own, to judge by.
_HELD: Final[Mapping[str, tuple[str, Kind]]] = {
    "id": ("id", "exact"),
    "serial_number": ("serialNumber", "text"),
    "status": ("status", "text"),
    "connector": ("connector", "number"),
    "user_id": ("userId", "exact"),
    "priority": ("priority", "number"),
    "minimum_excess_percentage": ("minimumExcessPercentage", "number"),
    "started_at": ("from", "instant"),
    "ended_at": ("to", "instant"),
    "start_reading": ("startReading", "number"),
    "stop_reading": ("stopReading", "number"),
    "energy": ("energy", "number"),
    "range": ("range", "number"),
    "duration": ("duration", "number"),
    "authentication_type": ("authenticationType", "text"),
    "csms_transaction_id": ("csmsTransactionId", "text"),
    "smart_mode": ("smartMode", "text"),
    "rfid": ("rfid", "text"),
    "suspended_by_user": ("suspendedByUser", "boolean"),
    "external_control": ("externalControl", "boolean"),
    "max_amperes": ("maxAmperes", "numbers"),
}
_TEXTS: Final = [name for name, (_, kind) in _HELD.items() if kind in ("text", "exact")]
_PANDAS_TEXTS: Final[Any] = dict.fromkeys(_TEXTS, "str")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KWH_PLACES: Final = Decimal("0.000001")


# --- what was read, in one form ---------------------------------------------------------------------------------------


def plain(value: Any, kind: Kind) -> object:
    """A value as every tool might give it, in one form."""
    if _is_missing(value):
        return None
    match kind:
        case "number":
            return float(str(value).replace(",", "."))
        case "exact":
            return int(value)
        case "text":
            return str(value)
        case "instant":
            return _instant_ms(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "numbers":
            return [float(each) for each in (json.loads(value) if isinstance(value, str) else value)]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value is pd.NaT or (isinstance(value, str) and not value)


def _instant_ms(value: Any) -> int:
    if isinstance(value, int):
        return value
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return round((instant - _EPOCH) / _MILLISECOND)


def _kwh(value: Any) -> Decimal | None:
    if _is_missing(value):
        return None
    return Decimal(str(value).replace(",", ".")).quantize(_KWH_PLACES)


def _truth_kwh(record: Row) -> Decimal | None:
    if "energy" in record:
        return _kwh(record["energy"])
    if "startReading" in record and "stopReading" in record:
        return _kwh(Decimal(str(record["stopReading"])) - Decimal(str(record["startReading"])))
    return None


def differences(
    rows: Iterable[Row], truth: Mapping[tuple[int, int], Row], *, to_seconds: bool = False
) -> tuple[int, int]:
    """How many sessions were read, and how many of them, or of the ledger's, differ.

    :param to_seconds: times were written to the second.
    """
    found: set[tuple[int, int]] = set()
    wrong = count = 0
    for row in rows:
        count += 1
        identity = (int(row["service_location_id"]), int(row["id"]))
        record = truth.get(identity)
        if record is None or identity in found or not _agrees(row, record, to_seconds=to_seconds):
            wrong += 1
        found.add(identity)
    return count, wrong + len(truth.keys() - found)


def _agrees(row: Row, record: Row, *, to_seconds: bool) -> bool:
    if _kwh(row["energy_kwh"]) != _truth_kwh(record):
        return False
    for name, (key, kind) in _HELD.items():
        read, known = plain(row[name], kind), plain(record.get(key), kind)
        if to_seconds and kind == "instant" and isinstance(read, int) and isinstance(known, int):
            read, known = read // 1000, known // 1000
        if read != known:
            return False
    return True


# --- by whom ----------------------------------------------------------------------------------------------------------


def _pandas_csv(path: Path) -> Iterator[Row]:
    return _of_pandas(pd.read_csv(path, dtype=_PANDAS_TEXTS, keep_default_na=False))


def _pandas_excel_eu(path: Path) -> Iterator[Row]:
    texts = _PANDAS_TEXTS
    return _of_pandas(pd.read_csv(path, sep=";", decimal=",", encoding="utf-8-sig", dtype=texts, keep_default_na=False))


def _of_pandas(frame: pd.DataFrame) -> Iterator[Row]:
    columns = [frame[name].tolist() for name in frame.columns]
    return (dict(zip(frame.columns, values, strict=True)) for values in zip(*columns, strict=True))


def _of_polars(frame: pl.DataFrame) -> Iterator[Row]:
    return frame.iter_rows(named=True)


def _of_duckdb(source: str, *values: object, **tables: object) -> Iterator[Row]:
    """The rows of a source, with times in milliseconds, because DuckDB needs pytz to hand out zoned times."""
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        times = "epoch_ms(started_at) AS started_at, epoch_ms(ended_at) AS ended_at"
        read = connection.execute(f"SELECT * REPLACE ({times}) FROM {source}", values)
        names = [each[0] for each in read.description or ()]
        while some := read.fetchmany(10_000):
            yield from (dict(zip(names, each, strict=True)) for each in some)


def _openpyxl(path: Path) -> Iterator[Row]:
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        for sheet in book.worksheets:
            if sheet.title.startswith("Sessions"):
                lines = sheet.iter_rows(values_only=True)
                names = [str(name).removesuffix(" (UTC)") for name in next(lines)]
                yield from (dict(zip(names, values, strict=True)) for values in lines)
    finally:
        book.close()


def _polars_csv(path: Path) -> Iterator[Row]:
    texts = dict.fromkeys(_TEXTS, pl.String())
    return _of_polars(pl.read_csv(path, infer_schema_length=None, schema_overrides=texts))


def _lines_of_json(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


#: The format, the file, who reads it, and how.
_READERS: Final[Sequence[tuple[str, str, str, Callable[[Path], Iterator[Row]]]]] = (
    ("csv", "sessions.csv", "pandas", _pandas_csv),
    ("csv", "sessions.csv", "polars", _polars_csv),
    ("csv for Excel", "excel-eu.csv", "pandas", _pandas_excel_eu),
    ("jsonl", "sessions.jsonl", "polars", lambda path: _of_polars(pl.read_ndjson(path, infer_schema_length=None))),
    ("jsonl", "sessions.jsonl", "json", _lines_of_json),
    ("parquet", "sessions.parquet", "pandas", lambda path: _of_pandas(pd.read_parquet(path))),
    ("parquet", "sessions.parquet", "polars", lambda path: _of_polars(pl.read_parquet(path))),
    ("parquet", "sessions.parquet", "DuckDB", lambda path: _of_duckdb("read_parquet(?)", str(path))),
    ("xlsx", "sessions.xlsx", "openpyxl", _openpyxl),
    ("parquet of a copy", "copy.parquet", "DuckDB", lambda path: _of_duckdb("read_parquet(?)", str(path))),
    ("csv of a copy", "copy.csv", "pandas", _pandas_csv),
)
_TABLE_READERS: Final[Sequence[tuple[str, Callable[[pa.Table], Iterator[Row]]]]] = (
    ("pandas", lambda table: _of_pandas(table.to_pandas())),
    ("polars", lambda table: _of_polars(pl.DataFrame(table))),
    ("DuckDB", lambda table: _of_duckdb("sessions", sessions=table)),
)

# --- the run ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Line:
    """One line of the table: a format, and who read it."""

    format: str
    reader: str
    sessions: int
    wrong: int
    written_s: float
    size_bytes: int


def _parks(count: int) -> list[Park]:
    kinds: list[Callable[[int], Park]] = [
        Park.home,
        Park.office,
        Park.office,
        lambda number: Park.hub(number, sessions_per_day=50),
    ]
    return [kinds[number % len(kinds)](1001 + number) for number in range(count)]


async def run(parks: int, time_range: TimeRange) -> tuple[int, list[Line]]:
    """Write, read and compare; returns the number of sessions too."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clock = SimulatedClock.at("2026-11-01T00:00:00Z")
        sim = await stack.enter_async_context(Simulator(World.of(_parks(parks), seed=12), clock=clock))
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        client = await stack.enter_async_context(SmappeeClient(credentials, base_url=sim.base_url))
        numbers = [1001 + number for number in range(parks)]
        truth = {
            (number, each.id): dict(sim.ledger.wire(each))
            for number in numbers
            for each in sim.ledger.sessions(number, time_range.start_ms, time_range.end_ms)
        }
        took = await _write(client, numbers, time_range, directory)
        began = time.perf_counter()
        table = await client.sessions(numbers, time_range).table()
        took_s = time.perf_counter() - began
        lines = [
            Line("Arrow table", name, *differences(read(table), truth), took_s, table.nbytes)
            for name, read in _TABLE_READERS
        ]
        for kind, name, reader, read_file in _READERS:
            file = directory / name
            counts = differences(read_file(file), truth, to_seconds=kind == "csv for Excel")
            lines.append(Line(kind, reader, *counts, took[name], file.stat().st_size))
        return len(truth), lines


async def _write(client: SmappeeClient, parks: list[int], time_range: TimeRange, directory: Path) -> dict[str, float]:
    """Writes every file; returns the seconds that each took."""
    took: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[Path]:
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.perf_counter()
        yield directory / name
        took[name] = time.perf_counter() - began

    with timed("sessions.csv") as path:
        await export.csv(client.sessions(parks, time_range), path, rfid="show")
    with timed("excel-eu.csv") as path:
        await export.csv(client.sessions(parks, time_range), path, dialect="excel-eu", rfid="show")
    with timed("sessions.jsonl") as path:
        await export.jsonl(client.sessions(parks, time_range), path, rfid="show")
    with timed("sessions.parquet") as path:
        await export.parquet(client.sessions(parks, time_range), path, rfid="show")
    with timed("sessions.xlsx") as path:
        await export.xlsx(client.sessions(parks, time_range), path, rfid="show")
    url = f"sqlite:///{directory / 'copy.db'}"
    await sync(client, parks, to=url, since=time_range.start)
    async with open_copy(url) as copy:
        with timed("copy.parquet") as path:
            await export.parquet(copy.sessions(None, time_range), path, rfid="show")
        with timed("copy.csv") as path:
            await export.csv(copy.sessions(None, time_range), path, rfid="show")
    return took


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the table; returns 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.every_format", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a week of four parks")
    quick = parser.parse_args(arguments).quick
    end = datetime(2026, 10, 1, tzinfo=UTC)
    time_range = TimeRange(end - timedelta(days=7 if quick else 365), end)
    parks = 4 if quick else 24
    sessions, lines = asyncio.run(run(parks, time_range))
    print(f"{parks} parks, {time_range.duration.days if time_range.duration else 0} days: {sessions:,} sessions")
    print(f"{'format':<18}{'read by':<10}{'sessions':>10}{'differ':>8}{'written in':>12}{'size':>12}")
    for line in lines:
        size = f"{line.size_bytes / 2**20:,.1f} MiB"
        print(
            f"{line.format:<18}{line.reader:<10}{line.sessions:>10,}{line.wrong:>8,}{line.written_s:>10.1f} s{size:>12}"
        )
    is_met = all(line.wrong == 0 and line.sessions == sessions for line in lines)
    print("all of it met" if is_met else "NOT MET")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
