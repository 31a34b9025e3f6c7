from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import attrs
import pytest

from smappee_async import ChargingSession, Limits, SessionStatus
from smappee_async.cli.demo.child import SimulatorProcess
from smappee_async.cli.demo.obstacles import obstacles
from smappee_async.cli.demo.show import Demo, show_demo
from smappee_async.cli.demo.verdict import Arrivals, Verdict, judge
from smappee_async.cli.ending import Failure
from smappee_async.simulator import Ledger
from smappee_async.simulator.wire_fields import wire_record

from .harness import Run, Start

SMALL = ("--parks", "2", "--sessions", "500")
ACCOUNT = re.compile(
    r"Account: ledger ([\d,]+), arrived ([\d,]+), lost 0, doubled 0, requests (\d+), retries (\d+), seconds [\d.]+: "
    r"every record agrees"
)


def test_every_record_arrives_through_all_obstacles(run: Run) -> None:
    ended = run("demo", *SMALL)
    *table, account = ended.out.splitlines()
    found = ACCOUNT.fullmatch(account)
    assert ended.code == 0
    assert found is not None
    held, arrived, requests, retries = (int(number.replace(",", "")) for number in found.groups())
    assert held == arrived >= 500
    assert requests > retries > 0
    assert re.search(r"10001\s+Hub 10001\s+[\d,]+\s+[\d,.]+\s+[\d.]+\s+\w{3} 2025-\d\d-\d\d", "\n".join(table))
    assert "Faults met: " in ended.err
    assert "\x1b" not in ended.err + ended.out


def test_plain_is_ascii(call: Run) -> None:
    ended = call("demo", *SMALL, "--plain")
    assert ended.code == 0
    assert (ended.out + ended.err).isascii()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        # Open records among the completed ones are left out by the client, so they are lost.
        ("late_finalisation", "lost"),
        ("unknown_status", "fields altered"),
        ("unknown_fields", "fields altered"),
    ],
)
def test_a_difference_is_found_and_fails(capsys: pytest.CaptureFixture[str], kind: str, said: str) -> None:
    fault = {"kind": kind, "route": "park_sessions", "service_location_id": 10002, "delay_s": 400 * 86_400}
    demo = Demo(parks=2, sessions=500, seed=3, limits=Limits(), plain=True, faults=[fault])
    assert show_demo(demo) == 1
    captured = capsys.readouterr()
    assert "RECORDS DIFFER" in captured.out
    assert "Park 10002 differs: " in captured.err
    assert said in captured.err
    assert "Park 10001 differs: " not in captured.err


def test_a_bar_is_shown_on_a_terminal_only(start: Start) -> None:
    ours, theirs = pty.openpty()
    try:
        with start("demo", *SMALL, stderr=theirs, stdout=subprocess.PIPE, env={"TERM": "xterm"}) as process:
            os.close(theirs)
            shown = b"".join(iter(lambda: _read(ours), b""))
            assert process.wait(timeout=100) == 0
    finally:
        os.close(ours)
    assert b"Fetching" in shown
    assert b"sessions" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # Linux says so when the other end has gone
        return b""


def test_a_simulator_that_does_not_start_is_one_line() -> None:
    with (
        pytest.raises(Failure, match="did not start"),
        SimulatorProcess(parks=0, sessions=1, seed=1, now="2026-11-01T00:00Z"),
    ):
        pass


@pytest.mark.parametrize("parks", [1, 2, 5, 24, 100])
def test_no_call_meets_more_obstacles_than_it_survives(parks: int) -> None:
    planned = obstacles(range(1, parks + 1), 2025)
    of_park = [fault["service_location_id"] for fault in planned]
    places = [(fault["service_location_id"], fault["covers_ms"]) for fault in planned]
    assert max(map(of_park.count, of_park)) <= 3
    assert len(set(places)) == len(places)
    assert {fault["times"] for fault in planned} == {1}


# --- the verdict ------------------------------------------------------------------------------------------------------


def session(number: int, energy: float = 14.25) -> ChargingSession:
    return ChargingSession(
        id=number,
        serial_number="6100000001",
        from_ms=1_735_700_000_000 + number,
        to_ms=1_735_703_600_000,
        status=SessionStatus.STOPPED,
        energy=energy,
    )


def arrived(sessions: Iterable[ChargingSession]) -> Arrivals:
    arrivals = Arrivals("", ZoneInfo("UTC"))
    arrivals.add(sessions)
    return arrivals


def judged(sessions: Iterable[ChargingSession]) -> Verdict:
    truth = [session(1), session(2)]
    digest = Ledger.digest_of(map(wire_record, truth))
    return judge(arrived(sessions), len(truth), digest, lambda: [each.id for each in truth])


def test_order_makes_no_difference() -> None:
    assert judged([session(2), session(1)]) == Verdict(2, 2)


@pytest.mark.parametrize(
    ("sessions", "verdict"),
    [
        ([session(1)], Verdict(2, 1, lost=1)),
        ([session(1), session(2), session(2)], Verdict(2, 3, doubled=1)),
        ([session(1), session(1)], Verdict(2, 2, lost=1, doubled=1)),
        ([session(1), session(3)], Verdict(2, 2, lost=1, strange=1)),
        ([session(1), session(2, energy=14.26)], Verdict(2, 2, altered_parks=1)),
        ([], Verdict(2, 0, lost=2)),
    ],
)
def test_a_verdict_says_what_differs(sessions: list[ChargingSession], verdict: Verdict) -> None:
    assert judged(sessions) == verdict
    assert not verdict.is_exact
    assert not (verdict + Verdict(5, 5)).is_exact


def test_days_are_those_of_the_parks_own_zone() -> None:
    kolkata = Arrivals("", ZoneInfo("Asia/Kolkata"))
    kolkata.add([attrs.evolve(session(1), from_ms=1_735_673_400_000)])  # 2024-12-31T19:30Z
    assert str(kolkata.busiest_day) == "2025-01-01"


def test_a_park_without_sessions_has_no_mean_and_no_busiest_day() -> None:
    assert (arrived([]).mean_kwh, arrived([]).busiest_day) == (None, None)
