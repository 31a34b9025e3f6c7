"""Files under a temporary name that a killed run left behind: told from those that another run is writing, and removed.

A run holds a lock on its file until the file has its name. The system ends the lock with the process, however it ends.
Where there are no such locks, as on Windows, the system does not let an open file be removed.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SUFFIX: Final = ".part"
_RANDOM_BYTES: Final = 4


@contextmanager
def temporary_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside ``target``, with its path, locked for as long as the block; the block closes the file.

    :raises OSError: it cannot be made.
    """
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(_RANDOM_BYTES)}{_SUFFIX}")
        file = path.open("xb")
        kept = os.dup(file.fileno())  # a lock lasts until the last descriptor of the file is closed
        _lock(kept)
        # Another run may have removed it before it was locked.
        if os.fstat(kept).st_nlink or fcntl is None:
            break
        os.close(kept)
        file.close()
    if fcntl is None:
        os.close(kept)  # an open file cannot be renamed there
    try:
        with file:
            yield path, file
    finally:
        if fcntl is not None:
            os.close(kept)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_leftovers(target: Path) -> list[str]:
    """Remove what killed runs left beside ``target``; returns the names. What cannot be removed stays."""
    pattern = re.compile(re.escape(f".{target.name}.") + f"[0-9a-f]{{{2 * _RANDOM_BYTES}}}" + re.escape(_SUFFIX))
    try:
        found = [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(path.name for path in found if _remove_if_left(path))


def _remove_if_left(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        finally:
            os.close(descriptor)
        if fcntl is None:
            path.unlink()
    except OSError:
        return False  # another run is writing it, or it belongs to somebody else
    return True


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have no locks; there, other runs cannot lock it either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
