"""Sessions as CSV and JSON lines."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ConfigurationError, SessionStatus, export
from smappee_async.export.text import CsvText, JsonLinesText
from smappee_async.models import FrozenDict
from smappee_async.rfid import HashedRfid

from .support import OCTOBER, Source, session

#: What shared documentation promises, written down once more.
HEADER = (
    "service_location_id,id,serial_number,status,connector,user_id,priority,minimum_excess_percentage,started_at,"
    "ended_at,energy_kwh,start_reading,stop_reading,energy,range,duration,authentication_type,csms_transaction_id,"
    "smart_mode,rfid,suspended_by_user,external_control,max_amperes,extra"
)
FULL = session(
    7,
    from_ms=OCTOBER.start_ms + 1,
    to_ms=OCTOBER.start_ms + 3_600_000,
    connector=2,
    rfid="04AB12CD",
    start_reading=100.5,
    stop_reading=114.75,
    range=-3,
    suspended_by_user=False,
    max_amperes=(16.0, 10),
    extra=FrozenDict({"note": 'a "quoted", text\n', "deep": [1, {"none": None}], "count": 2**70}),
)
KEY = b"sixteen bytes at least"


def csv_rows(text: str, **dialect: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), **dialect))


def standard(*sessions: Any, **options: Any) -> list[dict[str, str]]:
    text = CsvText(**options)
    return csv_rows(text.begin() + text.add(sessions) + text.end())


def excel(*sessions: Any, **options: Any) -> list[dict[str, str]]:
    text = CsvText("excel-eu", **options)
    return csv_rows((text.begin() + text.add(sessions) + text.end()).removeprefix("\ufeff"), delimiter=";")


def json_lines(*sessions: Any, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in JsonLinesText(**options).add(sessions).splitlines()]


def test_the_header_is_the_one_that_is_promised() -> None:
    assert CsvText().begin() == f"{HEADER}\n"


def test_json_lines_have_the_same_columns() -> None:
    [row] = json_lines(FULL)

    assert list(row) == HEADER.split(",")


def test_a_row_of_the_csv_holds_every_value() -> None:
    [row] = standard(FULL)

    assert {name: value for name, value in row.items() if value and name != "extra"} == {
        "service_location_id": "1001",
        "id": "7",
        "serial_number": "6100000001",
        "status": "STOPPED",
        "connector": "2",
        "started_at": "2026-10-01T00:00:00.001Z",
        "ended_at": "2026-10-01T01:00:00.000Z",
        "energy_kwh": "14.25",
        "start_reading": "100.5",
        "stop_reading": "114.75",
        "range": "-3",
        "rfid": "***2CD",
        "suspended_by_user": "false",
        "max_amperes": "[16.0, 10]",
    }
    assert json.loads(row["extra"]) == FULL.extra


def test_a_json_line_holds_every_value_with_its_type() -> None:
    [row] = json_lines(FULL)

    assert {name: value for name, value in row.items() if value is not None} == {
        "service_location_id": 1001,
        "id": 7,
        "serial_number": "6100000001",
        "status": "STOPPED",
        "connector": 2,
        "started_at": "2026-10-01T00:00:00.001Z",
        "ended_at": "2026-10-01T01:00:00.000Z",
        "energy_kwh": "14.25",
        "start_reading": 100.5,
        "stop_reading": 114.75,
        "range": -3,
        "rfid": "***2CD",
        "suspended_by_user": False,
        "max_amperes": [16.0, 10],
        "extra": FULL.extra,
    }


def test_a_status_that_is_not_known_keeps_its_text() -> None:
    parked = session(status=SessionStatus("PARKED"))

    assert [standard(parked)[0]["status"], json_lines(parked)[0]["status"]] == ["PARKED", "PARKED"]


def test_energy_has_all_digits_and_no_exponent() -> None:
    [row] = standard(session(energy=1e-7))

    assert row["energy_kwh"] == "0.0000001"


@pytest.mark.parametrize(
    ("choice", "shown"),
    [("mask", "***2CD"), ("show", "04AB12CD"), ("none", ""), (HashedRfid(KEY), HashedRfid(KEY).of("04AB12CD"))],
)
def test_an_rfid_is_shown_as_asked_for(choice: Any, shown: str) -> None:
    assert standard(FULL, rfid=choice)[0]["rfid"] == shown
    assert excel(FULL, rfid=choice)[0]["rfid"] == shown
    assert json_lines(FULL, rfid=choice)[0]["rfid"] == (shown or None)


def test_the_csv_for_excel_begins_with_a_byte_order_mark() -> None:
    assert CsvText("excel-eu").begin().encode().startswith(b"\xef\xbb\xbf" + HEADER.replace(",", ";").encode())


def test_the_csv_for_excel_has_decimal_commas_and_times_that_excel_reads() -> None:
    [row] = excel(FULL)

    assert (row["energy_kwh"], row["start_reading"], row["range"]) == ("14,25", "100,5", "-3")
    assert (row["started_at"], row["ended_at"]) == ("2026-10-01 00:00:00", "2026-10-01 01:00:00")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_text_that_excel_would_run_is_disarmed(start: str) -> None:
    [row] = excel(session(csms_transaction_id=f"{start}1+1", smart_mode="1=1"))

    assert (row["csms_transaction_id"], row["smart_mode"]) == (f"'{start}1+1", "1=1")


def test_a_number_below_zero_is_no_text_and_is_not_disarmed() -> None:
    [row] = excel(session(energy=-0.5, priority=-1))

    assert (row["energy_kwh"], row["energy"], row["priority"]) == ("-0,5", "-0,5", "-1")


def test_programs_get_a_text_as_it_is() -> None:
    assert standard(session(csms_transaction_id="=1+1"))[0]["csms_transaction_id"] == "=1+1"


@given(st.text(), st.text())
def test_any_text_is_one_cell_that_is_no_formula(first: str, second: str) -> None:
    [row] = excel(session(csms_transaction_id=first, smart_mode=second), rfid="show")

    for given_text, cell in ((first, row["csms_transaction_id"]), (second, row["smart_mode"])):
        assert cell in (given_text, f"'{given_text}")
        assert not cell or cell[0] not in "=+-@\t\r\n"


def test_local_times_stand_beside_those_in_utc() -> None:
    winter = session(from_ms=OCTOBER.end_ms, to_ms=None)
    rows = excel(FULL, winter, tz="Europe/Brussels")

    assert [(row["started_at"], row["started_local"], row["ended_local"]) for row in rows] == [
        ("2026-10-01 00:00:00", "2026-10-01 02:00:00", "2026-10-01 03:00:00"),
        ("2026-11-01 00:00:00", "2026-11-01 01:00:00", ""),
    ]


def test_each_park_has_its_own_local_time() -> None:
    zones = {1001: "Europe/Brussels", 1002: ZoneInfo("Asia/Kolkata")}
    rows = excel(FULL, session(from_ms=FULL.from_ms, service_location_id=1002), tz=zones)

    assert [row["started_local"][11:] for row in rows] == ["02:00:00", "05:30:00"]


def test_a_park_without_a_zone_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no time zone for 1001"):
        excel(FULL, tz={1002: "Europe/Brussels"})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dialect": "excel"}, "'standard' or 'excel-eu', not 'excel'"),
        ({"tz": "UTC"}, "tz cannot be used with the dialect 'standard'"),
        ({"dialect": "excel-eu", "tz": "Nowhere"}, "no time zone 'Nowhere'"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        CsvText(**options)


@pytest.mark.anyio
async def test_a_file_holds_the_batches_in_their_order(tmp_path: Path) -> None:
    sessions = [session(number, energy=number / 8) for number in range(3000)]

    written = await export.csv(Source([sessions[:1], [], sessions[1:]]), tmp_path / "file.csv")

    rows = csv_rows(await asyncio.to_thread(written.path.read_text))
    assert [int(row["id"]) for row in rows] == list(range(3000))
    assert [Decimal(row["energy_kwh"]) for row in rows] == [Decimal(number) / 8 for number in range(3000)]


@pytest.mark.anyio
async def test_a_file_without_sessions_has_a_header(tmp_path: Path) -> None:
    written = await export.csv(Source(), tmp_path / "file.csv")

    assert await asyncio.to_thread(written.path.read_text) == f"{HEADER}\n"
