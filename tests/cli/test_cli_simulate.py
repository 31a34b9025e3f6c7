from __future__ import annotations

import inspect
import re
import signal
import socket
import subprocess
import sys
from subprocess import Popen

import attrs
import pytest

from smappee_async.cli.simulate import simulate
from smappee_async.simulator import Assumptions, Changes
from smappee_async.simulator.__main__ import argument_parser
from smappee_async.simulator.options import AssumptionSet, SimulateOptions, WorldName

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
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (0, "", "stopped\n")


def test_its_time_is_the_time_of_day_by_default(start: Start, call: Run) -> None:
    with start("simulate", "--world", "small", "--assumptions", "seen") as process:
        environment = exports(process)
        ended = call("sessions", 1003, "--range", "2d", "--format", "jsonl", env=environment)
    assert ended.code == 0
    assert 100 < len(ended.out.splitlines()) < 600


@pytest.mark.parametrize("world", ["demo", "small"])
@pytest.mark.parametrize("changes", [False, True])
def test_the_sessions_change_only_with_the_option(world: WorldName, changes: bool) -> None:
    simulator = SimulateOptions(world=world, changes=changes).simulator()
    assert simulator.world.changes == (Changes.mixture() if changes else Changes())


@pytest.mark.parametrize(
    ("name", "assumptions"),
    [
        ("default", Assumptions()),
        ("documented", Assumptions.documented()),
        ("seen", Assumptions.seen_in_clients()),
    ],
)
def test_an_assumption_set_can_be_chosen(name: AssumptionSet, assumptions: Assumptions) -> None:
    assert SimulateOptions(world="small", assumptions=name).simulator().assumptions == assumptions


def test_both_simulator_commands_have_the_same_options_and_defaults(call: Run) -> None:
    command = [sys.executable, "-m", "smappee_async.simulator", "--help"]
    ours = call("simulate", "--help", env={"COLUMNS": "200"}).out
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"--[a-z-]+", ours.partition("Options")[2])) == set(re.findall(r"--[a-z-]+", theirs))
    defaults = [field.default for field in attrs.fields(SimulateOptions)]
    assert [parameter.default for parameter in inspect.signature(simulate).parameters.values()] == defaults
    assert vars(argument_parser().parse_args([])) == attrs.asdict(SimulateOptions())


def test_a_port_that_is_taken_is_one_line(call: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = call("simulate", "--port", taken.getsockname()[1])
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "address already in use" in ended.err.lower()
