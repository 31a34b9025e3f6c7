"""``smappee-async watch`` and ``verify``: what they print, where they go on, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from .harness import Cloud, Run, Start


@pytest.fixture
def cloud(_busy_cloud: Cloud) -> Cloud:
    """A weekday afternoon, at which many sessions run."""
    return _busy_cloud


def read_events(start: Start, count: int, *arguments: object) -> tuple[list[dict[str, Any]], int]:
    """The first events that ``watch`` prints, and its exit code after Ctrl-C."""
    with start("watch", *arguments, "--every", 1, "--idle-every", 1) as process:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline()) for _ in range(count)]
        process.send_signal(signal.SIGINT)
        # More may have been printed before the signal came.
        events += map(json.loads, process.stdout)
        return events, process.wait(100)


def test_each_event_is_a_line_of_json(start: Start, cloud: Cloud) -> None:
    (event, *_), code = read_events(start, 1, *cloud.parks)
    assert code == 130
    assert (event["kind"], event["before"], event["number"]) == ("started", None, 1)
    assert event["after"]["id"] == event["id"]
    assert event["after"]["status"] != "STOPPED"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"])


def test_rfids_are_masked_unless_they_are_asked_for(start: Start, cloud: Cloud) -> None:
    masked, _ = read_events(start, 8, *cloud.parks)
    shown, _ = read_events(start, 8, *cloud.parks, "--rfid", "show")
    rfids = {event["id"]: event["after"]["rfid"] for event in shown}
    cards = [(event["after"]["rfid"], rfids[event["id"]]) for event in masked if rfids.get(event["id"])]
    assert cards
    assert all(mask == f"***{rfid[-3:]}" for mask, rfid in cards)


def test_with_a_copy_it_goes_on_after_a_restart_where_it_was(start: Start, cloud: Cloud, tmp_path: Path) -> None:
    copy = ["--to", f"sqlite:///{tmp_path / 'copy.db'}", "--since", "2026-09-01"]
    first, _ = read_events(start, 3, *cloud.parks, *copy)
    second, _ = read_events(start, 3, *cloud.parks, *copy)
    numbers, numbers_after = ([event["number"] for event in events] for events in (first, second))
    assert numbers == list(range(1, len(first) + 1))
    # The last event comes again if the command was interrupted before it asked for the next.
    assert numbers_after[0] in (numbers[-1], numbers[-1] + 1)
    assert numbers_after == list(range(numbers_after[0], numbers_after[0] + len(second)))


def test_on_a_terminal_it_is_a_table(environment: dict[str, str], cloud: Cloud, start: Start) -> None:
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "rb"),
        start("watch", *cloud.parks, stdout=theirs, env={"COLUMNS": "120", "LINES": "40"}) as process,
    ):
        os.close(theirs)
        seen = b""
        while b"CHARGING" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                if not os.read(ours, 4096):
                    break
            except OSError:  # the other end was closed
                break
        assert process.wait(100) == 130
    assert b"Station" in seen
    assert b"started" in seen


def test_a_copy_needs_a_beginning(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = call("watch", *cloud.parks, "--to", f"sqlite:///{tmp_path / 'copy.db'}")
    assert (ended.code, ended.out) == (2, "")
    assert "since" in ended.err


def test_a_month_is_verified_and_then_unchanged(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    copy = ["--to", f"sqlite:///{tmp_path / 'copy.db'}"]
    call("sync", *cloud.parks, *copy, "--since", "2026-09-01")

    first = call("verify", "--month", "2026-09", *copy)
    second = call("verify", "--month", "2026-09", *copy)

    assert (first.code, second.code) == (0, 0)
    assert (
        len(
            re.findall(
                r"^park \d+: [\d,]+ sessions, verified, as the copy, digest [0-9a-f]{32}$", first.out, re.MULTILINE
            )
        )
        == 3
    )
    assert (
        len(re.findall(r"^park \d+: [\d,]+ sessions, unchanged, digest [0-9a-f]{32}$", second.out, re.MULTILINE)) == 3
    )
    assert re.search(
        r"^parks 3, sessions [\d,]+, changed 0, missing 0, running 0, requests \d+$", second.out, re.MULTILINE
    )


def test_a_copy_without_parks_is_not_verified(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = call("verify", "--month", "2026-09", "--to", f"sqlite:///{tmp_path / 'misspelt.db'}")
    assert (ended.code, ended.out) == (2, "")
    assert "Run a sync first" in ended.err


def test_a_month_that_is_not_over_is_refused(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    copy = ["--to", f"sqlite:///{tmp_path / 'copy.db'}"]
    call("sync", cloud.parks[0], *copy, "--since", "2026-09-01")
    ended = call("verify", "--month", "2035-01", *copy)
    assert ended.code == 2
    assert "has not ended" in ended.err


def test_hashed_rfids_need_a_key_of_the_environment(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    command = ["sync", cloud.parks[0], "--to", f"sqlite:///{tmp_path / 'copy.db'}", "--since", "2026-10-01"]
    without = call(*command, "--keep-rfid", "hash")
    assert without.code == 2
    assert "SMAPPEE_RFID_KEY" in without.err
    assert call(*command, "--keep-rfid", "hash", env={"SMAPPEE_RFID_KEY": "k" * 32}).code == 0
    other = call(*command, "--keep-rfid", "drop")
    assert other.code == 2
    assert "begin a new copy" in other.err
