"""A file gets its name when it is whole, whatever is written to it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from smappee_async import ConfigurationError, export
from smappee_async.export import Exported
from smappee_async.export.leftovers import temporary_file
from smappee_async.export.new_file import new_file

from .support import Source, session

pytestmark = pytest.mark.anyio

Write = Callable[..., Awaitable[Exported]]
every_format = pytest.mark.parametrize("write", [export.csv, export.jsonl, export.parquet], ids=lambda w: w.__name__)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file of yesterday is."""
    path = tmp_path / "sessions"
    path.write_text("of yesterday")
    return path


def text_of(path: Path) -> str:
    return path.read_text()


def wait_for(threads: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(threads):
            thread.join()


@every_format
async def test_a_whole_file_takes_the_place_of_the_earlier_one(write: Write, path: Path) -> None:
    written = await write(Source([[session(1)], [session(2), session(3)]]), path)

    assert written == Exported(path=path, sessions=3, is_complete=True)
    assert list(path.parent.iterdir()) == [path]
    assert await asyncio.to_thread(path.read_bytes) != b"of yesterday"


@every_format
async def test_the_earlier_file_is_there_until_the_end(write: Write, path: Path) -> None:
    seen = []

    async def look() -> None:
        seen.append(await asyncio.to_thread(text_of, path))

    await write(Source([[session()]], at_end=look), path)

    assert seen == ["of yesterday"]


@every_format
@pytest.mark.parametrize("missing", ["failures", "invalid"])
async def test_a_file_that_lacks_data_never_gets_the_name_of_a_whole_one(
    write: Write, missing: str, path: Path
) -> None:
    written = await write(Source([[session()]], **{missing: ["one"]}), path)  # type: ignore[arg-type]

    assert written.path == path.with_name("sessions.incomplete")
    assert not written.is_complete
    assert written.path.exists()
    assert text_of(path) == "of yesterday"


@every_format
async def test_a_source_that_fails_leaves_only_the_earlier_file(write: Write, path: Path) -> None:
    async def fail() -> None:
        raise ValueError("the source failed")

    source = Source([[session()]], at_end=fail)
    with pytest.raises(ValueError, match="the source failed"):
        await write(source, path)

    assert source.is_closed
    assert list(path.parent.iterdir()) == [path]
    assert text_of(path) == "of yesterday"


@every_format
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_a_cancelled_export_leaves_only_the_earlier_file(write: Write, how: str, path: Path) -> None:
    scope = anyio.CancelScope()
    task: asyncio.Task[Exported] | None = None

    async def cancel() -> None:
        if task is None:
            scope.cancel()
        else:
            task.cancel()
        await asyncio.Event().wait()

    source = Source([[session()]], at_end=cancel)
    if how == "scope":
        with scope:
            await write(source, path)
    else:
        task = asyncio.ensure_future(write(source, path))
        with pytest.raises(asyncio.CancelledError):
            await task

    assert source.is_closed
    assert list(path.parent.iterdir()) == [path]
    assert text_of(path) == "of yesterday"


async def test_an_export_that_is_cancelled_while_the_file_is_opened_leaves_nothing(path: Path) -> None:
    for turns in range(6):
        task = asyncio.ensure_future(export.csv(Source([[session()]]), path.with_name("new")))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The file is opened and removed in the thread of the file, whose work is not cancelled.
        await asyncio.to_thread(wait_for, "smappee file")
        assert list(path.parent.iterdir()) == [path]


@every_format
async def test_a_progress_callback_hears_how_many_sessions_were_written(write: Write, path: Path) -> None:
    heard: list[int] = []

    await write(Source([[session(number) for number in range(700)]]), path, on_progress=heard.append)

    assert heard == sorted(heard)
    assert heard[-1] == 700


@every_format
async def test_another_choice_for_rfids_is_refused_before_anything_is_written(write: Write, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'show', 'mask', 'none' or HashedRfid"):
        await write(Source([[session()]]), path.with_name("new"), rfid="keep")

    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("directory", "is a directory"), ("pipe", "is not a regular file"), ("none/file", "No such file or directory")],
)
async def test_a_path_that_cannot_be_a_file_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigurationError, match=reason):
        await export.csv(Source(), tmp_path / name)


def test_what_a_killed_run_left_is_removed_and_what_runs_is_left_alone(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from smappee_async.export.new_file import new_file\n"
        "with new_file(sys.argv[1]) as file: print(file.temporary, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().strip())
        killed.send_signal(signal.SIGKILL)
    assert left.exists()

    with temporary_file(path) as (running, _), new_file(path):
        assert running.exists()
        assert not left.exists()


async def test_the_target_of_a_symbolic_link_is_replaced_and_not_the_link(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)

    written = await export.csv(Source([[session()]]), link)

    assert written.path == link
    assert link.is_symlink()
    assert text_of(path) != "of yesterday"
