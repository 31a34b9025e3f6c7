"""Where output goes: stdout, or a file that gets its name only when it is complete."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from smappee_async.cli.ending import tell
from smappee_async.errors import ConfigurationError
from smappee_async.export.leftovers import remove_leftovers
from smappee_async.export.new_file import new_file


class Sink:
    """Writes text as UTF-8.

    :param file: the open file.
    :param path: its final path; ``None`` for stdout.
    """

    def __init__(self, file: BinaryIO | FileIO, path: Path | None = None) -> None:
        self._file = file
        self.path = path
        self.is_complete = True
        """Set it to false if data is missing: the file then gets another name."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        try:
            return self.path is not None or stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        except OSError:
            return False  # it has no descriptor, as in a test

    def write(self, text: str) -> None:
        """Write and flush.

        :raises BrokenPipeError: the reader closed the pipe.
        """
        left = memoryview(text.encode("utf-8", "surrogatepass"))
        while left:
            # A pipe or a device, which has no buffer, may take a part.
            left = left[self._file.write(left) :]
        self._file.flush()

    async def write_soon(self, text: str) -> None:
        """The same in a thread, so that a reader that pauses, as ``| less`` does, does not block the event loop."""
        if text:
            # An interrupted command abandons a write that hangs; see smappee_async.cli.ending.
            await anyio.to_thread.run_sync(self.write, text, abandon_on_cancel=True)


@contextmanager
def open_sink(output: str | None) -> Iterator[Sink]:
    """Open what ``--output`` names; stdout for ``None`` and ``-``.

    A regular file is a :func:`~smappee_async.export.new_file.new_file`; a pipe or a device is written as it is.

    :raises ConfigurationError: it cannot be written there.
    """
    if output is None or output == "-":
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError("stdout is closed", advice="Redirect it, or use --output")
        yield Sink(sys.stdout.buffer)
        return
    path = Path(output)
    if path.exists() and not path.is_file() and not path.is_dir():
        # A device or a pipe: it is opened, because renaming a file over it would destroy it.
        with _open_device(path) as device:
            yield Sink(device)
        return
    tell_leftovers(path)
    with new_file(path) as new:
        yield (sink := Sink(new.file, path))
        new.is_complete = sink.is_complete
    sink.path = new.path


def tell_leftovers(path: Path) -> None:
    """Remove what runs that were killed left beside a file, and say so."""
    for name in remove_leftovers(path.resolve()):
        tell(f"removed {name}, which a run that was killed left behind")


def _open_device(path: Path) -> FileIO:
    """A pipe or a device, without a buffer: to close a buffer waits for a write that hangs, as one to a full pipe does.

    :raises ConfigurationError: it cannot be written.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            with suppress(BlockingIOError):
                return _open_pipe_that_is_read(path)
            tell(f"waiting for a program that reads {path}")
        return FileIO(path, "w")
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be written: {error.strerror}") from None


def _open_pipe_that_is_read(path: Path) -> FileIO:
    """A pipe that a program has open for reading.

    :raises BlockingIOError: none has.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise BlockingIOError from None
        raise
    os.set_blocking(descriptor, True)
    return FileIO(descriptor, "w")
