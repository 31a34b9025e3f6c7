"""The process that writes a workbook: whatever happens to it, or to who waits for it, nothing is left and nothing hidden."""

from __future__ import annotations

import asyncio
import multiprocessing.spawn
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from smappee_async import ConfigurationError, ExportError, SessionBatch
from smappee_async.export.xlsx_file import write_xlsx
from smappee_async.export.xlsx_messages import Cards, End, line
from smappee_async.export.zones import TimeZones
from smappee_async.rfid import masked
from tests.cutting import WAYS, Cut, at_every_await

from .xlsx_support import BRUSSELS, batch, batches, left, session, writers

NOTHING: tuple[list[int], list[str]] = ([], [])
#: More than a pipe holds, so that it is taken only when the process reads it.
MANY = [session(id=number, smart_mode="x" * 400) for number in range(250)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.xlsx"


async def _write(given: AsyncIterator[SessionBatch], path: Path) -> int:
    return await write_xlsx(given, path, zones=TimeZones(BRUSSELS), rfid=masked)


# --- who waits for it -------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_nothing_is_left_but_the_workbook(path: Path) -> None:
    assert await _write(batches(batch(*MANY), batch(session())), path) == 251

    assert left(path) == NOTHING
    assert await anyio.Path(path).is_file()


@pytest.mark.anyio
@pytest.mark.parametrize("cut", WAYS.values(), ids=WAYS)
async def test_cancelled_anywhere_it_leaves_nothing_running(cut: Cut, path: Path) -> None:
    async for _ in at_every_await(lambda: _write(batches(batch(*MANY)), path), cut):
        assert left(path) == NOTHING


@pytest.mark.anyio
async def test_it_can_be_cancelled_while_the_process_takes_nothing(path: Path) -> None:
    taken = 0

    async def some() -> AsyncIterator[SessionBatch]:
        nonlocal taken
        while True:
            taken += 1
            if taken == 2:
                (process,) = await asyncio.to_thread(writers, path)
                os.kill(process, signal.SIGSTOP)
                asyncio.get_running_loop().call_soon(task.cancel)
            yield batch(*MANY)

    task = asyncio.create_task(_write(some(), path))
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (taken, left(path)) == (2, NOTHING)


@pytest.mark.anyio
async def test_an_error_of_the_sessions_comes_through_and_leaves_nothing(path: Path) -> None:
    async def some() -> AsyncIterator[SessionBatch]:
        yield batch(session())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await _write(some(), path)

    assert left(path) == NOTHING


# --- what happens to it -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("before", ["more sessions", "the end"])
async def test_a_process_that_is_killed_is_an_error(before: str, path: Path) -> None:
    async def some() -> AsyncIterator[SessionBatch]:
        yield batch(session())
        (process,) = await asyncio.to_thread(writers, path)
        os.kill(process, signal.SIGKILL)
        while before == "more sessions":
            yield batch(*MANY)

    with pytest.raises(ExportError, match=r"sessions.xlsx' could not be written: .* ended by signal 9") as caught:
        await _write(some(), path)

    assert "memory" in caught.value.advice
    assert left(path) == NOTHING


@pytest.fixture
def files_are_small() -> Iterator[None]:
    """The system lets no file grow beyond 64 KiB, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.anyio
async def test_a_file_that_cannot_grow_is_an_error(path: Path, files_are_small: None) -> None:
    with pytest.raises(ExportError, match="File too large") as caught:
        await _write(batches(*[batch(*MANY)] * 9), path)

    assert "Allow larger files" in caught.value.advice
    assert left(path) == NOTHING


@pytest.mark.anyio
async def test_a_directory_that_does_not_exist_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    taken = []

    async def some() -> AsyncIterator[SessionBatch]:
        taken.append(1)
        yield batch(session())

    with pytest.raises(ExportError, match="No such file or directory") as caught:
        await _write(some(), tmp_path / "none" / "sessions.xlsx")

    assert caught.value.advice == "Make the directory first"
    assert taken == []


@pytest.mark.anyio
async def test_a_place_that_cannot_be_opened_is_an_error(path: Path) -> None:
    await anyio.Path(path).mkdir()

    with pytest.raises(ExportError, match="Is a directory"):
        await _write(batches(batch(session())), path)

    assert left(path) == NOTHING


@pytest.mark.anyio
async def test_a_process_that_ends_without_a_word_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", shutil.which("false"))  # as set_executable() does

    with pytest.raises(ExportError, match=r"ended with code 1\. ") as caught:
        await _write(batches(batch(*MANY), batch(*MANY)), path)

    assert "write CSV" in caught.value.advice
    assert left(path) == NOTHING


# --- what it needs ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_without_xlsxwriter_the_error_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)

    with pytest.raises(ConfigurationError, match="needs an extra") as caught:
        await _write(batches(), path)

    assert caught.value.advice == "pip install 'smappee-async[excel]'"


@pytest.mark.anyio
async def test_a_frozen_program_is_told_to_name_a_python(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    with pytest.raises(ConfigurationError, match="frozen or embedded") as caught:
        await _write(batches(), path)

    assert "multiprocessing.set_executable" in caught.value.advice


def test_the_program_does_not_import_xlsxwriter() -> None:
    code = "import smappee_async.export.xlsx_file, sys; sys.exit('xlsxwriter' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=100).returncode == 0


@pytest.mark.anyio
async def test_the_process_has_no_credentials_and_no_session_in_its_arguments(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMAPPEE_PASSWORD", "opensesame")
    seen = []

    async def some() -> AsyncIterator[SessionBatch]:
        yield batch(*MANY)  # it is read by the process, which therefore runs its program
        (process,) = await asyncio.to_thread(writers, path)
        seen.append(await asyncio.to_thread(Path(f"/proc/{process}/environ").read_bytes))
        seen.append(await asyncio.to_thread(Path(f"/proc/{process}/cmdline").read_bytes))

    await _write(some(), path)

    environment, arguments = seen
    assert b"PYTHONPATH" in environment
    assert b"opensesame" not in environment
    assert len(arguments.split(b"\0")) == 7


# --- the program itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def child(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    (path.parent / "scratch").mkdir()
    command = [sys.executable, "-m", "smappee_async.export.xlsx_child", str(path), str(path.parent / "scratch")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def _tell(child: Any, *lines: bytes) -> None:
    for each in lines:
        child.stdin.write(each)
        child.stdin.flush()


def test_it_ends_and_cleans_up_when_who_started_it_is_gone(child: subprocess.Popen[bytes], path: Path) -> None:
    _tell(child, line(Cards(str).message(MANY, "Europe/Brussels")))

    told, _ = child.communicate(timeout=100)

    assert (child.returncode, told) == (1, b"")
    assert left(path) == NOTHING


def test_an_interrupt_from_the_terminal_does_not_end_it(child: subprocess.Popen[bytes], path: Path) -> None:
    _tell(child, line(Cards(str).message(MANY, "Europe/Brussels")))
    child.send_signal(signal.SIGINT)
    _tell(child, line(End([])))

    told, _ = child.communicate(timeout=100)

    assert told == b'{"type":"written","sessions":250}\n'


def test_a_fault_of_its_own_is_told_without_what_it_was_told(child: subprocess.Popen[bytes]) -> None:
    _tell(child, line(Cards(str).message([session(rfid="A123")], "Nowhere/A123")))

    told, _ = child.communicate(timeout=100)

    assert told.startswith(b'{"type":"not written","reason":"unexpected ZoneInfoNotFoundError at ')
    assert b"A123" not in told
