"""Every program on every page runs as it stands, and prints what the page says it prints."""

from __future__ import annotations

import ast
import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

import smappee_async.tables.schema  # noqa: F401 - imports pyarrow, before an event loop runs
from tests import analysis

from .pages import PAGES, ROOT, Block, blocks, run_blocks

pytest_plugins = ["pytester"]

PYTHON = run_blocks("python")
SUITES = [block for block in PYTHON if "def test_" in block.text]
PROGRAMS = [block for block in PYTHON if block not in SUITES]
#: What a program of these pages finds in its directory.
FILES = {"company-ca.pem": Path(__file__).with_name("company-ca.pem")}


def named(block: Block) -> str:
    return block.name


@pytest.mark.parametrize("program", PROGRAMS, ids=named)
def test_each_program_runs_as_it_stands(program: Block, reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for module in imported(program) & analysis.MODULES:
        analysis.need(module)
    for name, source in FILES.items():
        shutil.copy(source, reader / name)
    names: dict[str, object] = {"__name__": "__main__"}

    running = eval(
        compile(program.text, program.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True), names
    )
    if running is not None:
        asyncio.run(running)

    assert program.prints in (None, capsys.readouterr().out)


def imported(program: Block) -> set[str]:
    statements = list(ast.walk(ast.parse(program.text)))
    plain = {alias.name for each in statements if isinstance(each, ast.Import) for alias in each.names}
    from_ = {each.module or "" for each in statements if isinstance(each, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | from_}


@pytest.mark.parametrize("suite", SUITES, ids=named)
def test_each_suite_passes_as_it_stands(suite: Block, reader: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(suite.text)

    result = pytester.runpytest_subprocess(
        "-p", "smappee_async.testing.plugin", "-p", "no:cacheprovider", "-p", "no:asyncio"
    )

    result.assert_outcomes(passed=suite.text.count("def test_"))


@pytest.mark.parametrize("commands", run_blocks("sh"), ids=named)
def test_each_command_runs_as_it_stands(commands: Block, reader: Path) -> None:
    for name, source in FILES.items():
        shutil.copy(source, reader / name)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.text], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert commands.prints in (None, ended.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    left_out = [block for block in blocks(page) if block.language in ("python", "sh") and not block.is_run]

    assert [block.name for block in left_out if not block.comment.removeprefix("not run").strip(": ")] == []
