"""An Excel workbook holds the sessions that were written, and their sums; no text in it is more than a text."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from smappee_async import (
    ChunkFailure,
    ConfigurationError,
    Credentials,
    NotFound,
    SessionBatch,
    SmappeeClient,
    StreamStats,
    TimeRange,
)
from smappee_async.export.xlsx_file import about_account, about_query, write_xlsx
from smappee_async.export.xlsx_sheets import Book
from smappee_async.export.zones import TimeZones
from smappee_async.rfid import masked
from smappee_async.simulator import Park, SimulatedClock, Simulator, World
from smappee_async.tables.columns import COLUMNS

from .xlsx_support import BRUSSELS, OCTOBER_MS, batch, batches, column, rows, session, written

pytestmark = pytest.mark.anyio

PARKS = (
    Park.hub(1001, sessions_per_day=20),
    Park.office(1002, timezone="America/New_York"),
    Park.home(1003, timezone="Australia/Lord_Howe"),  # changes its clock by half an hour
)
ZONES = {park.service_location_id: ZoneInfo(park.timezone) for park in PARKS}
OCTOBER = TimeRange.month(2026, 10, tz="Europe/Brussels")
HOUR_MS = 3_600_000

# --- a simulated month ------------------------------------------------------------------------------------------------


async def _month(path: Path) -> tuple[Any, list[dict[str, Any]]]:
    """A workbook of a month of three parks, and the records of the ledger, each with its park."""
    async with AsyncExitStack() as stack:
        clock = SimulatedClock.at("2026-11-02T00:00:00Z")
        sim = await stack.enter_async_context(Simulator(World.of(PARKS, seed=5), clock=clock))
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        client = await stack.enter_async_context(SmappeeClient(credentials, base_url=sim.base_url))
        stream = client.sessions(list(ZONES), OCTOBER)
        count = await write_xlsx(stream.batches(), path, zones=TimeZones(ZONES), rfid=str)
        records = [
            {"park": park, **sim.ledger.wire(each)}
            for park in ZONES
            for each in sim.ledger.sessions(park, OCTOBER.start_ms, OCTOBER.end_ms)
        ]
    assert count == len(records) > 500
    return openpyxl.load_workbook(path), records


def _utc(instant_ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=instant_ms)  # noqa: DTZ001 - Excel has no zones


def _local(instant_ms: int, park: int) -> datetime:
    return _utc(instant_ms).replace(tzinfo=UTC).astimezone(ZONES[park]).replace(tzinfo=None)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """What a row should say of a record."""
    return {
        "service_location_id": str(record["park"]),
        "id": str(record["id"]),
        "serial_number": str(record["serialNumber"]),
        "status": record["status"],
        "connector": record["connector"],
        "user_id": str(record["userId"]) if "userId" in record else None,
        "priority": record["priority"],
        "minimum_excess_percentage": record["minimumExcessPercentage"],
        "started_at (UTC)": _utc(record["from"]),
        "started_at (local)": _local(record["from"], record["park"]),
        "ended_at (UTC)": _utc(record["to"]),
        "ended_at (local)": _local(record["to"], record["park"]),
        "energy_kwh": record["energy"],
        "start_reading": record["startReading"],
        "stop_reading": record["stopReading"],
        "energy": record["energy"],
        "range": record["range"],
        "duration": record["duration"],
        "authentication_type": record.get("authenticationType"),
        "csms_transaction_id": record.get("csmsTransactionId"),
        "smart_mode": record.get("smartMode"),
        "rfid": record.get("rfid"),
        "suspended_by_user": record["suspendedByUser"],
        "external_control": record["externalControl"],
        "max_amperes": json.dumps(record["maxAmperes"]),
        "extra": None,
    }


async def test_every_cell_is_that_of_the_record(tmp_path: Path) -> None:
    book, records = await _month(tmp_path / "month.xlsx")

    found = sorted(rows(book["Sessions"]), key=lambda row: (row["service_location_id"], row["id"]))
    assert found == sorted(map(_row, records), key=lambda row: (row["service_location_id"], row["id"]))


async def test_totals_are_the_sums_of_the_records(tmp_path: Path) -> None:
    book, records = await _month(tmp_path / "month.xlsx")

    counts: Counter[tuple[object, ...]] = Counter()
    sums: Counter[tuple[object, ...]] = Counter()
    for record in records:
        park, station = str(record["park"]), str(record["serialNumber"])
        day = datetime.combine(_local(record["from"], record["park"]).date(), datetime.min.time())
        for key in (
            ("all", None, None, None, None),
            ("day", day, None, None, None),
            ("park", None, park, None, None),
            ("station", None, park, station, None),
            ("card", None, None, None, record.get("rfid", "no card")),
        ):
            counts[key] += 1
            sums[key] += Fraction(repr(record["energy"]))  # type: ignore[assignment]
    found = {tuple(row.values())[:5]: tuple(row.values())[5:] for row in rows(book["Totals"])}
    assert found == {key: (counts[key], float(sums[key]), 0) for key in counts}


async def test_the_sheets_have_every_column_of_every_table(tmp_path: Path) -> None:
    book = await written(tmp_path / "one.xlsx", session())

    headers = [header.partition(" (")[0] for header in rows(book["Sessions"])[0]]
    assert list(dict.fromkeys(headers)) == [each.name for each in COLUMNS]


# --- texts ------------------------------------------------------------------------------------------------------------


async def test_ids_of_19_digits_keep_every_digit(tmp_path: Path) -> None:
    long = 9_223_372_036_854_775_807
    book = await written(
        tmp_path / "ids.xlsx", session(id=long, serial_number=str(long), user_id=long, service_location_id=long)
    )

    (row,) = rows(book["Sessions"])
    assert {row[name] for name in ("id", "serial_number", "user_id", "service_location_id")} == {str(long)}


async def test_a_number_that_excel_would_round_is_a_text(tmp_path: Path) -> None:
    book = await written(tmp_path / "n.xlsx", session(priority=10**15 + 1), session(priority=10**15 - 1))

    assert column(book, "priority") == [str(10**15 + 1), 10**15 - 1]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "{=1+1}",
        "+32470123456",
        "-1",
        "@SUM(A1)",
        '=HYPERLINK("http://example.com","x")',
        "http://example.com",
        "mailto:a@example.com",
        "internal:Totals!A1",
        "00012",
        "1E5",
        "TRUE",
        "2026-10-01",
        " spaces ",
        "<r><t>x</t></r>",
        "<r><t>x</t></r></c><c><f>1+1</f>",
        "</is></c>",
        "a\nb",
        "ü😀",
    ],
)
async def test_a_text_stays_the_text_that_it_is(text: str, tmp_path: Path) -> None:
    book = await written(tmp_path / "texts.xlsx", session(csms_transaction_id=text, smart_mode=text), rfid=str)

    for name in ("csms_transaction_id", "smart_mode"):
        header = [cell.value for cell in book["Sessions"][1]].index(name)
        cell = book["Sessions"][2][header]
        assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x00\x07\x1f", "_x0000__x0007__x001F_"),
        ("_x0041_", "_x005F_x0041_"),
        ("\ufffe\uffff", "_xFFFE__xFFFF_"),
    ],
)
async def test_characters_that_xml_does_not_allow_are_written_as_excel_does(
    text: str, escaped: str, tmp_path: Path
) -> None:
    await written(tmp_path / "texts.xlsx", session(smart_mode=text))

    assert f"<t>{escaped}</t>".encode() in _parts(tmp_path / "texts.xlsx")["xl/worksheets/sheet1.xml"]


async def test_a_text_that_is_too_long_for_a_cell_is_cut_and_counted(tmp_path: Path) -> None:
    book = await written(
        tmp_path / "long.xlsx",
        session(smart_mode="x" * 32_767),
        session(smart_mode="x" * 32_768),
        session(smart_mode="<r>" + "x" * 32_767),
    )

    assert [len(text) for text in column(book, "smart_mode")] == [32_767, 32_767, 16_383]
    assert _about(book)["Texts cut at the length that a cell may have"] == 2


async def test_values_that_are_missing_are_empty_cells(tmp_path: Path) -> None:
    book = await written(tmp_path / "open.xlsx", session(to_ms=None, energy=None))

    (row,) = rows(book["Sessions"])
    assert {name for name, value in row.items() if value is not None} == {
        *("service_location_id", "id", "serial_number", "status", "started_at (UTC)", "started_at (local)")
    }


# --- cards ------------------------------------------------------------------------------------------------------------


def _parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


async def test_cards_are_masked_unless_told_otherwise(tmp_path: Path) -> None:
    book = await written(tmp_path / "cards.xlsx", session(rfid="04AB12CD"), session(rfid="04A"))

    assert column(book, "rfid") == ["***2CD", "***"]
    assert not [name for name, part in _parts(tmp_path / "cards.xlsx").items() if b"04A" in part]


def _card_totals(book: Any) -> list[tuple[str, int, float]]:
    return [(row["Card"], row["Sessions"], row["kWh"]) for row in rows(book["Totals"]) if row["Total of"] == "card"]


async def test_cards_that_look_alike_when_masked_are_summed_apart(tmp_path: Path) -> None:
    cards = [session(rfid=rfid, energy=energy) for rfid, energy in (("A123", 1.0), ("B123", 2.0), ("A123", 4.0))]
    book = await written(tmp_path / "cards.xlsx", *cards)

    assert _card_totals(book) == [("***123", 2, 5.0), ("***123", 1, 2.0)]


async def test_sessions_without_a_card_have_a_line_of_their_own(tmp_path: Path) -> None:
    book = await written(tmp_path / "cards.xlsx", session(rfid=None), session(rfid="A123"), rfid=str)

    assert _card_totals(book) == [("no card", 1, 7.25), ("A123", 1, 7.25)]


async def test_cards_that_are_not_shown_are_summed_as_one(tmp_path: Path) -> None:
    cards = [session(rfid=rfid) for rfid in ("A123", "B123", None)]
    book = await written(tmp_path / "cards.xlsx", *cards, rfid=lambda _: None)

    assert column(book, "rfid") == [None] * 3
    assert sorted(_card_totals(book)) == [("no card", 1, 7.25), ("not shown", 2, 14.5)]


# --- times ------------------------------------------------------------------------------------------------------------


async def test_local_times_follow_the_change_of_the_clocks(tmp_path: Path) -> None:
    change_ms = TimeRange.day(2026, 10, 25, tz="UTC").start_ms + HOUR_MS
    book = await written(
        tmp_path / "clocks.xlsx", *(session(from_ms=change_ms + shift) for shift in (-1, 0, HOUR_MS - 1, HOUR_MS))
    )

    assert [moment.time().isoformat("milliseconds") for moment in column(book, "started_at (local)")] == [
        *("02:59:59.999", "02:00:00.000", "02:59:59.999", "03:00:00.000")
    ]
    assert [moment.time().isoformat("milliseconds") for moment in column(book, "started_at (UTC)")] == [
        *("00:59:59.999", "01:00:00.000", "01:59:59.999", "02:00:00.000")
    ]


async def test_a_day_is_that_of_the_park_where_the_session_started(tmp_path: Path) -> None:
    midnight_ms = TimeRange.day(2026, 10, 2, tz="Europe/Brussels").start_ms
    book = await written(tmp_path / "days.xlsx", session(from_ms=midnight_ms - 1), session(from_ms=midnight_ms))

    days = [row["Day (local)"].date() for row in rows(book["Totals"]) if row["Total of"] == "day"]
    assert days == [date(2026, 10, 1), date(2026, 10, 2)]


async def test_a_park_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tz has no time zone for 1001"):
        await written(tmp_path / "zones.xlsx", session(), zones={1002: BRUSSELS})


async def test_a_time_zone_without_a_name_is_refused(tmp_path: Path) -> None:
    one_kind_of_time = (0, 0, 0, 0, 1, 4)
    text = struct.pack(">4s16x6lxxxxxx4s", b"TZif", *one_kind_of_time, b"UTC\0")
    nameless = ZoneInfo.from_file(io.BytesIO(text))

    with pytest.raises(ConfigurationError, match="has no IANA name"):
        await written(tmp_path / "zones.xlsx", session(), zones=nameless)


# --- the sheets -------------------------------------------------------------------------------------------------------


async def test_without_sessions_there_are_the_same_sheets(tmp_path: Path) -> None:
    count = await write_xlsx(batches(), tmp_path / "none.xlsx", zones=TimeZones(BRUSSELS), rfid=masked)
    book = openpyxl.load_workbook(tmp_path / "none.xlsx")

    assert (count, book.sheetnames) == (0, ["Sessions", "Totals", "About"])
    assert [cell.value for cell in book["Sessions"][1]] == list(_row_headers())
    assert [tuple(row.values())[-3:] for row in rows(book["Totals"])] == [(0, 0, 0)]


def _row_headers() -> Iterator[str]:
    for each in COLUMNS:
        yield from (f"{each.name} (UTC)", f"{each.name} (local)") if each.kind == "instant" else (each.name,)


async def test_the_header_stays_in_sight_and_has_filters_for_all_rows(tmp_path: Path) -> None:
    sheet = (await written(tmp_path / "sheet.xlsx", session(), session()))["Sessions"]

    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(3, sheet.max_column).coordinate}"


async def test_every_column_is_wide_enough_for_its_header_and_its_times(tmp_path: Path) -> None:
    sheet = (await written(tmp_path / "sheet.xlsx", session()))["Sessions"]

    # Neighbours of one width are one entry.
    spans = [(range(each.min, each.max + 1), each.width) for each in sheet.column_dimensions.values()]
    widths = {cell.value: next(width for span, width in spans if cell.column in span) for cell in sheet[1]}
    assert [name for name, width in widths.items() if width < max(len(name), 19 if "(" in name else 0)] == []


async def test_energy_and_times_have_formats_of_numbers_and_dates(tmp_path: Path) -> None:
    sheet = (await written(tmp_path / "sheet.xlsx", session()))["Sessions"]

    formats = {header.value: cell.number_format for header, cell in zip(sheet[1], sheet[2], strict=True)}
    assert formats["energy_kwh"] == "#,##0.00####"
    assert formats["started_at (local)"] == formats["ended_at (UTC)"] == "yyyy-mm-dd hh:mm:ss"


async def test_the_chart_shows_the_days_of_the_totals(tmp_path: Path) -> None:
    days = [session(from_ms=OCTOBER_MS + day * 24 * HOUR_MS) for day in (0, 1, 1, 5)]
    sheet = (await written(tmp_path / "chart.xlsx", *days))["Totals"]

    (chart,) = sheet._charts
    (series,) = chart.series
    assert (series.cat.numRef.f, series.val.numRef.f) == ("Totals!$B$3:$B$5", "Totals!$G$3:$G$5")
    assert [cell.value for (cell,) in sheet["A2:A6"]] == ["all", "day", "day", "day", "park"]


async def test_sessions_whose_energy_is_unknown_are_counted_apart(tmp_path: Path) -> None:
    book = await written(tmp_path / "energy.xlsx", session(), session(energy=None))

    assert tuple(rows(book["Totals"])[0].values())[-3:] == (2, 7.25, 1)
    assert _about(book)["Sessions whose kWh are unknown"] == 1


async def test_sums_are_exact(tmp_path: Path) -> None:
    book = await written(tmp_path / "sums.xlsx", *(session(energy=energy) for energy in (1e16, 0.1, 0.2, -1e16)))

    assert rows(book["Totals"])[0]["kWh"] == 0.3


def test_rows_beyond_a_sheet_go_on_in_another_one(tmp_path: Path) -> None:
    with (tmp_path / "many.xlsx").open("wb") as file:
        book = Book(file, str(tmp_path), rows_of_a_sheet=3)
        book.add([session(id=number) for number in range(5)], [None] * 5, BRUSSELS)
        assert book.close([]) == 5

    read: Any = openpyxl.load_workbook(tmp_path / "many.xlsx")
    assert read.sheetnames == ["Sessions", "Sessions 2", "Sessions 3", "Totals", "About"]
    assert [column(read, "id", name) for name in read.sheetnames[:3]] == [["0", "1"], ["2", "3"], ["4"]]
    assert rows(read["Totals"])[0]["Sessions"] == 5


# --- about ------------------------------------------------------------------------------------------------------------


def _about(book: Any) -> dict[str, Any]:
    return dict(book["About"].iter_rows(min_row=2, values_only=True))


async def test_the_file_says_what_was_asked_and_what_became_of_it(tmp_path: Path) -> None:
    failure = ChunkFailure(
        service_location_id=1002, serial_number=None, time_range=OCTOBER, error=NotFound("no such park")
    )
    stats = StreamStats(received=9, sessions=1, filtered=3, duplicates=4, invalid=1)
    book = await written(
        tmp_path / "about.xlsx",
        session(),
        about=lambda: [*about_query({1001: OCTOBER, 1002: OCTOBER}, "completed"), *about_account(stats, [failure])],
    )

    about = _about(book)
    assert datetime.fromisoformat(about.pop("Written at (UTC)")) <= datetime.now(UTC).replace(tzinfo=None)
    assert about.pop("Written by").startswith("smappee-async ")
    assert about.pop("Not read") == f"1002, {OCTOBER}: no such park"
    assert about == {
        "Parks or stations": "1001, 1002",
        "Session starts from (UTC)": "2026-09-30 22:00:00",
        "Session starts before (UTC)": "2026-10-31 23:00:00",
        "State": "completed",
        "Records received": 9,
        "Sessions": 1,
        "Filtered (other state, other time)": 3,
        "Duplicates": 4,
        "Invalid records (missing here)": 1,
        "Ranges not read (missing here)": 1,
        "Local times in Europe/Brussels": "1001",
        "Sessions in this file": 1,
        "Sessions whose kWh are unknown": 0,
    }


async def test_the_account_is_asked_for_when_the_sessions_have_ended(tmp_path: Path) -> None:
    asked = []

    async def some() -> AsyncIterator[SessionBatch]:
        yield batch(session())
        asked.append("sessions")

    def account() -> list[tuple[str, str | int]]:
        asked.append("account")
        return []

    await write_xlsx(some(), tmp_path / "order.xlsx", zones=TimeZones(BRUSSELS), rfid=masked, about=account)

    assert asked == ["sessions", "account"]
