"""Which parks or stations a command is about: ids of the command line, of a file (``@FILE``), or of stdin (``-``)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from smappee_async.cli.ending import tell
from smappee_async.cli.places import with_home
from smappee_async.errors import ConfigurationError
from smappee_async.protocol.requests import check_serial_number, check_service_location_id

_STANDARD_INPUT: Final = "-"
_FILE_MARK: Final = "@"
_COMMENT: Final = "#"
#: Of a line that is no id, this much is shown.
_SHOWN_CHARACTERS: Final = 40


def read_ids(arguments: Sequence[str], *, stations: bool) -> tuple[str, ...]:
    """The ids, in the order of the command line; each once.

    A file has one id on each line. Blank lines do not count, and ``#`` begins a comment.

    :param stations: whether they are serial numbers of charging stations, in place of service location ids of parks.
    :raises ConfigurationError: a file cannot be read, names nothing, or has a line that is no id.
    """
    if arguments.count(_STANDARD_INPUT) > 1:
        raise ConfigurationError("'-' can be given once, because standard input can be read once")
    ids = {}
    for argument in arguments:
        if argument == _STANDARD_INPUT:
            found = _ids_of_lines(_standard_input(), "standard input", stations=stations)
        elif argument.startswith(_FILE_MARK):
            found = _ids_of_lines(_file(argument), argument, stations=stations)
        else:
            found = iter([_id(argument, stations=stations)])
        ids.update(dict.fromkeys(found))
    return tuple(ids)


def _ids_of_lines(lines: Iterable[bytes], place: str, *, stations: bool) -> Iterator[str]:
    is_empty = True
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").partition(_COMMENT)[0].strip()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{place}, line {number}: it is not text in UTF-8") from None
        if not text:
            continue
        try:
            yield _id(text, stations=stations)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}, line {number}: {error.reason}", advice=error.advice) from None
        is_empty = False
    if is_empty:
        what = "charging station" if stations else "charging park"
        raise ConfigurationError(f"{place} names no {what}", advice="Give one id on each line")


def _standard_input() -> Iterable[bytes]:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigurationError("standard input is closed", advice="Name a file with @FILE")
    if sys.stdin.isatty():
        tell("reading ids from the terminal, one on each line; Ctrl-D ends them")
    return sys.stdin.buffer


def _file(argument: str) -> Iterable[bytes]:
    name = argument.removeprefix(_FILE_MARK)
    if not name:
        raise ConfigurationError("'@' names no file", advice="Write @FILE, such as @parks.txt")
    try:
        return with_home(name).read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(f"{argument} cannot be read: {error.strerror}") from None


def _id(text: str, *, stations: bool) -> str:
    """An id as the service writes it.

    :raises ConfigurationError: it is none.
    """
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    if stations:
        return check_serial_number(text)
    if not (text.isascii() and text.isdecimal()) or text != shown:
        raise ConfigurationError(
            f"the id of a charging park is a whole number, its service location id, not {shown!r}",
            advice="'smappee-async parks' lists the ids; serial numbers of stations need --stations",
        )
    # Without leading zeros, as in its sessions.
    return str(check_service_location_id(int(text)))
