"""Whether a response may have been cut off silently. Pure.

No limit on the sessions of one response is documented, and none is ruled out. A service that gave n sessions once does
not stop at fewer, so only a response larger than any before must be proven whole: its range is asked again in two parts
that hold half of its sessions each. If the parts hold as many, it was whole, and every response up to its size is
trusted from then on. If they hold more, the service stops at n, and every response of n is asked for in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from smappee_async.timerange import TimeRange


class TruncationCheck:
    """What is known of a limit on the sessions in one response; one for all streams of a client.

    :param verify_from: fewer sessions than this are believed at once; ``None`` believes everything.
    """

    def __init__(self, verify_from: int | None) -> None:
        self.found: int | None = None
        """The limit, once it was found."""
        self._doubted_from = verify_from
        self._proven = 0

    def is_suspect(self, sessions: int) -> bool:
        """Whether a response with so many sessions may have been cut off."""
        if self._doubted_from is None or sessions < self._doubted_from:
            return False
        if self.found is not None:
            return sessions >= self.found
        return sessions > self._proven

    def learn(self, records: int, *, is_whole: bool) -> None:
        """A response with so many records was asked again in parts, which held as many sessions, or more."""
        if not is_whole:
            self.found = records if self.found is None else min(self.found, records)
        elif self.found is None:
            self._proven = max(self._proven, records)


_SAMPLE: Final = 100


class _Start(msgspec.Struct):
    start_ms: int = msgspec.field(name="from")


class _Identity(msgspec.Struct):
    id: int | str


_START = msgspec.json.Decoder(_Start)
_IDENTITY = msgspec.json.Decoder(_Identity)


def distinct(records: Sequence[msgspec.Raw]) -> int:
    """How many sessions records are about: a service that says things twice does not hold back."""
    return len({_identity(record) for record in records})


def _identity(record: msgspec.Raw) -> int | str | bytes:
    try:
        return _IDENTITY.decode(record).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(record)


def cut_in_two(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> tuple[TimeRange, TimeRange] | None:
    """Two parts of a range that hold about half of the records each; ``None`` if all of them start at one instant."""
    # A look at some of them tells where the middle is.
    step = max(1, len(records) // _SAMPLE)
    starts = sorted(start_ms for record in records[::step] if (start_ms := _start_ms(record)) is not None)
    if step > 1 and len(set(starts)) == 1:
        starts = sorted(start_ms for record in records if (start_ms := _start_ms(record)) is not None)
    later = [start_ms for start_ms in starts if starts[0] < start_ms and time_range.contains_ms(start_ms)]
    if not later:
        return None
    middle_ms = max(starts[len(starts) // 2], later[0])
    if not time_range.start_ms < middle_ms or not time_range.contains_ms(middle_ms):
        return None
    return TimeRange.from_ms(time_range.start_ms, middle_ms), TimeRange.from_ms(middle_ms, time_range.end_ms)


def _start_ms(record: msgspec.Raw) -> int | None:
    try:
        return _START.decode(record).start_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # will be reported as unreadable where records are read
