"""Whether a response may have been cut off silently. Pure.

No limit on the sessions of one response is documented, and none is excluded. A service that gave n sessions once does
not stop at fewer, so only a response larger than all before is verified: its time range is asked for again in two parts
that hold half of its sessions each. If the parts hold as many sessions, the response was whole, and every response up
to its size is trusted from then on. If they hold more, the service stops at n, and every response of n is asked for in
parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from smappee_async.timerange import TimeRange


class TruncationCheck:
    """What is known of a limit on the sessions in one response; one for all streams of a client.

    :param verify_from: responses with fewer sessions are trusted; ``None`` trusts all.
    """

    def __init__(self, verify_from: int | None) -> None:
        self.limit: int | None = None
        """The number of sessions at which the service stops, once it is known."""
        self._verify_from = verify_from
        self._verified = 0

    def is_suspect(self, sessions: int) -> bool:
        """Whether a response with so many sessions may have been cut off."""
        if self._verify_from is None or sessions < self._verify_from:
            return False
        if self.limit is not None:
            return sessions >= self.limit
        return sessions > self._verified

    def learn(self, records: int, *, is_whole: bool) -> None:
        """A response with so many records was asked for again in parts.

        :param is_whole: whether the parts held no more sessions than the response.
        """
        if not is_whole:
            self.limit = records if self.limit is None else min(self.limit, records)
        elif self.limit is None:
            self._verified = max(self._verified, records)


_SAMPLE: Final = 100


class _Start(msgspec.Struct):
    start_ms: int = msgspec.field(name="from")


class _Identity(msgspec.Struct):
    id: int | str


_START = msgspec.json.Decoder(_Start)
_IDENTITY = msgspec.json.Decoder(_Identity)


def distinct(records: Sequence[msgspec.Raw]) -> int:
    """How many distinct ids the records have: duplicates do not prove truncation."""
    return len({_identity(record) for record in records})


def _identity(record: msgspec.Raw) -> int | str | bytes:
    try:
        return _IDENTITY.decode(record).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(record)


def cut_in_two(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> tuple[TimeRange, TimeRange] | None:
    """Two parts of a time range with about half of the records each; ``None`` if all records start at one instant."""
    # A sample is enough to find the middle.
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
        return None  # reported as invalid when the records are read
