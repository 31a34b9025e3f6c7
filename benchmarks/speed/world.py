"""An invented service: parks of a few kinds, whose sessions are ready-made bytes.

A park's number says its kind: ``1_000_007`` is the seventh of the first kind. All parks of a kind have the same
sessions. This is allowed, because park and id together identify a session, and a record does not name its park.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import attrs

DAY_MS: Final = 86_400_000
#: Where the invented time begins: 2025-01-01T00:00Z.
BEGIN_MS: Final = 1_735_689_600_000
_PARKS_A_KIND: Final = 1_000_000
#: Odd, and about 2**128 divided by the golden ratio: spreads consecutive numbers over all digits.
_SPREAD: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835


@attrs.frozen
class Kind:
    """A kind of park: so many sessions, evenly spread over so many days.

    :param more: further members of the JSON object of each session, see :func:`record`.
    """

    sessions: int
    days: float
    more: str = ""


def parks(kind: int, count: int) -> list[int]:
    """The numbers of the first parks of a kind; kinds are counted from 1."""
    return list(range(kind * _PARKS_A_KIND, kind * _PARKS_A_KIND + count))


def kind_of(park: int) -> int:
    """The kind of a park, counted from 1."""
    return park // _PARKS_A_KIND


class Timeline:
    """All sessions of a park of one kind, by start. Records have one length, so that each range is one slice."""

    def __init__(self, kind: Kind) -> None:
        step_ms = kind.days * DAY_MS / kind.sessions
        self._starts = [BEGIN_MS + int(number * step_ms) for number in range(kind.sessions)]
        records = [record(number, start, kind.more) for number, start in enumerate(self._starts)]
        self._step = len(records[0]) + 1
        self._text = memoryview(b",".join(records) + b",")

    def between(self, start_ms: int, end_ms: int | None) -> memoryview:
        """The records of the sessions that start in a half-open range, with commas between; empty if there are none."""
        first = bisect_left(self._starts, start_ms)
        last = len(self._starts) if end_ms is None else bisect_left(self._starts, end_ms)
        return self._text[first * self._step : max(0, last * self._step - 1)] if last > first else _NONE


def record(number: int, start_ms: int, more: str = "") -> bytes:
    """One session as the documentation describes it: 13 fields, and a length that does not depend on the values.

    :param more: further members of the JSON object, for records with unknown keys.
    """
    odd = 1 + number % 9  # no number ends in a zero, because it would not be written
    start_ckwh = 1_000_000 + number * 137 % 4_000_000 * 2 // 10 * 10 + odd
    stop_ckwh = start_ckwh + 500 + number * 7 % 400 * 10
    return (
        f'{{"id":{10_000_000 + number},"serialNumber":{6_100_000_000 + number % 40},"authenticationType":"RFID",'
        f'"rfid":"04{number * 2_654_435_761 % 2**48:012X}","csmsTransactionId":"{number * _SPREAD % 2**128:032x}",'
        f'"from":{start_ms},"to":{start_ms + 3_600_000 + number % 1000 * 1000},"status":"STOPPED",'
        f'"range":{100 + number % 900},"duration":{1 + number % 9},"priority":100,'
        f'"startReading":{start_ckwh // 100}.{start_ckwh % 100:02d},'
        f'"stopReading":{stop_ckwh // 100}.{stop_ckwh % 100:02d}{more}}}'
    ).encode()


def array(count: int, more: str = "") -> bytes:
    """A whole response of so many records."""
    return b"[" + b",".join(record(number, BEGIN_MS + number * 60_000, more) for number in range(count)) + b"]"


_NONE: Final = memoryview(b"")
