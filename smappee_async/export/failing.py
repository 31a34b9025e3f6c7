"""What is said when a file cannot be written."""

from __future__ import annotations

import errno
from typing import Final

from smappee_async.errors import ExportError

_ADVICE: Final[dict[int, str]] = {
    errno.EACCES: "Choose a place where you may write; on Windows, close the program that has the file open",
    errno.EPERM: "Choose a place where you may write",
    errno.EROFS: "Choose a place where you may write",
    errno.ENOENT: "Make the directory first",
    errno.ENOSPC: "Make room; while it is written, a workbook needs about twenty times its size beside its name",
    errno.EDQUOT: "Make room; while it is written, a workbook needs about twenty times its size beside its name",
    errno.EFBIG: "Allow larger files (ulimit -f), or ask for fewer sessions",
}


def advice_of(number: int | None) -> str | None:
    """What to do about an error of the operating system."""
    return None if number is None else _ADVICE.get(number)


def not_written(name: str, reason: str, *, advice: str | None) -> ExportError:
    """The error for a file that could not be written."""
    return ExportError(f"{name!r} could not be written: {reason}", advice=advice)
