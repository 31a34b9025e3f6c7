"""Which target to ask next, and for which time range. Pure: no clock, no network, no tasks.

Every target keeps the time ranges that were not asked for yet. Chunks are cut from them one at a time, and a target
is prepared when its first turn comes, so that a plan over very many targets and years costs no more than what is in
flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from smappee_async.defaults import PROBE, SHORTEST_CHUNK
from smappee_async.query.seen import Seen
from smappee_async.query.sizing import ChunkSizer
from smappee_async.query.target import Target
from smappee_async.secret import Opaque
from smappee_async.timerange import TimeRange, merge

_MS: Final = timedelta(milliseconds=1)
_SHORTEST_MS: Final = SHORTEST_CHUNK // _MS
#: In a range up to this length nothing is looked for at its end.
_FAR_LOOK_FROM_MS: Final = timedelta(days=90) // _MS
#: Where a target is busy and more chunks than this are left, the last one is asked for early: it may have closed.
_MANY_CHUNKS: Final = 8
#: The look at the latest hours is short, because it is one response more of each target.
_FAR_LOOK_MS: Final = PROBE * 3 // 4 // _MS
#: Where a target becomes quiet at an unknown time, more chunks at once would be empty ones.
_AT_ONCE_BEFORE_QUIET: Final = 2


class Chunk(msgspec.Struct, frozen=True):
    """One target and one time range: what one request asks for."""

    target: Target
    time_range: TimeRange


class _TargetQueue(Opaque, msgspec.Struct, eq=False):
    """One target's part of the plan."""

    target: Target
    sizer: ChunkSizer
    unasked: list[TimeRange]
    """Time ranges that were not asked for yet, latest first: the next one is at the end."""
    in_flight: set[int] = msgspec.field(default_factory=set)
    """Starts of the chunks that are being read, in milliseconds."""
    held: int = 0
    """Chunks that were handed out and not given back."""
    more: int = 0
    """How many chunks more than usual may be held, because the consumer had to wait for this target."""
    is_queued: bool = False
    """Whether it is queued in the round robin."""
    is_abandoned: bool = False
    """Whether no more of it will be asked for."""
    far_look: Chunk | None = None
    """The look at the latest hours, once it was handed out."""
    is_backward: bool = False
    """Whether the latest chunk comes next, because the target is busy there and was not in the beginning."""


