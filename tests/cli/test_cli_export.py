"""Files of a copy."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from .harness import Cloud, Run

#: The copy is a little behind the end of the month, which is the simulator's present.
THIRTY_DAYS = ("--range", "2026-10-01..2026-10-31")
BOUNDS_MS = (1_790_812_800_000, 1_793_404_800_000)


@pytest.fixture
def copy(call: Run, cloud: Cloud, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    assert call("sync", *cloud.parks, "--to", url, "--since", "2026-09-15").code == 0
    return url


def records(cloud: Cloud, *parks: int) -> dict[int, dict[str, Any]]:
    return {each["id"]: each for park in parks for each in cloud.truth(park, *BOUNDS_MS)}


def test_a_csv_of_a_copy_holds_what_the_ledger_holds(run: Run, cloud: Cloud, copy: str, tmp_path: Path) -> None:
    file = tmp_path / "october.csv"
    ended = run("export", "--from", copy, *THIRTY_DAYS, "--format", "csv", "--output", file)

    truth = records(cloud, *cloud.parks)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert ended.code == 0
    assert f"sessions to {file}" in ended.err
    completed = [row for row in rows if row["ended_at"]]
    assert len(completed) == len(truth) > 10
    for row in completed:
        assert Decimal(row["energy_kwh"]) == Decimal(str(truth[int(row["id"])]["energy"]))
        assert row["rfid"] == (f"***{rfid[-3:]}" if (rfid := truth[int(row["id"])].get("rfid")) else "")


def test_one_park_of_a_copy_can_be_written_without_the_service(
    call: Run, cloud: Cloud, copy: str, tmp_path: Path
) -> None:
    file = tmp_path / "park.jsonl"
    options = ("--format", "jsonl", "--rfid", "none", "--output", file)
    nowhere = {"SMAPPEE_BASE_URL": "http://127.0.0.1:1", "SMAPPEE_PASSWORD": ""}
    ended = call("export", cloud.parks[1], "--from", copy, *THIRTY_DAYS, *options, env=nowhere)

    got = [json.loads(line) for line in file.read_text().splitlines()]
    assert ended.code == 0
    assert {line["service_location_id"] for line in got} == {cloud.parks[1]}
    assert {line["id"] for line in got if line["ended_at"]} == set(records(cloud, cloud.parks[1]))
    assert {line["rfid"] for line in got} == {None}


def test_a_parquet_file_of_a_copy_is_that_of_the_service(call: Run, cloud: Cloud, copy: str, tmp_path: Path) -> None:
    options = ("--format", "parquet", "--output")
    assert call("export", "--from", copy, *THIRTY_DAYS, *options, tmp_path / "copy.parquet").code == 0
    service = ("--state", "all", *options)
    assert call("sessions", *cloud.parks, *THIRTY_DAYS, *service, tmp_path / "service.parquet").code == 0

    of_copy, of_service = (
        pq.read_table(tmp_path / name).sort_by([("service_location_id", "ascending"), ("id", "ascending")])
        for name in ("copy.parquet", "service.parquet")
    )
    assert of_copy.num_rows > 60
    assert of_copy == of_service


def test_the_csv_for_excel_has_the_times_of_the_zone(call: Run, cloud: Cloud, copy: str, tmp_path: Path) -> None:
    file = tmp_path / "october.csv"
    options = ("--tz", "Asia/Kolkata", "--format", "csv", "--dialect", "excel-eu", "--output", file)
    assert call("export", "--from", copy, *THIRTY_DAYS, *options).code == 0

    first = next(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines(), delimiter=";"))
    assert first["started_local"] != first["started_at"]
    assert first["started_local"][-2:] == first["started_at"][-2:]


def test_a_copy_that_begins_later_gives_no_whole_file(call: Run, cloud: Cloud, copy: str, tmp_path: Path) -> None:
    file = tmp_path / "september.csv"
    ended = call("export", cloud.parks[0], "--from", copy, "--month", "2026-09", "--format", "csv", "--output", file)

    assert ended.code == 3
    assert f"missing: park {cloud.parks[0]}: the copy begins at 2026-09-15T00:00:00Z" in ended.err
    assert not file.exists()
    assert file.with_name("september.csv.incomplete").exists()


def test_an_empty_copy_is_an_error(call: Run, copy: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute("DELETE FROM smappee_sync")
        connection.commit()
    ended = call("export", "--from", copy, *THIRTY_DAYS, "--format", "csv", "--output", tmp_path / "file")

    assert ended.code == 2
    assert "the copy is empty" in ended.err
    assert not (tmp_path / "file").exists()


def test_a_format_and_a_file_must_be_given(call: Run, copy: str, tmp_path: Path) -> None:
    without_format = call("export", "--from", copy, *THIRTY_DAYS, "--output", tmp_path / "file")
    without_file = call("export", "--from", copy, *THIRTY_DAYS, "--format", "csv")

    assert (without_format.code, without_file.code) == (2, 2)
    assert "--format" in without_format.err
    assert "--output" in without_file.err


def test_a_workbook_of_a_copy_says_what_it_holds(run: Run, cloud: Cloud, copy: str, tmp_path: Path) -> None:
    file = tmp_path / "october.xlsx"
    ended = run("export", "--from", copy, *THIRTY_DAYS, "--tz", "Europe/Brussels", "--format", "xlsx", "--output", file)

    book = openpyxl.load_workbook(file)
    about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True)}
    assert ended.code == 0
    assert book.sheetnames == ["Sessions", "Totals", "About"]
    assert book["Sessions"].max_row - 1 >= len(records(cloud, *cloud.parks))
    assert about["Parks or stations"] == ", ".join(map(str, cloud.parks))
    assert about["Session starts from (UTC)"] == "2026-09-30 22:00:00"


def test_a_workbook_needs_the_name_of_a_file(call: Run, copy: str) -> None:
    ended = call("export", "--from", copy, *THIRTY_DAYS, "--format", "xlsx", "--output", "-")
    assert ended.code == 2
    assert "--format xlsx needs --output" in ended.err
