"""Where output goes: stdout, or a file that gets its name only when it is complete."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from smappee_async.errors import ConfigurationError


class Sink:
    """Writes text as UTF-8.

    :param file: the open file.
    :param path: its final path; ``None`` for stdout.
    """

    def __init__(self, file: BinaryIO, path: Path | None = None) -> None:
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
        self._file.write(text.encode("utf-8", "surrogatepass"))
        self._file.flush()

    async def write_soon(self, text: str) -> None:
        """The same in a thread, so that a reader that pauses, as ``| less`` does, does not block the event loop."""
        if text:
            # An interrupted command abandons a write that hangs; see smappee_async.cli.ending.
            await anyio.to_thread.run_sync(self.write, text, abandon_on_cancel=True)


@contextmanager
def open_sink(output: str | None) -> Iterator[Sink]:
    """Open what ``--output`` names; stdout for ``None`` and ``-``.

    A regular file is written under a temporary name in the same directory. At the end it is renamed; on any error it is
    removed. If data is missing it is named ``NAME.incomplete``, so that a file called ``NAME`` is always complete.

    :raises ConfigurationError: it cannot be written there.
    """
    if output is None or output == "-":
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError("stdout is closed", advice="Redirect it, or use --output")
        yield Sink(sys.stdout.buffer)
        return
    path = Path(output)
    if path.is_dir():
        raise ConfigurationError(f"--output {output!r} is a directory", advice="Give the name of a file")
    if path.exists() and not path.is_file():
        # A device or a pipe: it is opened, because renaming a file over it would destroy it.
        with path.open("wb") as device:
            yield Sink(device)
        return
    # The target of a symbolic link is replaced, not the link.
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        file = temporary.open("xb")
    except OSError as error:
        raise ConfigurationError(f"--output {output!r} cannot be written: {error.strerror}") from None
    try:
        with file:
            yield (sink := Sink(file, path))
            file.flush()
            os.fsync(file.fileno())
        if not sink.is_complete:
            sink.path = path.with_name(f"{path.name}.incomplete")
            target = target.with_name(f"{target.name}.incomplete")
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
