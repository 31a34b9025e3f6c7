"""Whether a response may have been cut off silently. Pure.

No limit on one response is documented, and none is excluded: by a number of sessions or by a size in bytes, one for all
targets or one for each. A service that gave a response whole does not stop at a smaller one. So a response is proven
whole by a larger one that was, and what is in doubt is verified: its time range is asked for again in two parts that
hold half of its sessions each. If these bring no session that the response lacks, it was whole. In doubt are

- a response larger than all that were verified before: of its own target, as long as a limit of single targets is not
  ruled out, and else of any target;
- a response as large as the largest of its target, at growing intervals: a limit shows as a largest size that repeats.

A limit of single targets counts as ruled out when :data:`SAMPLE` targets were verified and none has a limit. A limit
that is found anywhere ends this trust: from then on each target is verified by itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from smappee_async.protocol.responses import ColumnRecords, SessionRecords
from smappee_async.protocol.wire import WireRecords
from smappee_async.secret import Opaque
from smappee_async.timerange import TimeRange

#: So many targets are verified one by one, before a response is trusted because others of its size were whole.
SAMPLE: Final = 16
#: Nobody limits responses to fewer bytes: below, only the number of sessions is looked at.
_SMALLEST_LIMIT_BYTES: Final = 32 * 1024
#: A service that stops at a size leaves out a whole record, so it may stop so many records of middle size below it.
_RECORDS_BELOW: Final = 3
_MOST_RANGES: Final = 64

Verdict = Literal["whole", "verify", "cut"]


class ResponseSize(NamedTuple):
    """The size of one response.

    :param sessions: the number of its records.
    :param size_bytes: the size of its body, decompressed.
    """

    sessions: int = 0
    size_bytes: int = 0

    def reaches(self, other: ResponseSize) -> bool:
        """Whether a service that stops at the other size may have stopped at this one."""
        return self.sessions >= other.sessions or self._is_as_long(other)

    def is_like(self, other: ResponseSize) -> bool:
        """Whether one limit can be the reason of both sizes."""
        return 0 < self.sessions == other.sessions or (self._is_as_long(other) and other._is_as_long(self))

    def exceeds(self, other: ResponseSize) -> bool:
        """Whether it is larger, in sessions or in bytes."""
        return self.sessions > other.sessions or (self._has_size and self.size_bytes > other.size_bytes)

    def with_largest(self, other: ResponseSize) -> ResponseSize:
        """The larger number of sessions, and the larger size in bytes, of both."""
        return ResponseSize(max(self.sessions, other.sessions), max(self.size_bytes, other.size_bytes))

    def with_smallest(self, other: ResponseSize) -> ResponseSize:
        """The smaller number of sessions, and the smaller size in bytes, of both."""
        return ResponseSize(min(self.sessions, other.sessions), min(self.size_bytes, other.size_bytes))

    def of_distinct(self, sessions: int) -> ResponseSize:
        """The size without records that stand twice: so many sessions, and their share of the bytes."""
        if sessions >= self.sessions:
            return self
        return ResponseSize(sessions, self.size_bytes * sessions // self.sessions)

    def _is_as_long(self, other: ResponseSize) -> bool:
        if not other._has_size or not other.sessions:
            return False
        return self.size_bytes * other.sessions >= other.size_bytes * (other.sessions - _RECORDS_BELOW)

    @property
    def _has_size(self) -> bool:
        return self.size_bytes >= _SMALLEST_LIMIT_BYTES


_NOTHING: Final = ResponseSize()


class _TargetView(Opaque, msgspec.Struct, eq=False):
    """What is known of one target.

    :ivar whole: the largest number and the largest size that were verified.
    :ivar largest: the same of all responses that were taken for whole.
    :ivar repeats: how many further responses were as large, with other ranges.
    :ivar ranges: the ranges of these.
    :ivar limit: the smallest response that was cut off.
    """

    whole: ResponseSize = _NOTHING
    largest: ResponseSize = _NOTHING
    repeats: int = 0
    ranges: set[Hashable] = msgspec.field(default_factory=set)
    limit: ResponseSize | None = None


class TruncationCheck:
    """What is known of silent limits on responses; one for all streams of a client.

    :param verify_from: responses with fewer sessions are trusted; ``None`` trusts all.
    """

    def __init__(self, verify_from: int | None) -> None:
        self.end_is_ignored = False
        """Whether the service was seen to ignore the end of a range."""
        self._verify_from = verify_from
        self._whole = _NOTHING
        self._views: dict[Hashable, _TargetView] = {}
        self._sample: set[Hashable] = set()
        self.revision = 0
        """Counts the limits that were found: what was trusted before may be in doubt when it grows."""

    def limit_of(self, target: Hashable) -> int | None:
        """The number of sessions at which the service stops for a target, once it is known."""
        view = self._views.get(target)
        return None if view is None or view.limit is None else view.limit.sessions

    def judge(self, target: Hashable, asked: Hashable, size: ResponseSize) -> Verdict:
        """What a response is.

        :param asked: what tells requests of one target apart, such as its time range.
        :return: ``whole``, as far as is known; ``verify`` if it is in doubt; ``cut`` if it has the size at which the
            service stops for this target, so that it must be asked for in parts.
        """
        if self._verify_from is None:
            return "whole"
        view = self._views.get(target)
        if view is not None and view.limit is not None:
            return "cut" if size.reaches(view.limit) else "whole"
        if size.sessions < self._verify_from:
            return "whole"
        if view is None:
            view = _TargetView()
        own = self.revision > 0 or target in self._sample or len(self._sample) < SAMPLE
        known = view.whole if own else view.whole.with_largest(self._whole)
        if size.is_like(view.whole) or (size.is_like(view.largest) and not size.exceeds(known)):
            return "verify" if asked not in view.ranges and _is_due(view.repeats + 1) else "whole"
        return "verify" if size.exceeds(known) else "whole"

    def trusts(self, target: Hashable, sessions: int) -> bool:
        """Whether responses of a target with so few sessions are never in doubt."""
        if self._verify_from is None:
            return True
        return sessions < self._verify_from and self.limit_of(target) is None

    def is_proven(self, target: Hashable, size: ResponseSize) -> bool:
        """Whether a response that counts as whole will stay so, whatever else is found out about its target."""
        if self._verify_from is None or size.sessions < self._verify_from:
            return True
        view = self._views.get(target)
        return view is not None and (view.limit is not None or not size.reaches(view.whole))

    def believe(self, target: Hashable, asked: Hashable, size: ResponseSize) -> None:
        """A response was taken for whole."""
        if self._verify_from is None or size.sessions < self._verify_from:
            return
        view = self._views.setdefault(target, _TargetView())
        if not size.reaches(view.largest):
            return
        if not size.is_like(view.largest):
            view.ranges.clear()
            view.repeats = 0
        elif asked not in view.ranges:
            view.repeats += 1
        view.largest = view.largest.with_largest(size)
        if len(view.ranges) < _MOST_RANGES:
            view.ranges.add(asked)

    def begin(self, target: Hashable) -> None:
        """A response of a target is being verified."""
        if len(self._sample) < SAMPLE:
            self._sample.add(target)

    def learn_whole(self, target: Hashable, asked: Hashable, size: ResponseSize) -> None:
        """A response was verified, and it was whole."""
        self.believe(target, asked, size)
        view = self._views.setdefault(target, _TargetView())
        view.whole = view.whole.with_largest(size)
        self._whole = self._whole.with_largest(size)

    def learn_limit(self, target: Hashable, size: ResponseSize) -> None:
        """A response was verified, and it was cut off."""
        self.revision += 1
        view = self._views.setdefault(target, _TargetView())
        view.limit = size if view.limit is None else view.limit.with_smallest(size)


def _is_due(repeats: int) -> bool:
    """Whether the largest size of a target is verified when it repeats for this time: 1, 8, 64, ..."""
    return repeats & (repeats - 1) == 0 and repeats.bit_length() % 3 == 1


# --- what records say -------------------------------------------------------------------------------------------------

_LOOKED_AT: Final = 100
#: The least share of records outside of the range that shows that it is ignored, and the least number of them. Single
#: ones are left out and counted later.
_STRAY_SHARE: Final = 4
_STRAYS: Final = 3


class _Start(msgspec.Struct):
    start_ms: int = msgspec.field(name="from")


class _Identity(msgspec.Struct):
    id: int | str


_START = msgspec.json.Decoder(_Start)
_IDENTITY = msgspec.json.Decoder(_Identity)


def identities(records: Sequence[msgspec.Raw]) -> set[int | str | bytes]:
    """The distinct ids of the records: duplicates do not prove truncation."""
    return {_identity(record) for record in records}


def _identity(record: msgspec.Raw) -> int | str | bytes:
    try:
        return _IDENTITY.decode(record).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(record)


def _start_ms(record: msgspec.Raw) -> int | None:
    try:
        return _START.decode(record).start_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # reported as invalid when the records are read


def starts_of(records: Sequence[msgspec.Raw]) -> list[int]:
    """The starts of the records that can be read."""
    return [start_ms for record in records if (start_ms := _start_ms(record)) is not None]


Ignored = Literal["start", "end"]


def may_ignore(time_range: TimeRange, records: SessionRecords) -> bool:
    """Whether some records, of a few that are looked at, are outside of the range that was asked for."""
    first_ms: int | None
    last_ms: int | None
    if isinstance(records, WireRecords):
        first_ms, last_ms = records.wires[0].from_ms, records.wires[-1].from_ms
    elif isinstance(records, ColumnRecords):
        first_ms, last_ms = records.first_ms, records.last_ms
    else:
        first_ms, last_ms = _start_ms(records[0]), _start_ms(records[-1])
    return _is_outside(time_range, first_ms) or _is_outside(time_range, last_ms)


def _is_outside(time_range: TimeRange, start_ms: int | None) -> bool:
    return start_ms is not None and not time_range.contains_ms(start_ms)


def ignored(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> Ignored | None:
    """Which edge of the range the service did not keep to; ``None`` if only single records are outside."""
    starts, end_ms = starts_of(records), time_range.end_ms
    few = max(_STRAYS, len(starts) / _STRAY_SHARE)
    if sum(start_ms < time_range.start_ms for start_ms in starts) >= few:
        return "start"
    return "end" if end_ms is not None and sum(start_ms >= end_ms for start_ms in starts) >= few else None


def inside(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """The records that are in a range, and those that do not say it."""
    return [record for record in records if (start_ms := _start_ms(record)) is None or time_range.contains_ms(start_ms)]


# --- cutting ----------------------------------------------------------------------------------------------------------


def cut_in_two(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> tuple[TimeRange, TimeRange] | None:
    """Two parts of a time range with about half of the records each; ``None`` if all records start at one instant."""
    # A sample is enough to find the middle.
    step = max(1, len(records) // _LOOKED_AT)
    starts = sorted(starts_of(records[::step]))
    if step > 1 and len(set(starts)) == 1:
        starts = sorted(starts_of(records))
    later = [start_ms for start_ms in starts if starts[0] < start_ms and time_range.contains_ms(start_ms)]
    if not later:
        return None
    middle_ms = max(starts[len(starts) // 2], later[0])
    if not time_range.start_ms < middle_ms or not time_range.contains_ms(middle_ms):
        return None
    return TimeRange.from_ms(time_range.start_ms, middle_ms), TimeRange.from_ms(middle_ms, time_range.end_ms)


def cut_evenly(time_range: TimeRange, records: Sequence[msgspec.Raw]) -> list[TimeRange]:
    """Parts of one length, of which the service should give each whole; none if the range cannot be cut.

    :param records: what the service gave of the range: the share of the range that they cover says how many it needs.
    """
    starts = [start_ms for start_ms in starts_of(records) if time_range.contains_ms(start_ms)]
    start_ms, end_ms = time_range.start_ms, time_range.end_ms
    if not starts and end_ms is None:
        return []
    first_ms, last_ms = min(starts, default=start_ms), max(starts, default=start_ms)
    close_ms = last_ms + 1 if end_ms is None else end_ms
    length_ms = close_ms - start_ms
    if first_ms == last_ms:
        edges = {start_ms, close_ms, *((first_ms, first_ms + 1) if starts else (start_ms + length_ms // 2,))}
    else:
        share = (last_ms - first_ms) / length_ms
        parts = min(_MOST_PARTS, max(2, math.ceil(_MARGIN / share)))
        edges = {start_ms + length_ms * part // parts for part in range(parts + 1)}
    cuts = sorted(edges)
    ranges = [TimeRange.from_ms(*bounds) for bounds in itertools.pairwise(cuts)]
    if end_ms is None:
        ranges.append(TimeRange.from_ms(close_ms))
    return [] if ranges == [time_range] else ranges


#: Parts should hold this much less than what the service gives, because sessions do not come evenly.
_MARGIN: Final = 1.6
_MOST_PARTS: Final = 64
