from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import Popen

import pytest

from .harness import Cloud, Run, Start

YEARS = ("--range", "2016-01-01..2026-01-01")


def wait_for_requests(cloud: Cloud, before: int, process: Popen[str]) -> None:
    """Wait until the command has sent a request."""
    for _ in range(200):
        if cloud.ask("stats")["hits_by_route"]["park_sessions"] > before:
            return
        assert process.poll() is None
        time.sleep(0.05)
    pytest.fail("the command sends no request")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_one_line_and_no_file(
    start: Start, cloud: Cloud, tmp_path: Path, number: int, code: int
) -> None:
    cloud.add_fault("stall_before_headers", route="park_sessions", skip=5)
    before = cloud.ask("stats")["hits_by_route"]["park_sessions"]
    output = ("--format", "csv", "--output", tmp_path / "sessions.csv")
    with start("sessions", cloud.parks[0], *YEARS, *output) as process:
        wait_for_requests(cloud, before, process)
        assert [file.suffix for file in tmp_path.glob(".*")] == [".part"]
        process.send_signal(number)
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (code, "", "smappee-async: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error(start: Start, cloud: Cloud) -> None:
    with start("sessions", cloud.parks[0], *YEARS, "--format", "jsonl") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=100) == 141


def test_a_reader_that_reads_nothing_does_not_keep_ctrl_c_from_ending_it(start: Start, cloud: Cloud) -> None:
    before = cloud.ask("stats")["hits_by_route"]["park_sessions"]
    reading, writing = os.pipe()
    try:
        # Thousands of rows: more than the pipe holds.
        with start("sessions", *cloud.parks, *YEARS, "--format", "jsonl", stdout=writing) as process:
            wait_for_requests(cloud, before, process)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=100) == 130
            assert process.stderr is not None
            assert process.stderr.read() == "smappee-async: interrupted\n"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_full_disk_is_one_line(run: Run, cloud: Cloud) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = run("sessions", cloud.parks[0], "--month", "2026-10", stdout=full)
    assert (ended.code, ended.err) == (1, "smappee-async: No space left on device\n")


@pytest.mark.parametrize(("closed", "code"), [("stdout", 2), ("stderr", 0), ("stdin", 0)])
def test_a_stream_that_was_closed_is_no_fault_of_ours(
    call: Run, monkeypatch: pytest.MonkeyPatch, closed: str, code: int
) -> None:
    monkeypatch.setattr(sys, closed, None)
    ended = call("parks")
    assert ended.code == code
    assert "unexpected" not in ended.err


def test_it_says_what_to_install_where_its_extra_is_missing() -> None:
    code = "import sys; sys.modules['rich'] = None; from smappee_async.cli import main; main(['parks'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "smappee-async needs: pip install 'smappee-async[cli]'\n"


def test_nothing_else_imports_what_only_the_command_needs() -> None:
    code = (
        "import sys, smappee_async.client, smappee_async.simulator, smappee_async.auth.stores.file\n"
        "sys.exit(bool({'typer', 'rich', 'click', 'smappee_async.cli'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", ["demo", "sessions", "parks", "login", "simulate"])
def test_help_has_examples_and_exit_codes(call: Run, command: str) -> None:
    ended = call(command, "--help")
    assert ended.code == 0
    assert f"Examples:\n   smappee-async {command}" in "\n".join(line.rstrip() for line in ended.out.splitlines())
    assert "130 interrupted" in " ".join(ended.out.split())


def test_without_a_command_it_shows_what_there_is(call: Run) -> None:
    ended = call()
    assert ended.code == 2
    assert "simulate" in ended.out


def test_it_tells_its_version(call: Run) -> None:
    assert call("--version").out.startswith("smappee-async ")
