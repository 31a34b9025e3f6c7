"""The process that writes a workbook, as seen from the event loop.

xlsxwriter needs 0.1 to 0.2 ms for a session, all of it in Python, so neither the event loop nor a thread of its process
can do it without stalling others.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, TypeVar

import anyio

import smappee_async
from smappee_async.errors import ConfigurationError, ExportError, SmappeeError, unwrap
from smappee_async.export.failing import advice_of, not_written
from smappee_async.export.xlsx_messages import NotWritten, Written, read_outcome

ResultT = TypeVar("ResultT")

_PACKAGE: Final = str(Path(smappee_async.__file__).parents[1])
_PROGRAM: Final = "smappee_async.export.xlsx_child"
_OUR_ENVIRONMENT: Final = "SMAPPEE_"
_SHOWN_CHARACTERS: Final = 200


class XlsxProcess:
    """A process that writes one workbook. Made by :func:`xlsx_process`."""

    def __init__(self, child: _Child, thread: ThreadPoolExecutor) -> None:
        self._child = child
        self._thread = thread

    async def send(self, line: bytes) -> None:
        """Hand over one line. Waits while the process has enough to do.

        :raises ExportError: the process has ended.
        """
        outcome = await _run(self._thread, partial(self._child.write, line))
        del line  # it may hold an RFID, and an error would show this frame
        unwrap(outcome)

    async def finish(self) -> int:
        """Wait until the workbook is whole. Returns the number of its sessions.

        :raises ExportError: it could not be written.
        """
        return unwrap(await _run(self._thread, self._child.finish))


@asynccontextmanager
async def xlsx_process(path: Path, name: str) -> AsyncIterator[XlsxProcess]:
    """Run the process inside the block. However the block ends, no process and no temporary file is left.

    :param path: where the workbook is written. Temporary files are made beside it.
    :param name: what errors call it.
    :raises ConfigurationError: xlsxwriter is not installed, or there is no Python to start.
    :raises ExportError: nothing can be written there.
    """
    child = _Child(path, name)
    # One thread, so that the steps keep their order. Its pipes and waits work in every event loop, and in any thread;
    # those of asyncio do not on Windows' selector loop.
    thread = ThreadPoolExecutor(1, thread_name_prefix="smappee xlsx")
    try:
        unwrap(await _run(thread, child.start))
        yield XlsxProcess(child, thread)
    finally:
        child.kill()  # so that the thread, if it waits for the process, waits no longer
        ending = thread.submit(child.end)
        thread.shutdown(wait=False)
        await _ended(ending)


async def _ended(work: Future[None]) -> None:
    """Wait for work, and let a cancellation pass only then."""
    waiting, cancelled = asyncio.wrap_future(work), None
    with anyio.CancelScope(shield=True):
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError as error:  # not of a scope of anyio, from which the shield protects
                cancelled = error
    waiting.result()
    if cancelled is not None:
        raise cancelled


async def _run(thread: ThreadPoolExecutor, work: Callable[[], ResultT]) -> ResultT:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


class _Child:
    """The process, used in one thread; only :meth:`kill` may be called from another one.

    Errors are returned, because the frames of a raised one would show what was being written.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._scratch: str | None = None
        self._told: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> SmappeeError | None:
        if find_spec("xlsxwriter") is None:
            return ConfigurationError("an Excel workbook needs an extra", advice="pip install 'smappee-async[excel]'")
        python = _python()
        if isinstance(python, ConfigurationError):
            return python
        try:
            self._scratch = tempfile.mkdtemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            # A file, because a pipe that nobody reads fills up.
            self._told = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and a path
                # With -P, a file random.py in the working directory is not imported.
                [python, "-P", "-m", _PROGRAM, str(self._path), self._scratch],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=self._told,
                stderr=self._told,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            return self._error(error.strerror or type(error).__name__, error.errno)
        return None

    def write(self, line: bytes) -> SmappeeError | None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:  # it has ended: the reason is in what it told
            outcome = self.finish()
            return outcome if isinstance(outcome, SmappeeError) else self._error("the process ended too early")
        return None

    def finish(self) -> int | SmappeeError:
        assert self._process is not None
        assert self._told is not None
        self._close_stdin()
        code = self._process.wait()
        self._told.seek(0)
        last = self._told.read().strip().rpartition(b"\n")[2]
        match read_outcome(last):
            case Written(sessions):
                return sessions
            case NotWritten(reason, number):
                return self._error(reason, number)
        if code < 0:
            return self._error(
                f"the process that writes it was ended by signal {-code}",
                advice="Try again; if the machine is short of memory, the system may have ended it",
            )
        said = last.decode(errors="replace")[:_SHOWN_CHARACTERS]
        return self._error(
            f"the process that writes it ended with code {code}" + (f": {said}" if said else ""),
            advice="Check that this Python can import smappee_async in a process of its own, or write CSV",
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()  # if it was being started when kill() was called
            self._close_stdin()
            self._process.wait()
        if self._told is not None:
            self._told.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _close_stdin(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _error(self, reason: str, number: int | None = None, *, advice: str | None = None) -> ExportError:
        return not_written(self._name, reason, advice=advice if number is None else advice_of(number))


def _python() -> str | ConfigurationError:
    from multiprocessing.spawn import get_executable  # noqa: PLC0415 - only where a process is started

    # What multiprocessing.set_executable() was given, if it was called.
    python = os.fsdecode(get_executable() or "")
    if not python or (getattr(sys, "frozen", False) and python == sys.executable):
        return ConfigurationError(
            "a workbook is written by a Python process of its own, and this program is frozen or embedded, so that it"
            " does not know a Python",
            advice="Name a Python that has this package with multiprocessing.set_executable(), or write CSV",
        )
    return python


def _environment() -> dict[str, str]:
    """The environment without credentials, and with everything that can be imported here."""
    paths = [_PACKAGE, *filter(None, sys.path)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OUR_ENVIRONMENT)}
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
