"""The program that writes a workbook: ``python -m smappee_async.export.xlsx_child PATH SCRATCH``.

It reads :class:`Sessions` and one :class:`End` from stdin, and tells on stdout how it ended. If stdin ends before that,
whoever started it is gone, and it ends too. The directory ``SCRATCH`` is removed in any case.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

from xlsxwriter.exceptions import XlsxWriterException

from smappee_async.export.xlsx_messages import End, NotWritten, Written, line, read_told
from smappee_async.export.xlsx_sheets import Book

_LEFT_ALONE: Final = 1


def write(lines: Iterable[bytes], path: str, scratch: str) -> Written | None:
    """Write a workbook; ``None`` if the lines end too early.

    :raises OSError: it cannot be written.
    """
    with Path(path).open("wb") as file:
        book = Book(file, scratch)
        for text in lines:
            match read_told(text):
                case End(about):
                    return Written(book.close(about))
                case told:
                    book.add(told.sessions(), told.cards, ZoneInfo(told.zone))
    return None


def _outcome(path: str, scratch: str) -> Written | NotWritten | None:
    try:
        return write(sys.stdin.buffer, path, scratch)
    except OSError as error:
        return _system_error(error)
    except XlsxWriterException as error:
        if error.args and isinstance(cause := error.args[0], OSError):
            return _system_error(cause)
        return NotWritten(str(error))
    except Exception as error:  # noqa: BLE001 - its text may hold an RFID, so only its type and place are told
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return NotWritten(f"unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")


def _system_error(error: OSError) -> NotWritten:
    return NotWritten(error.strerror or type(error).__name__, error.errno)


def main() -> NoReturn:
    """Write a workbook, and end the process."""
    # Ctrl-C goes to every process of a terminal. Whoever started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, path, scratch = sys.argv
    outcome = _outcome(path, scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    if outcome is not None:
        sys.stdout.buffer.write(line(outcome))
        sys.stdout.buffer.flush()
    # At once, because a workbook that was given up would try to end its files once more.
    os._exit(_LEFT_ALONE if outcome is None else 0)


if __name__ == "__main__":
    main()
