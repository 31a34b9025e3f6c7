"""A file that is written under a temporary name beside its own, and gets its name when it is whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import anyio
import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.export.failing import advice_of, not_written
from smappee_async.export.leftovers import remove_leftovers, temporary_file

ResultT = TypeVar("ResultT")


@attrs.define(eq=False)
class NewFile:
    """A file that is being written.

    :param file: it is open for writing.
    :param temporary: the name that it has until it is whole.
    :param path: the name that it gets; ``NAME.incomplete`` if :attr:`is_complete` is false.
    """

    file: BinaryIO
    temporary: Path
    path: Path
    is_complete: bool = True
    """Set it to false if data is missing."""


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[NewFile]:
    """A file that takes the place of an earlier one when the block ends, and is removed if the block fails.

    What a killed run left beside it is removed first. The target of a symbolic link is replaced, not the link. If data
    is missing it is named ``NAME.incomplete``, so that a file called ``NAME`` is always complete.

    :raises ConfigurationError: it cannot be written there.
    """
    named = Path(path)
    if named.is_dir():
        raise ConfigurationError(f"{str(named)!r} is a directory", advice="Give the name of a file")
    if named.exists() and not named.is_file():
        # Renaming a file over a device or a pipe would destroy it.
        raise ConfigurationError(f"{str(named)!r} is not a regular file", advice="Give the name of a file")
    target = named.resolve()
    remove_leftovers(target)
    with ExitStack() as stack:
        try:
            temporary, file = stack.enter_context(temporary_file(target))
        except OSError as error:
            raise ConfigurationError(f"{str(named)!r} cannot be written: {error.strerror}") from None
        yield (new := NewFile(file, temporary, named))
        file.flush()
        os.fsync(file.fileno())
        file.close()
        if not new.is_complete:
            new.path = named.with_name(f"{named.name}.incomplete")
            target = target.with_name(f"{target.name}.incomplete")
        temporary.replace(target)


class NewFileThread:
    """:func:`new_file` in a thread of its own, so that a slow disk does not hold the event loop: ``async with``.

    :ivar file: the file.
    """

    file: NewFile

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name = os.fspath(path)
        self._block = new_file(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smappee file")

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Do a piece of work in the thread, after all that was given before.

        If the caller is cancelled the work still ends, and what is given later waits for it.

        :raises ExportError: it could not be written, as on a full disk.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise not_written(self._name, reason, advice=advice_of(error.errno)) from None

    async def write(self, data: bytes) -> None:
        """Write to the file."""
        await self.run(lambda: self.file.file.write(data))

    async def __aenter__(self) -> Self:
        try:
            self.file = await self.run(self._block.__enter__)
        except BaseException:
            # If the caller was cancelled, the file may be opened all the same. This removes it then.
            self._thread.submit(self._block.__exit__, asyncio.CancelledError, asyncio.CancelledError(), None)
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # Shielded, so that the file is renamed or removed when a cancelled scope is left.
            with anyio.CancelScope(shield=True):
                await self.run(lambda: self._block.__exit__(kind, error, traceback))
        finally:
            self._thread.shutdown(wait=False)
