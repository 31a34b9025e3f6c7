"""Which park to ask next, and for which stretch of time. Pure: no clock, no network, no tasks.

Every target (a charging park, or a charging station) keeps the stretches that nobody has asked for yet. They are cut
piece by piece, so that a plan over very many parks and years costs no more than what is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs

from smappee_async.defaults import SHORTEST_PIECE
from smappee_async.query.pace import Pace
from smappee_async.timerange import TimeRange

_SHORTEST_MS: Final = SHORTEST_PIECE // timedelta(milliseconds=1)


@attrs.frozen(cache_hash=True)  # it is the key of whatever is kept per target
class Target:
    """What is asked: a charging park by its service location id, or a charging station by its serial number."""

    service_location_id: int | None = None
    serial_number: str | None = None

    def __str__(self) -> str:
        return f"park {self.service_location_id}" if self.serial_number is None else f"station {self.serial_number}"


@attrs.frozen
class Piece:
    """One stretch of time of one target: what one request asks for."""

    target: Target
    time_range: TimeRange


@attrs.define
class _Lane:
    """One target's part of the plan."""

    target: Target
    pace: Pace
    unasked: list[TimeRange]
    """Latest first, so that the next one is at the end."""
    asked: set[int] = attrs.field(factory=set)
    """Starts of the pieces that are under way, in milliseconds."""
    held: int = 0
    """Pieces that were asked for and whose place has not been given back."""
    waiting: bool = False
    """Whether it stands in line for its turn."""
    abandoned: bool = False
    """Whether nothing more of it is to be asked."""


