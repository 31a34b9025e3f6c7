"""Which park to ask next, and for which each of time. Pure: no clock, no network, no tasks.

Every target (a charging park, or a charging station) keeps the ranges that nobody has asked for yet. They are cut
chunk by chunk, so that a plan over very many parks and years costs no more than what is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs

from smappee_async.defaults import SHORTEST_CHUNK
from smappee_async.query.sizing import ChunkSizer
from smappee_async.timerange import TimeRange

_SHORTEST_MS: Final = SHORTEST_CHUNK // timedelta(milliseconds=1)


@attrs.frozen(cache_hash=True)  # it is the key of whatever is kept per target
class Target:
    """What is asked: a charging park by its service location id, or a charging station by its serial number."""

    service_location_id: int | None = None
    serial_number: str | None = None

    def __str__(self) -> str:
        return f"park {self.service_location_id}" if self.serial_number is None else f"station {self.serial_number}"


@attrs.frozen
class Chunk:
    """One range of time of one target: what one request asks for."""

    target: Target
    time_range: TimeRange


@attrs.define
class _TargetQueue:
    """One target's part of the plan."""

    target: Target
    sizer: ChunkSizer
    unasked: list[TimeRange]
    """Latest first, so that the next one is at the end."""
    asked: set[int] = attrs.field(factory=set)
    """Starts of the chunks that are under way, in milliseconds."""
    held: int = 0
    """Pieces that were asked for and whose place has not been given back."""
    waiting: bool = False
    """Whether it stands in line for its turn."""
    abandoned: bool = False
    """Whether nothing more of it is to be asked."""


