from __future__ import annotations

import asyncio
import json
import os
import pty
import sqlite3
import struct
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from smappee_async.sync import SqliteStore

from .harness import Cloud, Run, Start

MONTH = ("--month", "2026-10")
UTC_MONTH = (*MONTH, "--tz", "UTC")
#: Over when the copy is synced, which leaves out the latest minutes.
THIRTY_DAYS = ("--range", "2026-10-01..2026-10-31", "--tz", "UTC")
OCTOBER = (1_790_812_800_000, 1_793_491_200_000)


def sums(text: str) -> Any:
    return json.loads(text)


def ended(cloud: Cloud, *parks: int) -> list[dict[str, Any]]:
    """What the ledger has of October in UTC, without what still runs."""
    found = [record for park in parks for record in cloud.truth(park, *OCTOBER)]
    return [record for record in found if record.get("to")]


def kwh(records: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(str(record["energy"])) for record in records), Decimal(0))


@pytest.fixture
def copy(call: Run, cloud: Cloud, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    assert call("sync", *cloud.parks, "--to", url, "--since", "2026-09-15").code == 0
    return url


# --- the service ------------------------------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_ledger(run: Run, cloud: Cloud) -> None:
    done = run("summary", *cloud.parks, *UTC_MONTH, "--json", "--rfid", "show")
    truth = ended(cloud, *cloud.parks)
    found = sums(done.out)

    assert (done.code, done.err) == (0, "")
    assert found["is_complete"] is True
    assert found["missing"] == []
    assert found["total"] == {"sessions": len(truth), "energy_kwh": str(kwh(truth)), "without_energy": 0}
    starts = Counter(str(datetime.fromtimestamp(record["from"] / 1000, UTC).date()) for record in truth)
    assert {day["date"]: day["sessions"] for day in found["days"] if day["sessions"]} == starts
    assert [day["date"] for day in found["days"]] == [f"2026-10-{day:02d}" for day in range(1, 32)]
    cards = Counter(record.get("rfid") for record in truth)
    assert {card["rfid"]: card["sessions"] for card in found["cards"]} == cards
    connectors = Counter((str(record["serialNumber"]), record["connector"]) for record in truth)
    assert {(each["serial_number"], each["connector"]): each["sessions"] for each in found["connectors"]} == connectors
    assert sum(map(sum, found["hours"])) == len(truth)


def test_the_keys_of_the_json_are_stable(call: Run, cloud: Cloud) -> None:
    found = sums(call("summary", cloud.parks[0], *MONTH, "--json").out)

    assert list(found) == [
        *("is_complete", "missing", "parks", "total", "open", "days", "cards", "connectors", "hours"),
    ]
    counts = ["sessions", "energy_kwh", "without_energy"]
    assert list(found["total"]) == list(found["open"]) == counts
    assert list(found["parks"][0]) == ["service_location_id", "time_zone", "from", "to", "synced_until", *counts]
    assert list(found["days"][0]) == ["date", *counts]
    assert list(found["cards"][0]) == ["rfid", *counts]
    assert list(found["connectors"][0]) == ["service_location_id", "serial_number", "connector", *counts]
    assert [len(hours) for hours in found["hours"]] == [24] * 7


def test_days_are_those_of_each_park(call: Run, cloud: Cloud) -> None:
    found = sums(call("summary", *cloud.parks, *MONTH, "--json").out)
    zones = {park["service_location_id"]: park["time_zone"] for park in found["parks"]}
    assert len(set(zones.values())) == 3
    for park, zone in zones.items():
        alone = sums(call("summary", park, *MONTH, "--tz", zone, "--json").out)
        assert alone["parks"][0] == next(each for each in found["parks"] if each["service_location_id"] == park)
        begin = datetime(2026, 10, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert alone["parks"][0]["from"] == f"{begin:%Y-%m-%dT%H:%M:%S}.000Z"


def test_sessions_that_run_are_counted_apart(call: Run, cloud: Cloud) -> None:
    rest = ("--range", "2026-10-25..", "--tz", "UTC")
    running = [
        json.loads(line)
        for line in call("sessions", *cloud.parks, *rest, "--state", "active", "--format", "jsonl").out.splitlines()
    ]
    found = sums(call("summary", *cloud.parks, *rest, "--json").out)

    assert running
    assert found["open"]["sessions"] == len(running)
    assert Decimal(found["open"]["energy_kwh"]) == sum(Decimal(line["energy_kwh"] or 0) for line in running)
    page = call("summary", *cloud.parks, *rest).out
    assert page.splitlines()[2].startswith(f"{len(running)} session")
    assert "still open" in page.splitlines()[2]
    assert "and on" in page.splitlines()[0]


@pytest.mark.parametrize(("how", "shown"), [("mask", "masked"), ("show", "whole"), ("none", "nothing")])
def test_a_card_is_shown_as_asked_for(call: Run, cloud: Cloud, how: str, shown: str) -> None:
    cards = {record["rfid"] for record in ended(cloud, cloud.parks[0]) if "rfid" in record}
    page = call("summary", cloud.parks[0], *UTC_MONTH, "--rfid", how, "--limit", "999").out
    as_json = call("summary", cloud.parks[0], *UTC_MONTH, "--rfid", how, "--json").out
    assert cards
    for text in (page, as_json):
        assert {card for card in cards if card in text} == (cards if shown == "whole" else set())
        assert {card for card in cards if f"***{card[-3:]}" in text} == (cards if shown == "masked" else set())
    assert (sums(as_json)["cards"] is None) == (shown == "nothing")
    assert ("\nCards\n" in page) == (shown != "nothing")


def test_what_is_above_the_limit_is_added_up_in_one_row(call: Run, cloud: Cloud) -> None:
    found = sums(call("summary", cloud.parks[0], *MONTH, "--json").out)
    page = call("summary", cloud.parks[0], *MONTH, "--limit", "2").out.partition("\nCards\n")[2].splitlines()

    rest = found["cards"][2:]
    energy = sum(Decimal(card["energy_kwh"]) for card in rest)
    assert page[4].split() == [
        *(str(len(rest)), "more", str(sum(card["sessions"] for card in rest)), f"{energy:,.2f}"),
    ]


def test_a_year_is_shown_by_months_and_given_by_days(call: Run, cloud: Cloud) -> None:
    year = ("--year", "2025", "--tz", "UTC")
    page = call("summary", cloud.parks[0], *year).out
    found = sums(call("summary", cloud.parks[0], *year, "--json").out)

    months = [line.split()[0] for line in page.partition("\nMonths\n")[2].splitlines()[2:14]]
    assert months == [f"2025-{month:02d}" for month in range(1, 13)]
    assert len(found["days"]) == 365
    march = sum(Decimal(day["energy_kwh"]) for day in found["days"] if day["date"].startswith("2025-03"))
    assert f"2025-03   {march:>8,.2f}" in page


def test_nothing_is_a_page_of_its_own(call: Run, cloud: Cloud) -> None:
    done = call("summary", cloud.parks[0], "--day", "2010-01-01", "--tz", "UTC")

    assert done.out == f"Park {cloud.parks[0]}, 2010-01-01 (UTC)\n0 sessions ended: 0.00 kWh\n"
    assert done.code == 0


def test_days_that_are_still_to_come_are_left_out(call: Run, cloud: Cloud) -> None:
    found = sums(call("summary", cloud.parks[0], "--range", "2026-10-01..9000-01-01", "--tz", "UTC", "--json").out)

    assert found["days"][0]["date"] == "2026-10-01"
    assert "2026-10-30" < found["days"][-1]["date"] < "9000"


# --- what is missing --------------------------------------------------------------------------------------------------


def test_what_could_not_be_read_is_told_in_the_output(call: Run, cloud: Cloud) -> None:
    page = call("summary", 99, cloud.parks[0], *UTC_MONTH, "--on-error", "collect")
    as_json = call("summary", 99, cloud.parks[0], *UTC_MONTH, "--on-error", "collect", "--json")

    assert (page.code, as_json.code) == (3, 3)
    assert "INCOMPLETE, missing: park 99" in page.out
    assert "missing: park 99" in page.err
    assert sums(as_json.out)["is_complete"] is False
    assert sums(as_json.out)["missing"][0].startswith("park 99, 2026-10-01T00:00:00Z..2026-11-01T00:00:00Z: ")
    assert sums(as_json.out)["total"]["sessions"] == len(ended(cloud, cloud.parks[0]))


def test_a_park_whose_zone_is_not_known_is_missing(call: Run, cloud: Cloud) -> None:
    done = call("summary", 99, cloud.parks[0], *MONTH, "--on-error", "collect", "--json")
    assert done.code == 3
    assert [park["service_location_id"] for park in sums(done.out)["parks"]] == [cloud.parks[0]]
    alone = call("summary", 99, *MONTH, "--on-error", "collect")
    assert alone.code == 3
    assert alone.out.startswith("0 parks")


def test_without_collecting_a_failure_is_an_error_and_no_output(call: Run, cloud: Cloud) -> None:
    done = call("summary", 99, cloud.parks[0], *UTC_MONTH)
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*MONTH,), "no charging park is given"),
        (("1001",), "--month"),
        (("1001", *MONTH, "--from", "sqlite:///copy.db", "--tz", "park"), "a copy does not know the time zones"),
        (("1001", *MONTH, "--tz", "Europe/Atlantis"), "no time zone"),
        (("1001", *MONTH, "--from", "mysql://host/copy"), "named by a URL"),
        (("1001", *MONTH, "--deadline", "0"), "--deadline"),
    ],
)
def test_what_cannot_work_is_refused(call: Run, arguments: tuple[str, ...], said: str) -> None:
    done = call("summary", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


# --- a copy -----------------------------------------------------------------------------------------------------------


def test_a_copy_gives_the_sums_of_the_service(call: Run, cloud: Cloud, copy: str) -> None:
    of_copy = call("summary", "--from", copy, *THIRTY_DAYS, "--json")
    of_service = sums(call("summary", *cloud.parks, *THIRTY_DAYS, "--json").out)
    found = sums(of_copy.out)

    assert (of_copy.code, of_copy.err) == (0, "")
    assert {park.pop("synced_until") is None for park in found["parks"]} == {False}
    assert {park.pop("synced_until") for park in of_service["parks"]} == {None}
    assert found == of_service


def test_a_copy_is_read_without_the_service(call: Run, cloud: Cloud, copy: str) -> None:
    nowhere = {"SMAPPEE_BASE_URL": "http://127.0.0.1:1", "SMAPPEE_PASSWORD": ""}
    done = call("summary", cloud.parks[1], "--from", copy, *THIRTY_DAYS, env=nowhere)

    assert done.code == 0
    assert done.out.startswith(f"Park {cloud.parks[1]}, 2026-10-01 to 2026-10-30 (UTC, from a copy)\n")


def test_a_copy_that_begins_later_is_incomplete(call: Run, cloud: Cloud, copy: str) -> None:
    done = call("summary", cloud.parks[0], "--from", copy, "--month", "2026-09")

    assert done.code == 3
    assert f"INCOMPLETE, missing: park {cloud.parks[0]}: the copy begins at 2026-09-15T00:00:00Z" in done.out
    assert "the copy begins at" in done.err


def test_a_range_that_goes_on_says_when_the_copy_was_synced(call: Run, cloud: Cloud, copy: str) -> None:
    done = call("summary", cloud.parks[0], "--from", copy, "--range", "2026-10-25..")

    assert done.code == 0
    assert f"Park {cloud.parks[0]}: as the copy had it at its last sync, 2026-1" in done.out


def test_a_copy_whose_first_sync_is_not_complete_is_incomplete(
    call: Run, cloud: Cloud, copy: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        state = '{"version": 1, "since_ms": 0, "backfill": {"began_ms": 1}}'
        connection.execute("UPDATE smappee_sync SET state = ?", (state,))
        connection.commit()
    done = call("summary", "--from", copy, *MONTH, "--json")

    assert done.code == 3
    assert sums(done.out)["missing"] == [f"park {park}: its first sync is not complete" for park in cloud.parks]


def test_a_copy_that_was_synced_too_early_is_incomplete(call: Run, copy: str, cloud: Cloud, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        # In the middle of a month that is long over, by any clock.
        state = '{"version": 1, "since_ms": 0, "tiers_ms": [1578000000000]}'
        connection.execute("UPDATE smappee_sync SET state = ?", (state,))
        connection.commit()
    done = call("summary", cloud.parks[0], "--from", copy, "--month", "2020-01", "--json")

    assert done.code == 3
    assert sums(done.out)["missing"] == [
        f"park {cloud.parks[0]}: what started after the last sync, 2020-01-02T21:20:00Z"
    ]


def test_an_empty_copy_is_an_error_with_advice(call: Run, tmp_path: Path) -> None:
    async def make() -> None:
        async with SqliteStore(tmp_path / "copy.db"):
            pass

    asyncio.run(make())
    done = call("summary", "--from", f"sqlite:///{tmp_path / 'copy.db'}", *MONTH)
    assert done.code == 2
    assert "the copy is empty" in done.err
    assert "Run a sync first" in done.err


def test_a_park_that_the_copy_does_not_have_is_an_error(call: Run, copy: str) -> None:
    done = call("summary", 99, "--from", copy, *MONTH)
    assert done.code == 2
    assert "does not have park 99" in done.err


def test_a_copy_that_does_not_exist_is_an_error(call: Run, tmp_path: Path) -> None:
    done = call("summary", "--from", f"sqlite:///{tmp_path / 'none.db'}", *MONTH)
    assert (done.code, done.out) == (1, "")
    assert "there is no copy in" in done.err
    assert list(tmp_path.iterdir()) == []


# --- how it looks -----------------------------------------------------------------------------------------------------


def test_in_a_pipe_it_has_80_columns_and_no_colours(run: Run, cloud: Cloud) -> None:
    page = run("summary", *cloud.parks, *MONTH).out

    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) == 80
    assert "Sessions by weekday and hour of their start" in page


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_on_a_terminal_it_has_its_width(start: Start, cloud: Cloud, columns: int) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # Rich looks at standard input, too, which is none here.
    environment = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    with start("summary", *cloud.parks, *MONTH, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        page = b""
        while data := _read(ours):
            page += data
        assert process.wait(100) == 0
    os.close(ours)

    assert b"\x1b[" in page
    plain = _without_colours(page.decode())
    assert max(map(len, plain)) <= columns
    assert [line for line in plain if line.startswith("Mon  ")]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux reports the end of a terminal
        return b""


def _without_colours(text: str) -> list[str]:
    from rich.text import Text  # noqa: PLC0415

    return [Text.from_ansi(line).plain for line in text.replace("\r\n", "\n").splitlines()]
