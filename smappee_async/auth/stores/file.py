"""Tokens stored in a file that the user owns, shared by the processes of one machine."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import random
from typing import TypeVar

from filelock import FileLock, Timeout

from smappee_async.auth.stores import EndlessLease
from smappee_async.auth.stores.turns import Turns
from smappee_async.auth.tokens import StoredToken
from smappee_async.defaults import LOCK_POLL_S, MAX_TOKEN_FILE_BYTES
from smappee_async.errors import TokenStoreError, unwrap, without_frames
from smappee_async.secret import Secret

ResultT = TypeVar("ResultT")

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Some systems do not have these flags. A symbolic link could send the secrets to any place, and opening a pipe would
# wait for its other end.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class FileTokenStore:
    """Stores tokens in a file that only its owner can read, and that is replaced as a whole.

    Processes that share the path share a lock file beside it. The system releases the lock when a process dies. Use a
    local file system, because locks on network file systems are not reliable. One store may be used from several
    threads and event loops, and after a fork.

    :param path: the file. Its directory is created if necessary. ``~`` is the home directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._lock_path = self._path.with_name(f"{self._path.name}.lock")
        self._corrupt_path = self._path.with_name(f"{self._path.name}.corrupt")
        # Always the same name, so that the next write removes the file that a killed process left behind.
        self._new_path = self._path.with_name(f".{self._path.name}.new")
        # Between the tasks of this process; the lock file is for other processes.
        self._turns = Turns()
        # The latest write, which may go on in its thread after its caller was cancelled.
        self._latest_write = _done()

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self._path)!r})"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[EndlessLease]:
        """Wait for the lock. The system releases it when the process ends, even if it is killed."""
        async with self._turns.take():
            self._latest_write = _done()  # what is waited for below is of this holder and of this process
            attempt = _FileLockAttempt(self._lock_path)
            try:
                # Polled, because a thread that waits in a system call cannot be cancelled.
                while not await self._in_thread("cannot be locked", attempt.acquire):  # noqa: ASYNC110
                    await asyncio.sleep(LOCK_POLL_S * (0.5 + random()))
                yield EndlessLease()
            finally:
                await self._in_thread("cannot be unlocked", partial(attempt.release, self._latest_write))

    async def load(self) -> StoredToken | None:
        """The record; ``None`` if there is none. A file that is not a record is renamed, and counts as none.

        :raises TokenStoreError: the file cannot be read, or other users could read or change it.
        """
        return await self._in_thread("cannot be read", self._load)

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if the record is of this generation. The caller must hold the lock.

        :raises TokenStoreError: the file could not be written. The old one is still whole.
        """
        written = self._latest_write = threading.Event()

        def replace() -> bool:
            try:
                return self._replace(expected_generation, new)
            finally:
                written.set()

        return await self._in_thread("cannot be written", replace)

    async def _in_thread(self, what_fails: str, work: Callable[[], ResultT]) -> ResultT:
        """Work on files in a thread, because a disk may block. A cancelled caller does not interrupt the work."""

        def run() -> ResultT | TokenStoreError:
            try:
                return work()
            except TokenStoreError as error:
                return without_frames(error)
            except OSError as error:
                return TokenStoreError(
                    f"the token file {self._path} {what_fails}: {error.strerror or type(error).__name__}"
                )

        # The frames in the thread hold the tokens in clear text.
        return unwrap(await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, run)))

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
            data = os.read(number, MAX_TOKEN_FILE_BYTES + 1)
        finally:
            os.close(number)
        stored = _decode(data)
        if stored is None:
            # Renamed, so that a person can look at it: to log in again is better than to fail for ever.
            self._path.replace(self._corrupt_path)
        return stored

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._unsafe("is not a file", "Give the path of a file; it is created if necessary")
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
        """Write the new file beside the old one, up to the disk. Then it can replace the old one in one step."""
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
        # The new file has replaced the old one already. This makes sure that it survives a crash of the machine.
        with suppress(OSError):
            number = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)

    def _unsafe(self, what: str, advice: str) -> TokenStoreError:
        return TokenStoreError(f"the token file {self._path} {what}", advice=advice)


def _done() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def _decode(data: bytes) -> StoredToken | None:
    """The record; ``None`` if the bytes are not one."""
    if len(data) > MAX_TOKEN_FILE_BYTES:
        return None
    try:
        return StoredToken.from_dict(json.loads(data))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


class _FileLockAttempt:
    """One attempt of one waiter to hold the lock file. Its methods run in threads, in any order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path, mode=0o600, thread_local=False)
        self._mutex = threading.Lock()
        self._is_over = False

    def acquire(self) -> bool:
        """Try to take the lock, without waiting for another process."""
        with self._mutex:
            if self._is_over:
                return False  # the waiter was cancelled, and this call of its comes late
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                return False
            return True

    def release(self, latest_write: threading.Event) -> None:
        """Release the lock, if it is held, and refuse to take it again. A write that goes on ends first."""
        latest_write.wait()
        with self._mutex:
            self._is_over = True
            self._lock.release()
