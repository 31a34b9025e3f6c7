"""Tokens kept in a file of the user's own, shared by the processes of one machine."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import random
from typing import TypeVar

import anyio
from filelock import FileLock, Timeout

from smappee_async.auth.stores import EndlessLease
from smappee_async.auth.tokens import StoredToken
from smappee_async.defaults import LOCK_POLL_S
from smappee_async.errors import TokenStoreError
from smappee_async.secret import Secret

ResultT = TypeVar("ResultT")

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Not on every system. A symbolic link could point the secrets anywhere; opening a pipe would wait for its other end.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
#: A record has less than a kilobyte.
_MAX_BYTES = 64 * 1024


class FileTokenStore:
    """Keeps tokens in a file that only its owner can read, and that is replaced as a whole.

    Processes that share the path take turns through a lock file beside it, which the system frees when a process dies.
    For a local file system: locks on network file systems cannot be relied on.

    :param path: the file; its directory is made if need be. ``~`` is the home directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._lock_path = self._path.with_name(f"{self._path.name}.lock")
        self._corrupt_path = self._path.with_name(f"{self._path.name}.corrupt")
        # Always the same name: what a killed process left behind is gone with the next write.
        self._new_path = self._path.with_name(f".{self._path.name}.new")
        # Within the process; the file lock is for the others.
        self._turn = anyio.Lock()

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self._path)!r})"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[EndlessLease]:
        """Wait for the lock; it ends with the process that holds it, however that ends."""
        async with self._turn:
            hold = _FileLockAttempt(self._lock_path)
            try:
                # Polled: a thread that waits in the system could not be told to give up.
                while not await self._in_thread("cannot be locked", hold.take):  # noqa: ASYNC110
                    await asyncio.sleep(LOCK_POLL_S * (0.5 + random()))
                yield EndlessLease()
            finally:
                await self._in_thread("cannot be unlocked", hold.give_back)

    async def load(self) -> StoredToken | None:
        """What is kept now. A file that cannot be understood is put aside, and counts as nothing.

        :raises TokenStoreError: the file cannot be read, or others could read or change it.
        """
        return await self._in_thread("cannot be read", self._load)

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if the file is of that generation. The lock must be held.

        :raises TokenStoreError: it could not be written; the old file is still whole.
        """
        return await self._in_thread("cannot be written", lambda: self._replace(expected_generation, new))

    async def _in_thread(self, what_fails: str, work: Callable[[], ResultT]) -> ResultT:
        """Work on files in a thread, for a disk may hold up the event loop. It runs to its end, even if cancelled."""

        def run() -> ResultT | TokenStoreError:
            try:
                return work()
            except TokenStoreError as error:
                return error.with_traceback(None)
            except OSError as error:
                return TokenStoreError(
                    f"the token file {self._path} {what_fails}: {error.strerror or type(error).__name__}"
                )

        outcome = await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, run))
        if isinstance(outcome, TokenStoreError):
            # Raised out here, for the frames in which it arose know the tokens in clear.
            raise outcome
        return outcome

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _load(self) -> StoredToken | None:
        try:
            number = os.open(self._path, os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            return None
        except OSError:
            if self._path.is_symlink():
                raise self._unsafe("is a symbolic link", "Give the path of the file itself") from None
            raise
        try:
            self._check(os.fstat(number))
            data = os.read(number, _MAX_BYTES + 1)
        finally:
            os.close(number)
        stored = _decode(data)
        if stored is None:
            # Kept for a look, out of the way: logging in again is better than failing for ever.
            self._path.replace(self._corrupt_path)
        return stored

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._unsafe("is not a file", "Give the path of a file; it is made if need be")
        if os.name != "posix":
            return
        if status.st_uid != os.geteuid():
            raise self._unsafe("belongs to another user", "Use a file of your own")
        if status.st_mode & _OTHERS:
            raise self._unsafe("can be read or changed by other users", f"Run: chmod 600 {self._path}")

    def _replace(self, expected_generation: int, new: StoredToken) -> bool:
        current = self._load()
        if expected_generation != (0 if current is None else current.generation):
            return False
        try:
            self._write(Secret(json.dumps(new.to_dict())))
            self._new_path.replace(self._path)
        except OSError:
            with suppress(OSError):
                self._new_path.unlink()
            raise
        self._sync_directory()
        return True

    def _write(self, text: Secret) -> None:
        """The new file: beside the old one, to take its place in one step, and on the disk before it does."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._new_path.unlink(missing_ok=True)
        number = os.open(self._new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(text.reveal().encode())
            file.flush()
            os.fsync(number)

    def _sync_directory(self) -> None:
        if os.name != "posix":
            return
        # The new file is in force already. Without this it is only less sure to outlive a crash of the machine.
        with suppress(OSError):
            number = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)

    def _unsafe(self, what: str, advice: str) -> TokenStoreError:
        return TokenStoreError(f"the token file {self._path} {what}", advice=advice)


def _decode(data: bytes) -> StoredToken | None:
    """The record; ``None`` if these bytes are none."""
    if len(data) > _MAX_BYTES:
        return None
    try:
        return StoredToken.from_dict(json.loads(data))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


class _FileLockAttempt:
    """One taking of the lock file, by one waiter. Its methods run in threads, in any order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path, mode=0o600, thread_local=False)
        self._mutex = threading.Lock()
        self._over = False

    def take(self) -> bool:
        """Try to take the lock, without waiting for another process."""
        with self._mutex:
            if self._over:
                return False  # the waiter was cancelled, and its last try comes late
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                return False
            return True

    def give_back(self) -> None:
        """Let go of the lock, and never take it again."""
        with self._mutex:
            self._over = True
            self._lock.release()