class Plan:
    """Hands out pieces, target by target in turn, until every stretch has been read or given up.

    Pieces grow and shrink with what comes back, towards answers of one size. Until a target's density is known, one
    piece of it is asked for at a time.

    :param stretches: for each target, what is to be read; see :func:`left_to_read`.
    :param target_sessions: the size of answer that is aimed at; ``None`` asks for each stretch at once.
    :param now_ms: about now, in milliseconds since 1970: where an open end is thought to be when it must be cut. It
        need not be right, for the last piece is asked for with an open end.
    :param per_target: how many pieces of one target may be held at once; ``None`` for no such limit.
    """

    def __init__(
        self,
        stretches: Mapping[Target, Sequence[TimeRange]],
        *,
        target_sessions: int | None,
        now_ms: int,
        per_target: int | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._per_target = per_target
        self._lanes = {
            target: _Lane(target, Pace(target_sessions), list(reversed(ranges))) for target, ranges in stretches.items()
        }
        self._line: deque[_Lane] = deque()
        self._unfinished = {target for target, ranges in stretches.items() if ranges}
        for lane in self._lanes.values():
            self._stand_in_line(lane)

    # --- handing out --------------------------------------------------------------------------------------------------

    def next(self) -> Piece | None:
        """The next piece to ask for; ``None`` if there is none now."""
        if not self._line:
            return None
        lane = self._line.popleft()
        lane.waiting = False
        time_range = self._cut(lane)
        lane.asked.add(time_range.start_ms)
        lane.held += 1
        self._stand_in_line(lane)
        return Piece(lane.target, time_range)

    def _cut(self, lane: _Lane) -> TimeRange:
        stretch = lane.unasked.pop()
        left_ms = self._length_ms(stretch)
        span_ms = lane.pace.span_ms(left_ms)
        if span_ms >= left_ms:
            return stretch
        cut_ms = stretch.start_ms + span_ms
        lane.unasked.append(TimeRange.from_ms(cut_ms, stretch.end_ms))
        return TimeRange.from_ms(stretch.start_ms, cut_ms)

    def _length_ms(self, stretch: TimeRange) -> int:
        """How long a stretch is; with an open end, up to now."""
        end_ms = max(self._now_ms, stretch.start_ms) if stretch.end_ms is None else stretch.end_ms
        return end_ms - stretch.start_ms

    def _stand_in_line(self, lane: _Lane, *, first: bool = False) -> None:
        if not lane.unasked or lane.waiting:
            return
        has_place = self._per_target is None or lane.held < self._per_target
        if has_place and (not lane.asked or lane.pace.is_known):
            lane.waiting = True
            if first:
                self._line.appendleft(lane)
            else:
                self._line.append(lane)

    # --- what became of it --------------------------------------------------------------------------------------------

    def read(self, piece: Piece, *, sessions: int = 0, elapsed_s: float = 0.0) -> None:
        """A piece was read whole. Its place stays held until :meth:`give_back`.

        :param sessions: how many its answer held.
        :param elapsed_s: how long the answer took.
        """
        lane = self._lanes[piece.target]
        lane.pace.learn(sessions, self._length_ms(piece.time_range), elapsed_s)
        self._settled(lane, piece)

    def give_up(self, piece: Piece) -> None:
        """A piece will not be read."""
        lane = self._lanes[piece.target]
        lane.held -= 1
        self._settled(lane, piece)

    def give_back(self, piece: Piece) -> None:
        """A piece that was read no longer takes memory."""
        lane = self._lanes[piece.target]
        lane.held -= 1
        self._stand_in_line(lane)

    def cut_shorter(self, piece: Piece) -> bool:
        """Ask for a piece again in shorter ones, for it is too much at once.

        :return: false if it is too short for that, or its target abandoned.
        """
        lane = self._lanes[piece.target]
        length_ms = self._length_ms(piece.time_range)
        if lane.abandoned or length_ms < 2 * _SHORTEST_MS:
            return False
        lane.pace.too_much(length_ms)
        lane.held -= 1
        lane.unasked = merge([*lane.unasked, piece.time_range])[::-1]
        lane.asked.discard(piece.time_range.start_ms)
        self._stand_in_line(lane, first=True)
        return True

    def aim_below(self, sessions: int) -> None:
        """The service gives no more than so many sessions at once: aim at half of that."""
        for lane in self._lanes.values():
            if lane.pace.target_sessions is not None:
                lane.pace.target_sessions = max(1, min(lane.pace.target_sessions, sessions // 2))

    def abandon(self, target: Target) -> list[TimeRange]:
        """Ask nothing more of a target; what nobody had asked for yet."""
        lane = self._lanes[target]
        lane.abandoned = True
        dropped = lane.unasked[::-1]
        lane.unasked = []
        if lane.waiting:
            lane.waiting = False
            self._line.remove(lane)
        if not lane.asked:
            self._unfinished.discard(target)
        return dropped

    def _settled(self, lane: _Lane, piece: Piece) -> None:
        lane.asked.discard(piece.time_range.start_ms)
        if not lane.asked and not lane.unasked:
            self._unfinished.discard(lane.target)
        self._stand_in_line(lane)

    # --- where it stands ----------------------------------------------------------------------------------------------

    @property
    def targets(self) -> Sequence[Target]:
        """All targets, in the order in which they were given."""
        return tuple(self._lanes)

    def earliest_unread_ms(self, target: Target) -> int | None:
        """Start of the earliest stretch of a target that has not been read; ``None`` if all has been."""
        lane = self._lanes[target]
        starts = [*lane.asked, *(stretch.start_ms for stretch in lane.unasked[-1:])]
        return min(starts, default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way and nothing is left to ask."""
        return not self._unfinished


def merge(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """The same instants in as few ranges as possible, earliest first."""
    merged: list[TimeRange] = []
    for piece in sorted(ranges, key=lambda piece: piece.start_ms):
        last = merged[-1] if merged else None
        if last is None or (last.end_ms is not None and piece.start_ms > last.end_ms):
            merged.append(piece)
        elif last.end_ms is not None and (piece.end_ms is None or piece.end_ms > last.end_ms):
            merged[-1] = TimeRange.from_ms(last.start_ms, piece.end_ms)
    return merged


def left_to_read(asked: TimeRange, already: Iterable[TimeRange]) -> list[TimeRange]:
    """What of a range is not covered by the others, earliest first."""
    covered = merge(already)
    return list(_gaps(asked, covered)) if covered else [asked]


def _gaps(asked: TimeRange, covered: Iterable[TimeRange]) -> Iterator[TimeRange]:
    start_ms, end_ms = asked.start_ms, asked.end_ms
    for piece in covered:
        if end_ms is not None and piece.start_ms >= end_ms:
            break
        if piece.start_ms > start_ms:
            yield TimeRange.from_ms(start_ms, piece.start_ms)
        if piece.end_ms is None:
            return
        start_ms = max(start_ms, piece.end_ms)
    if end_ms is None or start_ms < end_ms:
        yield TimeRange.from_ms(start_ms, end_ms)
