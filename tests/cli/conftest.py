"""The real command against a real simulator in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import smappee_async
from smappee_async.cli import main

from .harness import Cloud, Ended, Run, Start

_PACKAGE = str(Path(smappee_async.__file__).parents[1])


@pytest.fixture(scope="session")
def _running_cloud() -> Iterator[Cloud]:
    yield from simulated(sessions=900, now="2026-11-01T00:00Z")


@pytest.fixture(scope="session")
def _busy_cloud() -> Iterator[Cloud]:
    yield from simulated(sessions=60_000, now="2026-10-30T15:00Z")


def simulated(*, sessions: int, now: str) -> Iterator[Cloud]:
    command = [sys.executable, "-m", "smappee_async.simulator", "--parks", "3", "--sessions", str(sessions)]
    command += ["--now", now]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_clean_environment()) as process:
        assert process.stdout is not None
        greeting = json.loads(process.stdout.readline())
        environment = {f"SMAPPEE_{name.upper()}": value for name, value in greeting["account"].items()}
        environment["SMAPPEE_BASE_URL"] = greeting["base_url"]
        yield Cloud(environment, greeting["admin_url"], tuple(greeting["parks"]))
        process.terminate()


@pytest.fixture
def cloud(_running_cloud: Cloud) -> Iterator[Cloud]:
    """The simulator; its faults end with the test."""
    yield _running_cloud
    _running_cloud.ask("faults", method="DELETE")


def _clean_environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMAPPEE_", "FORCE_COLOR"))}
    return {**kept, "PYTHONPATH": _PACKAGE, "PYTHONWARNINGS": "error", **changes}


@pytest.fixture
def environment(cloud: Cloud, tmp_path: Path) -> dict[str, str]:
    """The environment of the command: the simulator's account, and an empty configuration directory."""
    return _clean_environment(XDG_CONFIG_HOME=str(tmp_path / "config"), **cloud.environment)


@pytest.fixture(scope="session")
def _signals_arrive() -> Iterator[None]:
    """Child processes inherit ignored signals: SIGINT in the background, SIGHUP under nohup. So none is ignored here."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    ignored = [number for number, handler in before.items() if handler is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def start(environment: dict[str, str], _signals_arrive: None) -> Start:
    """Starts the command as a process; a context manager that ends the process."""

    @contextmanager
    def starting(
        *arguments: object, env: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "smappee_async.cli", *map(str, arguments)]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with subprocess.Popen(command, text=True, env={**environment, **(env or {})}, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    return starting


@pytest.fixture
def run(start: Start) -> Run:
    """Runs the command as a process until it ends."""

    def running(*arguments: object, **options: Any) -> Ended:
        with start(*arguments, **options) as process:
            out, err = process.communicate(timeout=100)
            return Ended(process.returncode, out or "", err or "")

    return running


@pytest.fixture
def call(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in the process of the test: faster, and the same except for signals and pipes."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def calling(*arguments: object, env: Mapping[str, str] | None = None) -> Ended:
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ending:
                main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(ending.value.code, int)
        return Ended(ending.value.code, captured.out, captured.err)

    return calling
