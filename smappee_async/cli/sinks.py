"""Where output goes: stdout, or a file that appears under its name only once it is complete."""

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

from smappee_async.cli.exits import OutputClosed
from smappee_async.errors import ConfigurationError


class Sink:
    """Takes text, encoded as UTF-8.

    :param file: what is written to.
    :param path: the file that it becomes; ``None`` for stdout.
    """

    def __init__(self, file: BinaryIO, path: Path | None = None) -> None:
        self._file = file
        self.path = path
        self.is_complete = True
        """Set to false where something is missing: then the file gets another name."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return self._file.isatty()

    @property
    def is_file(self) -> bool:
        """Whether it ends up on a disk."""
        try:
            return self.path is not None or stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        except OSError:
            return False  # no file at all, as under a test

    def write(self, text: str) -> None:
        """Write, and let it be seen at once.

        :raises OutputClosed: nobody reads it any more.
        """
        try:
            self._file.write(text.encode("utf-8", "surrogatepass"))
            self._file.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    async def write_soon(self, text: str) -> None:
        """The same from a running loop: a reader that pauses, as ``| less`` does, must not hold the requests up."""
        if text:
            # A write that hangs is left behind when the command is interrupted.
            await anyio.to_thread.run_sync(self.write, text, abandon_on_cancel=True)


@contextmanager
def open_sink(output: str | None) -> Iterator[Sink]:
    """Open what ``--output`` names; stdout for ``None`` and ``-``.

    A regular file is written under a temporary name beside it, moved into place at the end, and removed on any error.
    If it is not complete it is kept as ``NAME.incomplete``, so that a file under its own name always is.

    :raises ConfigurationError: it cannot be written there.
    """
    if output is None or output == "-":
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError("stdout is closed", advice="Give it somewhere to go to, or use --output")
        yield Sink(sys.stdout.buffer)
        return
    path = Path(output)
    if path.is_dir():
        raise ConfigurationError(f"--output {output!r} is a directory", advice="Give the name of a file")
    if path.exists() and not path.is_file():
        # A device or a pipe: it is written to, for moving a file over it would destroy it.
        with path.open("wb") as device:
            yield Sink(device)
        return
    # What a symbolic link points to is replaced, not the link.
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