class Plan:
    """Hands out chunks, one target after the other in a round robin, until everything was read or given up.

    The length of chunks follows what comes back, towards responses of one size. Until the density of a target is known,
    one chunk of it is handed out at a time.

    :param ranges: for each target, the time ranges to read, earliest first, without overlap. Those of a target are
        looked up when its first turn comes.
    :param target_sessions: the number of sessions that a response should have; ``None`` asks for each range at once.
    :param now_ms: about now, in milliseconds since 1970: the end that is assumed for an open range when it must be cut.
        It may be wrong, because the last chunk of an open range keeps the open end.
    :param per_target: how many chunks of one target may be held at once; ``None`` for no limit.
    :param more: how many chunks beyond that may be held of all targets together, by those that the consumer waits for.
    :param seen_of: what was seen of a target before, or ``None``; asked when its first turn comes.
    """

    def __init__(
        self,
        ranges: Mapping[Target, Sequence[TimeRange]],
        *,
        target_sessions: int | None,
        now_ms: int,
        per_target: int | None = None,
        more: int = 0,
        seen_of: Callable[[Target], Seen | None] = lambda _: None,
    ) -> None:
        self._now_ms = now_ms
        self._per_target = per_target
        self._more = more
        self._ranges = ranges
        self._target_sessions = target_sessions
        self._seen_of = seen_of
        self._new = iter(ranges)
        """Targets whose first turn has not come; those that were abandoned before are skipped."""
        self._next_new: _TargetQueue | None = None
        self._queues: dict[Target, _TargetQueue] = {}
        self._finished: set[Target] = set()
        """Targets that had their queue, and of which nothing is unasked, in flight or held."""
        self._round_robin: deque[_TargetQueue] = deque()
        self._first: deque[_TargetQueue] = deque()
        """Queues that come before all others."""
        self._unfinished: set[Target] = set()
        self._is_ending = False

    # --- handing out --------------------------------------------------------------------------------------------------

    def next(self) -> Chunk | None:
        """The next chunk to ask for; ``None`` if there is none now."""
        while (queue := self._pop()) is not None and not queue.unasked:
            pass  # it was abandoned
        if queue is None:
            return None
        queue.is_queued = False
        time_range = self._cut(queue)
        queue.in_flight.add(time_range.start_ms)
        queue.held += 1
        self._enqueue(queue)
        return Chunk(queue.target, time_range)

    def _pop(self) -> _TargetQueue | None:
        if self._is_ending:
            return None
        if self._first:
            return self._first.popleft()
        if (queue := self._find_new()) is not None:
            self._next_new = None
            return queue
        return self._round_robin.popleft() if self._round_robin else None

    def _find_new(self) -> _TargetQueue | None:
        """The queue of the next target whose first turn has not come, and of which something is to be read."""
        while self._next_new is None or not self._next_new.unasked:
            self._next_new = None
            target = next(self._new, None)
            if target is None:
                return None
            if target not in self._finished:
                self._next_new = self._new_queue(target)
        return self._next_new

    def _new_queue(self, target: Target) -> _TargetQueue:
        sizer = ChunkSizer(self._target_sessions, self._seen_of(target))
        queue = _TargetQueue(target, sizer, list(reversed(self._ranges[target])), is_queued=True)
        if queue.unasked:
            self._queues[target] = queue
            self._unfinished.add(target)
        else:
            self._finished.add(target)
        return queue

    def _cut(self, queue: _TargetQueue) -> TimeRange:
        if self._is_far_look_due(queue):
            # Where the density is known, it is the last chunk, which costs nothing.
            sizer, left_ms = queue.sizer, self._length_ms(queue.unasked[0])
            span_ms = sizer.span_ms(left_ms) if sizer.is_known else max(_FAR_LOOK_MS, sizer.far_look_ms)
            time_range = self._cut_end(queue, span_ms)
            queue.far_look = Chunk(queue.target, time_range)
            return time_range
        if queue.is_backward:
            return self._cut_end(queue, queue.sizer.span_ms(self._length_ms(queue.unasked[0])))
        unasked = queue.unasked.pop()
        left_ms = self._length_ms(unasked)
        span_ms = queue.sizer.span_ms(left_ms)
        if span_ms >= left_ms:
            return unasked
        cut_ms = unasked.start_ms + span_ms
        queue.unasked.append(TimeRange.from_ms(cut_ms, unasked.end_ms))
        return TimeRange.from_ms(unasked.start_ms, cut_ms)

    def _cut_end(self, queue: _TargetQueue, span_ms: int) -> TimeRange:
        """The last so many milliseconds of what was not asked for; an open end stays open."""
        unasked = queue.unasked.pop(0)
        left_ms = self._length_ms(unasked)
        if span_ms >= left_ms:
            return unasked
        cut_ms = unasked.start_ms + left_ms - span_ms
        queue.unasked.insert(0, TimeRange.from_ms(unasked.start_ms, cut_ms))
        return TimeRange.from_ms(cut_ms, unasked.end_ms)

    def _is_far_look_due(self, queue: _TargetQueue) -> bool:
        """Whether the end of a long range is looked at next: next to nothing was found so far, or much is left.

        A park may have opened, or closed, in the middle of it. Not where chunks are handed out by time.
        """
        left_ms, sizer = self._length_ms(queue.unasked[0]), queue.sizer
        return (
            self._per_target is None
            and queue.far_look is None
            and sizer.target_sessions is not None
            and left_ms > _FAR_LOOK_FROM_MS
            and (sizer.is_far_look_useful or (sizer.is_known and left_ms > _MANY_CHUNKS * sizer.span_ms(left_ms)))
        )

    def _judge_far_look(self, queue: _TargetQueue, sessions: int, length_ms: int) -> None:
        """Read backwards if the target was not busy in the beginning, and is, or may be, at the end."""
        near, far = queue.sizer, ChunkSizer(queue.sizer.target_sessions)
        far.learn(sessions, length_ms, 0.0)
        if near.is_known or near.is_denser_than(far):
            near.rest_is_quiet = near.is_denser_than(far)
            return
        queue.is_backward = not near.has_found_any or far.is_denser_than(near)
        if far.is_denser_than(near):
            queue.sizer = far
        else:
            near.learn(sessions, length_ms, 0.0)  # nothing tells the two ends apart
        queue.sizer.rest_is_quiet = True

    def _length_ms(self, time_range: TimeRange) -> int:
        """How long a time range is; with an open end, until now."""
        end_ms = max(self._now_ms, time_range.start_ms) if time_range.end_ms is None else time_range.end_ms
        return end_ms - time_range.start_ms

    def _enqueue(self, queue: _TargetQueue, *, first: bool = False) -> None:
        if not queue.unasked or queue.is_queued:
            return
        may_hold_more = self._per_target is None or queue.held < self._per_target + queue.more
        at_once = 1 if not queue.sizer.is_known else _AT_ONCE_BEFORE_QUIET if queue.sizer.rest_is_quiet else None
        if may_hold_more and (at_once is None or len(queue.in_flight) < at_once):
            queue.is_queued = True
            if first:
                self._first.appendleft(queue)
            else:
                self._round_robin.append(queue)

    # --- results ------------------------------------------------------------------------------------------------------

    def mark_read(self, chunk: Chunk, *, sessions: int = 0, elapsed_s: float = 0.0) -> None:
        """A chunk was read whole. It stays held until :meth:`give_back`.

        :param sessions: how many sessions its responses had.
        :param elapsed_s: how many seconds the slowest response took.
        """
        queue = self._queues[chunk.target]
        length_ms = self._length_ms(chunk.time_range)
        if chunk == queue.far_look:
            self._judge_far_look(queue, sessions, length_ms)
        else:
            queue.sizer.learn(sessions, length_ms, elapsed_s)
        self._settled(queue, chunk)

    def give_up(self, chunk: Chunk) -> None:
        """A chunk cannot be read."""
        queue = self._queues[chunk.target]
        queue.held -= 1
        self._settled(queue, chunk)
        self._forget_if_finished(queue)

    def give_back(self, chunk: Chunk) -> None:
        """A chunk that was read was handed over, or holds nothing, so that it is no longer in memory."""
        queue = self._queues[chunk.target]
        queue.held -= 1
        self._enqueue(queue)
        self._forget_if_finished(queue)

    def has_more(self, target: Target) -> bool:
        """Whether chunks of a target are held, or not asked for yet."""
        queue = self._queues.get(target)
        if queue is None:
            return bool(self._unread_of_new(target))
        return queue.held > 0 or bool(queue.unasked)

    def is_waited_for(self, target: Target) -> None:
        """The consumer waits for a chunk of this target, so from now on more of its chunks are read ahead."""
        queue = self._queues.get(target)
        if self._more and queue is not None and queue.unasked and queue.sizer.is_known:
            self._more -= 1
            queue.more += 1
            self._enqueue(queue, first=True)

    def split(self, chunk: Chunk) -> bool:
        """Ask for a chunk again in shorter chunks, because its response is too large or too slow.

        :return: false if the chunk is too short for that, or its target was abandoned.
        """
        queue = self._queues[chunk.target]
        length_ms = self._length_ms(chunk.time_range)
        if queue.is_abandoned or length_ms < 2 * _SHORTEST_MS:
            return False
        queue.sizer.shorten(length_ms)
        queue.held -= 1
        queue.unasked = merge([*queue.unasked, chunk.time_range])[::-1]
        queue.in_flight.discard(chunk.time_range.start_ms)
        self._enqueue(queue, first=True)
        return True

    def aim_below(self, sessions: int, target: Target) -> None:
        """The service stops at this number of sessions for a target: aim at half of it."""
        sizer = self._queues[target].sizer
        if sizer.target_sessions is not None:
            sizer.target_sessions = max(1, min(sizer.target_sessions, sessions // 2))

    def ask_at_once(self) -> None:
        """Short ranges do not make responses shorter: ask for all that is left of a target at once."""
        self._target_sessions = None
        for queue in self._queues.values():
            queue.sizer.target_sessions = None

    def abandon(self, target: Target) -> list[TimeRange]:
        """Ask for nothing more of a target; returns what was not asked for yet."""
        queue = self._queues.get(target)
        if queue is None:
            dropped = list(self._unread_of_new(target))
            self._finished.add(target)
            return dropped
        queue.is_abandoned = True
        dropped = queue.unasked[::-1]
        queue.unasked = []  # so that it is skipped when its turn comes
        if not queue.in_flight:
            self._unfinished.discard(target)
        self._forget_if_finished(queue)
        return dropped

    def abandon_all(self) -> Iterator[tuple[Target, list[TimeRange]]]:
        """Ask for nothing more; for each target, what was not asked for yet.

        The plan is not done before the iterator is used up.
        """
        self._is_ending = True
        return self._abandon_each()

    def _abandon_each(self) -> Iterator[tuple[Target, list[TimeRange]]]:
        for target in self._ranges:
            yield target, self.abandon(target)
        self._new = iter(())

    def _settled(self, queue: _TargetQueue, chunk: Chunk) -> None:
        queue.in_flight.discard(chunk.time_range.start_ms)
        if not queue.in_flight and not queue.unasked:
            self._unfinished.discard(queue.target)
            self._more, queue.more = self._more + queue.more, 0
        self._enqueue(queue)

    def _forget_if_finished(self, queue: _TargetQueue) -> None:
        if not (queue.held or queue.in_flight or queue.unasked):
            del self._queues[queue.target]
            self._finished.add(queue.target)

    # --- state ----------------------------------------------------------------------------------------------

    def earliest_unread_ms(self, target: Target) -> int | None:
        """Start of the earliest time range of a target that was not read yet; ``None`` if there is none."""
        queue = self._queues.get(target)
        if queue is None:
            unread = self._unread_of_new(target)
            return unread[0].start_ms if unread else None
        starts = [*queue.in_flight, *(unasked.start_ms for unasked in queue.unasked[-1:])]
        return min(starts, default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing is in flight and nothing is left to ask for."""
        return not self._unfinished and self._find_new() is None

    def _unread_of_new(self, target: Target) -> Sequence[TimeRange]:
        """What is to be read of a target that has no queue: of one that had one before, nothing."""
        return () if target in self._finished else self._ranges[target]
