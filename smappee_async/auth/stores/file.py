"""Tokens kept in a file of the user's own, shared by the processes of one machine."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import random

import anyio
import anyio.to_thread
from filelock import BaseFileLock, FileLock, Timeout

from smappee_async.auth.stores import EndlessLease
from smappee_async.auth.tokens import StoredToken
from smappee_async.defaults import LOCK_POLL_S
from smappee_async.errors import TokenStoreError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileTokenStore:
    """Keeps tokens in a file that only its owner can read, and that is replaced as a whole.

    Processes that share the path take turns through a lock file beside it, which the system frees when a process dies.
    For a local file system: locks on network file systems cannot be relied on.

    :param path: the file; its directory is made if need be. ``~`` is the home directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._lock_path = self._path.with_name(self._path.name + ".lock")
        # Within the process; the file lock is for the others.
        self._turn = anyio.Lock()

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self._path)!r})"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[EndlessLease]:
        async with self._turn:
            held = await anyio.to_thread.run_sync(self._make_lock)
            while not await anyio.to_thread.run_sync(_try_lock, held):
                # Polled, so that a cancelled waiter leaves no thread behind that still wants the lock.
                await anyio.sleep(LOCK_POLL_S * (0.5 + random()))
            try:
                yield EndlessLease()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(held.release)

    async def load(self) -> StoredToken | None:
        return await anyio.to_thread.run_sync(self._load)

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        return await anyio.to_thread.run_sync(self._replace, expected_generation, new)

    # --- in a worker thread: the event loop is never held up by a disk -------------------------------------------------

    def _make_lock(self) -> BaseFileLock:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return FileLock(self._lock_path, mode=0o600, thread_local=False)
        except OSError as error:
            raise self._failure("cannot be locked", error) from None

    def _load(self) -> StoredToken | None:
        text = self._read()
        if text is None:
            return None
        try:
            return StoredToken.from_dict(json.loads(text))
        except (ValueError, TypeError, AttributeError, RecursionError):
            # Kept for a look, out of the way: logging in again is better than failing for ever.
            with suppress(OSError):
                os.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
            return None

    def _read(self) -> str | None:
        try:
            # A symbolic link could point the secrets anywhere.
            number = os.open(self._path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            if self._path.is_symlink():
                raise TokenStoreError(f"{self._path} is a symbolic link", advice="Give the path of the file itself") from None
            raise self._failure("cannot be read", error) from None
        with os.fdopen(number, encoding="utf-8", errors="replace") as file:
            self._check_owner(os.fstat(number))
            return file.read()

    def _check_owner(self, status: os.stat_result) -> None:
        if os.name != "posix":
            return
        if status.st_uid != os.geteuid():
            raise TokenStoreError(f"{self._path} belongs to another user", advice="Use a file of your own")
        if status.st_mode & _OTHERS:
            raise TokenStoreError(
                f"{self._path} can be read or changed by other users", advice=f"Run: chmod 600 {self._path}"
            )

    def _replace(self, expected_generation: int, new: StoredToken) -> bool:
        current = self._load()
        if expected_generation != (0 if current is None else current.generation):
            return False
        temporary: str | None = None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes it 0600 from the start; in the same directory, so that the replacement is atomic.
            number, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(new.to_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
            temporary = None
            self._sync_directory()
        except OSError as error:
            raise self._failure("cannot be written", error) from None
        finally:
            if temporary is not None:
                with suppress(OSError):
                    os.unlink(temporary)
        return True

    def _sync_directory(self) -> None:
        if os.name != "posix":
            return
        number = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

    def _failure(self, what: str, error: OSError) -> TokenStoreError:
        return TokenStoreError(f"the token file {self._path} {what}: {error.strerror or type(error).__name__}")


def _try_lock(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