class Plan:
    """Hands out chunks, target by target in turn, until every each has been read or given up.

    Pieces grow and shrink with what comes back, towards responses of one size. Until a target's density is known, one
    chunk of it is asked for at a time.

    :param ranges: for each target, what is to be read; see :func:`left_to_read`.
    :param target_sessions: the size of response that is aimed at; ``None`` asks for each each at once.
    :param now_ms: about now, in milliseconds since 1970: where an open end is thought to be when it must be cut. It
        need not be right, for the last chunk is asked for with an open end.
    :param per_target: how many chunks of one target may be held at once; ``None`` for no such limit.
    """

    def __init__(
        self,
        ranges: Mapping[Target, Sequence[TimeRange]],
        *,
        target_sessions: int | None,
        now_ms: int,
        per_target: int | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._per_target = per_target
        self._queues = {
            target: _TargetQueue(target, ChunkSizer(target_sessions), list(reversed(ranges)))
            for target, ranges in ranges.items()
        }
        self._line: deque[_TargetQueue] = deque()
        self._unfinished = {target for target, ranges in ranges.items() if ranges}
        for queue in self._queues.values():
            self._stand_in_line(queue)

    # --- handing out --------------------------------------------------------------------------------------------------

    def next(self) -> Chunk | None:
        """The next chunk to ask for; ``None`` if there is none now."""
        if not self._line:
            return None
        queue = self._line.popleft()
        queue.waiting = False
        time_range = self._cut(queue)
        queue.asked.add(time_range.start_ms)
        queue.held += 1
        self._stand_in_line(queue)
        return Chunk(queue.target, time_range)

    def _cut(self, queue: _TargetQueue) -> TimeRange:
        each = queue.unasked.pop()
        left_ms = self._length_ms(each)
        span_ms = queue.sizer.span_ms(left_ms)
        if span_ms >= left_ms:
            return each
        cut_ms = each.start_ms + span_ms
        queue.unasked.append(TimeRange.from_ms(cut_ms, each.end_ms))
        return TimeRange.from_ms(each.start_ms, cut_ms)

    def _length_ms(self, each: TimeRange) -> int:
        """How long a each is; with an open end, up to now."""
        end_ms = max(self._now_ms, each.start_ms) if each.end_ms is None else each.end_ms
        return end_ms - each.start_ms

    def _stand_in_line(self, queue: _TargetQueue, *, first: bool = False) -> None:
        if not queue.unasked or queue.waiting:
            return
        has_place = self._per_target is None or queue.held < self._per_target
        if has_place and (not queue.asked or queue.sizer.is_known):
            queue.waiting = True
            if first:
                self._line.appendleft(queue)
            else:
                self._line.append(queue)

    # --- what became of it --------------------------------------------------------------------------------------------

    def read(self, chunk: Chunk, *, sessions: int = 0, elapsed_s: float = 0.0) -> None:
        """A chunk was read whole. Its place stays held until :meth:`give_back`.

        :param sessions: how many its response held.
        :param elapsed_s: how long the response took.
        """
        queue = self._queues[chunk.target]
        queue.sizer.learn(sessions, self._length_ms(chunk.time_range), elapsed_s)
        self._settled(queue, chunk)

    def give_up(self, chunk: Chunk) -> None:
        """A chunk will not be read."""
        queue = self._queues[chunk.target]
        queue.held -= 1
        self._settled(queue, chunk)

    def give_back(self, chunk: Chunk) -> None:
        """A chunk that was read no longer takes memory."""
        queue = self._queues[chunk.target]
        queue.held -= 1
        self._stand_in_line(queue)

    def cut_shorter(self, chunk: Chunk) -> bool:
        """Ask for a chunk again in shorter ones, for it is too much at once.

        :return: false if it is too short for that, or its target abandoned.
        """
        queue = self._queues[chunk.target]
        length_ms = self._length_ms(chunk.time_range)
        if queue.abandoned or length_ms < 2 * _SHORTEST_MS:
            return False
        queue.sizer.too_much(length_ms)
        queue.held -= 1
        queue.unasked = merge([*queue.unasked, chunk.time_range])[::-1]
        queue.asked.discard(chunk.time_range.start_ms)
        self._stand_in_line(queue, first=True)
        return True

    def aim_below(self, sessions: int) -> None:
        """The service gives no more than so many sessions at once: aim at half of that."""
        for queue in self._queues.values():
            if queue.sizer.target_sessions is not None:
                queue.sizer.target_sessions = max(1, min(queue.sizer.target_sessions, sessions // 2))

    def abandon(self, target: Target) -> list[TimeRange]:
        """Ask nothing more of a target; what nobody had asked for yet."""
        queue = self._queues[target]
        queue.abandoned = True
        dropped = queue.unasked[::-1]
        queue.unasked = []
        if queue.waiting:
            queue.waiting = False
            self._line.remove(queue)
        if not queue.asked:
            self._unfinished.discard(target)
        return dropped

    def _settled(self, queue: _TargetQueue, chunk: Chunk) -> None:
        queue.asked.discard(chunk.time_range.start_ms)
        if not queue.asked and not queue.unasked:
            self._unfinished.discard(queue.target)
        self._stand_in_line(queue)

    # --- where it stands ----------------------------------------------------------------------------------------------

    @property
    def targets(self) -> Sequence[Target]:
        """All targets, in the order in which they were given."""
        return tuple(self._queues)

    def earliest_unread_ms(self, target: Target) -> int | None:
        """Start of the earliest each of a target that has not been read; ``None`` if all has been."""
        queue = self._queues[target]
        starts = [*queue.asked, *(each.start_ms for each in queue.unasked[-1:])]
        return min(starts, default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way and nothing is left to ask."""
        return not self._unfinished


def merge(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """The same instants in as few ranges as possible, earliest first."""
    merged: list[TimeRange] = []
    for chunk in sorted(ranges, key=lambda chunk: chunk.start_ms):
        last = merged[-1] if merged else None
        if last is None or (last.end_ms is not None and chunk.start_ms > last.end_ms):
            merged.append(chunk)
        elif last.end_ms is not None and (chunk.end_ms is None or chunk.end_ms > last.end_ms):
            merged[-1] = TimeRange.from_ms(last.start_ms, chunk.end_ms)
    return merged


def left_to_read(asked: TimeRange, already: Iterable[TimeRange]) -> list[TimeRange]:
    """What of a range is not covered by the others, earliest first."""
    covered = merge(already)
    return list(_gaps(asked, covered)) if covered else [asked]


def _gaps(asked: TimeRange, covered: Iterable[TimeRange]) -> Iterator[TimeRange]:
    start_ms, end_ms = asked.start_ms, asked.end_ms
    for chunk in covered:
        if end_ms is not None and chunk.start_ms >= end_ms:
            break
        if chunk.start_ms > start_ms:
            yield TimeRange.from_ms(start_ms, chunk.start_ms)
        if chunk.end_ms is None:
            return
        start_ms = max(start_ms, chunk.end_ms)
    if end_ms is None or start_ms < end_ms:
        yield TimeRange.from_ms(start_ms, end_ms)
