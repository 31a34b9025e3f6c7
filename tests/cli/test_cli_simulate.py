from __future__ import annotations

import signal
import socket
from subprocess import Popen

import pytest

from smappee_async.cli.simulate import AssumptionSet, SimulateOptions, WorldName
from smappee_async.simulator import Assumptions

from .harness import Run, Start


def exports(process: Popen[str]) -> dict[str, str]:
    """The variables that it prints, unquoted."""
    assert process.stdout is not None
    found = {}
    while not (line := process.stdout.readline()).startswith("# Ctrl-C"):
        assert line
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").rstrip().partition("=")
            found[name] = value.strip("'")
    return found


def test_the_lines_that_it_prints_are_all_that_the_other_commands_need(start: Start, call: Run) -> None:
    with start("simulate", "--parks", 3, "--now", "2026-11-01T00:00Z") as process:
        environment = exports(process)
        assert len(environment) == 5
        ended = call("parks", env=environment)
        assert ended.code == 0
        assert ended.out.endswith("\n3 parks\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    assert (process.returncode, out, err) == (0, "", "stopped\n")


def test_its_time_is_the_time_of_day_by_default(start: Start, call: Run) -> None:
    with start("simulate", "--world", "small", "--assumptions", "seen") as process:
        environment = exports(process)
        ended = call("sessions", 1003, "--range", "2d", "--format", "jsonl", env=environment)
    assert ended.code == 0
    assert 100 < len(ended.out.splitlines()) < 600


@pytest.mark.parametrize(
    ("reading", "assumptions"),
    [
        (AssumptionSet.DEFAULT, Assumptions()),
        (AssumptionSet.DOCUMENTED, Assumptions.documented()),
        (AssumptionSet.SEEN, Assumptions.seen_in_clients()),
    ],
)
def test_the_reading_of_the_service_can_be_chosen(reading: AssumptionSet, assumptions: Assumptions) -> None:
    wish = SimulateOptions(
        host="localhost",
        port=0,
        allow_remote=False,
        world=WorldName.SMALL,
        seed=1,
        parks=1,
        sessions=1,
        now=None,
        reading=reading,
    )
    assert wish.simulator().assumptions == assumptions


def test_a_port_that_is_taken_is_one_line(call: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = call("simulate", "--port", taken.getsockname()[1])
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "address already in use" in ended.err.lower()
