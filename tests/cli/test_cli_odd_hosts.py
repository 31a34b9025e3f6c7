"""Hosts without a home directory, pipes in place of files, and what an earlier run left behind."""

from __future__ import annotations

import os
import pwd
import signal
import time
from pathlib import Path
from subprocess import Popen

import pytest

from .harness import Cloud, Run, Start
from .test_cli_endings import YEARS, wait_for_requests

MONTH = ("--month", "2026-10", "--format", "csv")


# A home directory that is not known


@pytest.fixture
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a user whom /etc/passwd does not know."""

    def nobody(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.usefixtures("_no_home")
def test_without_a_home_directory_a_login_from_the_environment_works(call: Run) -> None:
    assert call("parks", env={"XDG_CONFIG_HOME": ""}).code == 0


@pytest.mark.usefixtures("_no_home")
@pytest.mark.parametrize("command", ["parks", "login"])
def test_without_a_home_directory_a_token_needs_a_named_place(call: Run, tmp_path: Path, command: str) -> None:
    nowhere = {"XDG_CONFIG_HOME": "", **({"SMAPPEE_PASSWORD": ""} if command == "parks" else {})}
    ended = call(command, env=nowhere)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "smappee-async: the home directory of this user is not known. "
        "Set HOME, or name a file with --token-file or SMAPPEE_TOKEN_FILE\n"
    )
    assert call("login", "--token-file", tmp_path / "token.json", env=nowhere | {"SMAPPEE_PASSWORD": ""}).code == 2
    assert call("login", "--token-file", tmp_path / "token.json", env={"XDG_CONFIG_HOME": ""}).code == 0


@pytest.mark.usefixtures("_no_home")
def test_without_a_home_directory_a_tilde_is_refused(call: Run) -> None:
    ended = call("parks", "--token-file", "~/token.json")
    assert ended.code == 2
    assert "the home directory of this user is not known" in ended.err


# A pipe as --output


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.fifo"
    os.mkfifo(path)
    return path


def test_a_pipe_as_output_gets_what_stdout_would_get(start: Start, call: Run, cloud: Cloud, pipe: Path) -> None:
    with start("sessions", *cloud.parks, *MONTH, "--output", pipe) as process:
        text = pipe.read_text()  # waits for the command, as cat would
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    expected = call("sessions", *cloud.parks, *MONTH).out
    assert sorted(text.splitlines()) == sorted(expected.splitlines())
    assert [file.name for file in pipe.parent.iterdir()] == [pipe.name]


def test_it_says_that_it_waits_for_a_reader_of_the_pipe_and_can_be_interrupted(
    start: Start, cloud: Cloud, pipe: Path
) -> None:
    with start("sessions", cloud.parks[0], *MONTH, "--output", pipe) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"smappee-async: waiting for a program that reads {pipe}\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (130, "", "smappee-async: interrupted\n")


def test_a_reader_of_the_pipe_that_goes_away_is_no_error(start: Start, cloud: Cloud, pipe: Path) -> None:
    with start("sessions", *cloud.parks, *YEARS, "--format", "csv", "--output", pipe) as process:
        with pipe.open() as reader:
            assert reader.readline().startswith("service_location_id,")
        assert process.wait(timeout=100) == 141
        assert process.stderr is not None
        assert [line for line in process.stderr if "waiting for" not in line] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_of_the_pipe_that_reads_nothing_does_not_keep_a_signal_from_ending_it(
    start: Start, cloud: Cloud, pipe: Path, number: int
) -> None:
    before = cloud.ask("stats")["hits_by_route"]["park_sessions"]
    with start("sessions", *cloud.parks, *YEARS, "--format", "csv", "--output", pipe) as process:
        reading = os.open(pipe, os.O_RDONLY)
        try:
            wait_for_requests(cloud, before, process)
            time.sleep(1)  # thousands of rows: more than the pipe holds
            process.send_signal(number)
            assert process.wait(timeout=100) == 128 + number
        finally:
            os.close(reading)


# What an earlier run left behind


def stalled(start: Start, cloud: Cloud, output: Path) -> tuple[int, tuple[object, ...]]:
    """How many requests there were, and the arguments of a command that will stall after five more."""
    cloud.add_fault("stall_before_headers", route="park_sessions", service_location_id=cloud.parks[0], skip=5)
    arguments = ("sessions", cloud.parks[0], *YEARS, "--format", "csv", "--output", output)
    return cloud.ask("stats")["hits_by_route"]["park_sessions"], arguments


def part_of(output: Path, process: Popen[str]) -> Path:
    assert process.poll() is None
    [part] = output.parent.glob(".*")
    assert part.suffix == ".part"
    return part


def test_the_next_run_removes_what_a_killed_run_left_and_says_so(
    start: Start, call: Run, cloud: Cloud, tmp_path: Path
) -> None:
    output = tmp_path / "sessions [1].csv"
    others = [tmp_path / name for name in (".sessions [1].csv.part", ".sessions 1.csv.01234567.part", ".mine.part")]
    before, arguments = stalled(start, cloud, output)
    with start(*arguments) as process:
        wait_for_requests(cloud, before, process)
        left = part_of(output, process)
        process.kill()
        process.wait()
    assert left.exists()
    for other in others:
        other.write_text("somebody else's")
    cloud.ask("faults", method="DELETE")

    ended = call("sessions", cloud.parks[0], *MONTH, "--output", output)

    assert ended.code == 0
    assert f"removed {left.name}, which a run that was killed left behind\n" in ended.err
    assert sorted(tmp_path.iterdir()) == sorted([output, *others])


def test_a_run_leaves_alone_what_another_one_is_writing(start: Start, call: Run, cloud: Cloud, tmp_path: Path) -> None:
    output = tmp_path / "sessions.csv"
    before, arguments = stalled(start, cloud, output)
    with start(*arguments) as process:
        wait_for_requests(cloud, before, process)
        part = part_of(output, process)
        other = call("sessions", 99, *MONTH, "--output", output)
        assert other.code == 1
        assert "removed" not in other.err
        assert part_of(output, process) == part
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=100)
    assert list(tmp_path.iterdir()) == []


def test_what_only_looks_like_a_left_file_is_not_touched(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / ".sessions.csv.01234567.part"
    folder.mkdir()
    kept = tmp_path / "kept"
    kept.write_text("kept")
    link = tmp_path / ".sessions.csv.89abcdef.part"
    link.symlink_to(kept)
    assert call("sessions", cloud.parks[0], *MONTH, "--output", tmp_path / "sessions.csv").code == 0
    assert (folder.is_dir(), link.is_symlink(), kept.read_text()) == (True, True, "kept")
