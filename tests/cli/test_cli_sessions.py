from __future__ import annotations

import csv
import io
import json
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from smappee_async.rfid import HashedRfid

from .harness import Cloud, Run

MONTH = ("--month", "2026-10")
OCTOBER = (1_790_812_800_000, 1_793_491_200_000)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_json_lines_hold_what_the_ledger_holds(run: Run, cloud: Cloud) -> None:
    ended = run("sessions", cloud.parks[0], *MONTH, "--format", "jsonl")
    truth = {record["id"]: record for record in cloud.truth(cloud.parks[0], *OCTOBER)}
    got = lines(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert len(got) == len(truth) > 10
    for line in got:
        record = truth[line["id"]]
        assert line["service_location_id"] == cloud.parks[0]
        assert line["serial_number"] == str(record["serialNumber"])
        assert datetime.fromisoformat(line["started_at"]).timestamp() * 1000 == record["from"]
        assert datetime.fromisoformat(line["ended_at"]).timestamp() * 1000 == record["to"]
        assert line["started_at"].endswith("Z")
        assert Decimal(line["energy_kwh"]) == Decimal(str(record["energy"]))


def test_csv_has_the_same_rows_as_json_lines(run: Run, call: Run, cloud: Cloud) -> None:
    as_csv = run("sessions", *cloud.parks, *MONTH, "--format", "csv")
    as_lines = call("sessions", *cloud.parks, *MONTH, "--format", "jsonl")
    assert as_csv.code == 0
    assert "\r" not in as_csv.out
    by_id = {str(line["id"]): line for line in lines(as_lines.out)}
    assert len(rows(as_csv.out)) == len(by_id)
    for row in rows(as_csv.out):
        line = by_id[row["id"]]
        assert list(row) == list(line)
        assert row["energy_kwh"] == line["energy_kwh"]
        assert row["suspended_by_user"] == json.dumps(line["suspended_by_user"])
        assert json.loads(row["max_amperes"]) == line["max_amperes"]
        assert row["rfid"] == (line["rfid"] or "")
        assert row["extra"] == ""
        assert line["extra"] is None


def test_fields_that_the_client_does_not_know_are_in_extra(call: Run, cloud: Cloud) -> None:
    cloud.add_fault("unknown_fields")
    as_lines = lines(call("sessions", cloud.parks[0], *MONTH, "--format", "jsonl").out)
    as_csv = rows(call("sessions", cloud.parks[0], *MONTH, "--format", "csv").out)
    assert len(as_lines) == len(as_csv) == len(cloud.truth(cloud.parks[0], *OCTOBER))
    assert all(line["extra"] for line in as_lines)
    by_id = {str(line["id"]): line["extra"] for line in as_lines}
    assert {row["id"]: json.loads(row["extra"]) for row in as_csv} == by_id


def test_the_machine_header_is_stable(call: Run, cloud: Cloud) -> None:
    header = call("sessions", cloud.parks[0], "--day", "2010-01-01", "--format", "csv").out
    assert header == (
        "service_location_id,id,serial_number,status,connector,user_id,priority,minimum_excess_percentage,started_at,"
        "ended_at,energy_kwh,start_reading,stop_reading,energy,range,duration,authentication_type,csms_transaction_id,"
        "smart_mode,rfid,suspended_by_user,external_control,max_amperes,extra\n"
    )


def test_the_table_shows_the_first_rows_and_counts_the_others(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", cloud.parks[0], *MONTH, "--limit", "3")
    *table, summary = ended.out.splitlines()
    truth = cloud.truth(cloud.parks[0], *OCTOBER)
    total = sum(Decimal(str(record["energy"])) for record in truth)
    assert ended.code == 0
    assert len([line for line in table if str(cloud.parks[0]) in line]) == 3
    assert summary.startswith(f"{len(truth)} sessions, {total:,f} kWh, {len(truth) - 3} of them not shown")


def test_a_table_of_nothing_says_so(call: Run, cloud: Cloud) -> None:
    assert call("sessions", cloud.parks[0], "--day", "2010-01-01").out == "0 sessions, 0 kWh\n"


def test_what_is_not_shown_on_a_terminal_has_no_colours(call: Run, cloud: Cloud) -> None:
    assert "\x1b" not in call("sessions", cloud.parks[0], *MONTH).out


@pytest.mark.parametrize(("how", "shown"), [("mask", "masked"), ("show", "whole"), ("none", "nothing")])
def test_an_rfid_is_shown_as_asked_for(call: Run, cloud: Cloud, how: str, shown: str) -> None:
    got = lines(call("sessions", *cloud.parks, *MONTH, "--format", "jsonl", "--rfid", how).out)
    truth = {record["id"]: record.get("rfid") for park in cloud.parks for record in cloud.truth(park, *OCTOBER)}
    assert any(truth.values())
    for line in got:
        rfid = truth[line["id"]]
        expected = {"masked": rfid and f"***{rfid[-3:]}", "whole": rfid, "nothing": None}[shown]
        assert line["rfid"] == expected


def test_an_rfid_is_hashed_with_the_key_of_the_environment(call: Run, cloud: Cloud) -> None:
    key = "sixteen bytes at least"
    got = lines(
        call("sessions", *cloud.parks, *MONTH, "--format", "jsonl", "--rfid", "hash", env={"SMAPPEE_RFID_KEY": key}).out
    )
    truth = {record["id"]: record.get("rfid") for park in cloud.parks for record in cloud.truth(park, *OCTOBER)}
    assert got
    for line in got:
        rfid = truth[line["id"]]
        assert line["rfid"] == (rfid and HashedRfid(key.encode()).of(rfid))


def test_a_hash_needs_a_key(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", *cloud.parks, *MONTH, "--rfid", "hash")
    assert ended.code == 2
    assert "SMAPPEE_RFID_KEY" in ended.err


def test_the_csv_for_excel_has_local_times_of_each_park(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    options = ("--tz", "park", "--format", "csv", "--dialect", "excel-eu", "--output", file)
    assert call("sessions", *cloud.parks, *MONTH, *options).code == 0
    text = file.read_text(encoding="utf-8-sig")
    got = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    zones = {row["service_location_id"]: row["timezone"] for row in rows(call("parks", "--format", "csv").out)}
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert len({row["service_location_id"] for row in got}) == 3
    for row in got:
        started = datetime.fromisoformat(row["started_at"]).replace(tzinfo=UTC)
        local = started.astimezone(ZoneInfo(zones[row["service_location_id"]]))
        assert row["started_local"] == f"{local:%Y-%m-%d %H:%M:%S}"


def test_a_dialect_is_for_csv_only(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", cloud.parks[0], *MONTH, "--dialect", "excel-eu")
    assert ended.code == 2
    assert "--dialect excel-eu is for --format csv" in ended.err


@pytest.mark.parametrize("output", [(), ("--output", "-")])
def test_parquet_needs_a_file(call: Run, cloud: Cloud, output: tuple[str, ...]) -> None:
    ended = call("sessions", cloud.parks[0], *MONTH, "--format", "parquet", *output)
    assert ended.code == 2
    assert "--format parquet needs --output" in ended.err


def test_a_parquet_file_holds_what_the_ledger_holds(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "october.parquet"
    ended = run("sessions", *cloud.parks, *MONTH, "--format", "parquet", "--output", file)
    truth = {record["id"]: record for park in cloud.parks for record in cloud.truth(park, *OCTOBER)}
    got = pq.read_table(file).to_pylist()
    assert (ended.code, ended.out) == (0, "")
    assert f"wrote {len(truth):,} sessions to {file}" in ended.err
    assert {row["id"] for row in got} == set(truth)
    assert len(got) == len(truth) > 60
    for row in got:
        record = truth[row["id"]]
        assert row["started_at"].timestamp() * 1000 == record["from"]
        assert row["energy_kwh"] == Decimal(str(record["energy"]))
        assert row["rfid"] == (f"***{rfid[-3:]}" if (rfid := record.get("rfid")) else None)


def test_a_parquet_file_that_lacks_a_park_is_incomplete(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "october.parquet"
    options = ("--format", "parquet", "--on-error", "collect", "--output", file)
    ended = call("sessions", cloud.parks[0], 99, *MONTH, *options)
    left = tmp_path / "october.parquet.incomplete"
    assert ended.code == 3
    assert list(tmp_path.iterdir()) == [left]
    assert pq.read_table(left).num_rows == len(cloud.truth(cloud.parks[0], *OCTOBER))


def test_a_parquet_file_without_the_zone_of_a_park_is_incomplete(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "october.parquet"
    options = ("--tz", "park", "--format", "parquet", "--on-error", "collect", "--output", file)
    assert call("sessions", cloud.parks[0], 99, *MONTH, *options).code == 3
    assert [each.name for each in tmp_path.iterdir()] == ["october.parquet.incomplete"]


def test_rfids_are_masked_by_default(call: Run, cloud: Cloud) -> None:
    shown = call("sessions", *cloud.parks, *MONTH, "--format", "csv", "--limit", "5").out
    rfids = [record["rfid"] for record in cloud.truth(cloud.parks[0], *OCTOBER) if "rfid" in record]
    assert rfids
    assert not [rfid for rfid in rfids if rfid in shown]


def test_a_month_can_be_meant_in_each_parks_own_zone(call: Run, cloud: Cloud) -> None:
    zones = {row["service_location_id"]: row["timezone"] for row in rows(call("parks", "--format", "csv").out)}
    whole = lines(call("sessions", *cloud.parks, *MONTH, "--tz", "park", "--format", "jsonl").out)
    apart = [
        line
        for park in cloud.parks
        for line in lines(call("sessions", park, *MONTH, "--tz", zones[str(park)], "--format", "jsonl").out)
    ]
    assert len(set(zones.values())) == 3
    assert sorted(line["id"] for line in whole) == sorted(line["id"] for line in apart)


def test_order_by_start_holds_over_parks_of_several_zones(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", *cloud.parks, *MONTH, "--tz", "park", "--order", "start", "--format", "jsonl")
    starts = [line["started_at"] for line in lines(ended.out)]
    assert len(starts) > 60
    assert starts == sorted(starts)


def test_a_park_id_may_have_leading_zeros(call: Run, cloud: Cloud) -> None:
    assert (
        call("sessions", f"0{cloud.parks[0]}", cloud.parks[0], *MONTH).out
        == call("sessions", cloud.parks[0], *MONTH).out
    )


def test_stations_are_asked_by_serial_number(call: Run, cloud: Cloud) -> None:
    serial_number = str(cloud.truth(cloud.parks[0], *OCTOBER)[0]["serialNumber"])
    ended = call("sessions", serial_number, "--stations", *MONTH, "--format", "jsonl")
    assert ended.code == 0
    assert {line["serial_number"] for line in lines(ended.out)} == {serial_number}
    assert call("sessions", serial_number, "--stations", *MONTH).code == 0


def test_active_sessions_have_no_end(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", *cloud.parks, "--range", "2026-10-25..", "--state", "active", "--format", "jsonl")
    got = lines(ended.out)
    assert got
    assert {line["ended_at"] for line in got} == {None}
    assert call("sessions", *cloud.parks, "--range", "2026-10-25..", "--state", "all").code == 0


def test_an_output_file_is_whole_and_readable_as_any_other(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    ended = run("sessions", cloud.parks[0], *MONTH, "--format", "csv", "--output", file, umask=0o022)
    assert (ended.code, ended.out) == (0, "")
    assert len(rows(file.read_text())) == len(cloud.truth(cloud.parks[0], *OCTOBER))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]
    assert f"sessions to {file}" in ended.err


def test_a_failure_leaves_the_old_output_file_alone(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    file.write_text("of yesterday")
    cloud.add_fault("status", status=400, covers_ms=OCTOBER[0])
    assert call("sessions", cloud.parks[0], "--year", "2026", "--format", "csv", "--output", file).code == 1
    assert file.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [file]


def test_an_incomplete_response_never_gets_the_name_of_a_complete_one(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "sessions.csv"
    ended = call("sessions", cloud.parks[0], 99, *MONTH, "--format", "csv", "--on-error", "collect", "--output", file)
    left = tmp_path / "sessions.csv.incomplete"
    assert ended.code == 3
    assert list(tmp_path.iterdir()) == [left]
    assert len(rows(left.read_text())) == len(cloud.truth(cloud.parks[0], *OCTOBER))


def test_the_target_of_a_symbolic_link_is_replaced_and_not_the_link(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    (link := tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    assert call("sessions", cloud.parks[0], *MONTH, "--format", "csv", "--output", link).code == 0
    assert link.is_symlink()
    assert (tmp_path / "target.csv").is_file()


def test_a_device_is_written_to_and_not_replaced(call: Run, cloud: Cloud) -> None:
    assert call("sessions", cloud.parks[0], *MONTH, "--output", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_what_is_missing_is_listed_one_line_per_time_range(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", 99, cloud.parks[0], "--year", "2025", "--format", "csv", "--on-error", "collect")
    assert ended.code == 3
    assert len(rows(ended.out)) > 100
    assert ended.err.splitlines() == [
        "smappee-async: missing: park 99, 2025-01-01T00:00:00Z..2026-01-01T00:00:00Z: Smappee answered 404 Not Found"
    ]


def test_a_record_that_cannot_be_read_is_collected_too(call: Run, cloud: Cloud) -> None:
    cloud.add_fault("bad_json_record", times=1)
    ended = call("sessions", cloud.parks[0], *MONTH, "--format", "jsonl", "--on-error", "collect")
    assert ended.code == 3
    assert len(lines(ended.out)) == len(cloud.truth(cloud.parks[0], *OCTOBER)) - 1
    assert "$.from" in ended.err


def test_a_park_without_details_is_missing_where_its_zone_is_needed(call: Run, cloud: Cloud) -> None:
    ended = call("sessions", 99, cloud.parks[0], *MONTH, "--tz", "park", "--on-error", "collect")
    assert ended.code == 3
    assert "missing: park 99" in ended.err
    assert call("sessions", 99, cloud.parks[0], *MONTH, "--tz", "park").code == 1


def test_the_deadline_covers_the_look_up_of_zones(call: Run, cloud: Cloud) -> None:
    cloud.add_fault("stall_before_headers", route="info")
    ended = call("sessions", cloud.parks[0], *MONTH, "--tz", "park", "--deadline", "0.3")
    assert ended.code == 1
    assert "deadline" in ended.err
