"""The README is held to its word: its programs run, and its tables are those of the code."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import attrs
import pytest

import smappee_async.errors
from smappee_async import Limits, RetryPolicy, SmappeeClient, SmappeeError
from smappee_async.simulator import Simulator

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SUITES = [block for block in BLOCKS if "def test_" in block]
PROGRAMS = [block for block in BLOCKS if block not in SUITES]

pytest_plugins = ["pytester"]


@pytest.fixture
def _account(smappee_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's environment: an account, and the service, which here is the simulator."""
    account = smappee_simulator.account
    for name in ("client_id", "client_secret", "username", "password"):
        monkeypatch.setenv(f"SMAPPEE_{name.upper()}", getattr(account, name))
    here = functools.partial(SmappeeClient, base_url=smappee_simulator.base_url)
    monkeypatch.setitem(vars(smappee_async), "SmappeeClient", here)


@pytest.mark.anyio
@pytest.mark.usefixtures("_account")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.strip().splitlines()[-1].strip())
async def test_each_program_runs_as_it_stands(program: str) -> None:
    names: dict[str, object] = {}
    code = compile(program, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    running = eval(code, names)
    if running is not None:
        await running


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_passes_as_it_stands(suite: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(smappee_async.__file__).parents[1]))
    pytester.makepyfile(suite)

    result = pytester.runpytest_subprocess("-p", "smappee_async.testing.plugin", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)


def test_the_table_of_errors_has_every_error() -> None:
    every = {name for name, value in vars(smappee_async.errors).items() if _is_error(value)} - {"SmappeeError"}

    assert {name for name in every if f"`{name}`" not in README} == set()


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SmappeeError)


@pytest.mark.parametrize("settings", [Limits(), RetryPolicy()], ids=lambda settings: type(settings).__name__)
def test_the_table_of_settings_has_every_setting_with_its_default(settings: attrs.AttrsInstance) -> None:
    rows = dict(re.findall(r"\| `(\w+\.\w+)` \| ([^|]*) \|", README))

    said = {name: rows.get(f"{type(settings).__name__}.{name}") for name in attrs.asdict(settings)}

    assert said == {name: _text(value) for name, value in attrs.asdict(settings).items()}


def _text(value: object) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def test_both_commands_of_the_readme_are_there() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)

    assert [command.rpartition("&& ")[2] for command in commands[:2]] == [
        ".venv/bin/smappee-async demo",
        ".venv/bin/pytest",
    ]
