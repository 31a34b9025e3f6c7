from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import smappee_async
from smappee_async import SmappeeClient
from smappee_async.distributed.process_client import close_clients
from tests.hosts.network import ForwardProxy, forward_proxy_in_thread

from .pages import ROOT, blocks

_PACKAGE = str(Path(smappee_async.__file__).parents[1])
_COMMAND = (sys.executable, "-P", "-m", "smappee_async.cli")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Mapping[str, str]]:
    """The simulator as the tutorial starts it: the variables that it prints for a shell."""
    texts = [block.text for block in blocks(ROOT / "docs" / "tutorial.md")]
    _, *options = shlex.split(next(text for text in texts if text.startswith("smappee-async simulate")))
    environment = os.environ | {"PYTHONPATH": _PACKAGE}
    with subprocess.Popen([*_COMMAND, *options], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            variables = {}
            for line in process.stdout:
                if line.startswith("export "):
                    name, _, value = shlex.split(line)[1].partition("=")
                    variables[name] = value
                if line.startswith("smappee-async"):
                    break
            assert variables, "the simulator did not start"
            yield variables
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def company_proxy() -> Iterator[ForwardProxy]:
    """The proxy of a reader who has one: for each test its own, so that no connection of it outlives the test."""
    with forward_proxy_in_thread() as proxy:
        yield proxy


@pytest.fixture
def reader(
    simulator: Mapping[str, str], company_proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Path]:
    """The environment of a reader: an account, a directory of their own, and a service, which is the simulator.

    Programs for the real service reach the simulator as well, because it is the default address here.
    """
    for name, value in simulator.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMPANY_PROXY", company_proxy.url)
    monkeypatch.delenv("SMAPPEE_REFRESH_TOKEN", raising=False)
    monkeypatch.delenv("SMAPPEE_TOKEN_FILE", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / ".dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", _PACKAGE)
    scripts = tmp_path / "bin"
    scripts.mkdir()
    command = scripts / "smappee-async"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(_COMMAND)} "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    defaults = SmappeeClient.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "base_url", simulator["SMAPPEE_BASE_URL"])
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    yield place
    close_clients()  # of programs that wrote parts; otherwise they stay open until the process ends


@pytest.fixture(autouse=True)
def _log_level_comes_back() -> Iterator[None]:
    """A program may set the level of the package's logger, which would last for other tests."""
    logger = logging.getLogger("smappee_async")
    before = logger.level
    yield
    logger.setLevel(before)
