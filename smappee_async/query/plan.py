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
from smappee_async.timerange import CalendarUnit, TimeRange, from_ms

_SHORTEST_MS: Final = SHORTEST_PIECE // timedelta(milliseconds=1)


@attrs.frozen
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
    unasked: list[TimeRange]
    """Latest first, so that the next one is at the end."""
    asked: set[int] = attrs.field(factory=set)
    """Starts of the pieces that are under way, in milliseconds."""
    held: int = 0
    """Pieces that were asked for and whose place has not been given back."""
    waiting: bool = False
    """Whether it stands in line for its turn."""


class Plan:
    """Hands out pieces, target by target in turn, until every stretch has been read or given up.

    :param stretches: for each target, what is to be read; see :func:`left_to_read`.
    :param step: how a stretch is cut at first; ``None`` for not at all.
    :param now_ms: about now, in milliseconds since 1970: where an open end is thought to be when it must be cut. It
        need not be right, for the last piece is asked for with an open end.
    :param per_target: how many pieces of one target may be held at once; ``None`` for no such limit.
    """

    def __init__(
        self,
        stretches: Mapping[Target, Sequence[TimeRange]],
        *,
        step: CalendarUnit | None,
        now_ms: int,
        per_target: int | None = None,
    ) -> None:
        self._step: CalendarUnit | None = step
        self._now_ms = now_ms
        self._per_target = per_target
        self._lanes = {target: _Lane(target, list(reversed(ranges))) for target, ranges in stretches.items()}
        self._line: deque[_Lane] = deque()
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
        if self._step is None:
            return stretch
        pieces = stretch.split(self._step, until=from_ms(self._now_ms))
        first = next(pieces)
        if first.end_ms != stretch.end_ms and first.end_ms is not None:
            lane.unasked.append(TimeRange.from_ms(first.end_ms, stretch.end_ms))
        return first

    def _stand_in_line(self, lane: _Lane, *, first: bool = False) -> None:
        has_place = self._per_target is None or lane.held < self._per_target
        if lane.unasked and has_place and not lane.waiting:
            lane.waiting = True
            if first:
                self._line.appendleft(lane)
            else:
                self._line.append(lane)

    # --- what became of it --------------------------------------------------------------------------------------------

    def read(self, piece: Piece) -> None:
        """A piece was read whole. Its place stays held until :meth:`give_back`."""
        self._lanes[piece.target].asked.discard(piece.time_range.start_ms)

    def give_back(self, piece: Piece) -> None:
        """A piece that was read, or given up, no longer takes memory."""
        lane = self._lanes[piece.target]
        lane.held -= 1
        self._stand_in_line(lane)

    def halve(self, piece: Piece) -> bool:
        """Cut a piece that is too much at once in two, to be asked next; false if it is too short for that."""
        start_ms, end_ms = piece.time_range.start_ms, piece.time_range.end_ms
        middle_ms = start_ms + ((self._now_ms if end_ms is None else end_ms) - start_ms) // 2
        if middle_ms - start_ms < _SHORTEST_MS:
            return False
        lane = self._lanes[piece.target]
        lane.asked.discard(start_ms)
        lane.held -= 1
        lane.unasked += [TimeRange.from_ms(middle_ms, end_ms), TimeRange.from_ms(start_ms, middle_ms)]
        # They are the lane's earliest unless an earlier piece was cut meanwhile.
        lane.unasked.sort(key=lambda stretch: -stretch.start_ms)
        self._stand_in_line(lane, first=True)
        return True

    def abandon(self, target: Target) -> list[TimeRange]:
        """Ask nothing more of a target; what nobody had asked for yet."""
        lane = self._lanes[target]
        dropped = lane.unasked[::-1]
        lane.unasked = []
        if lane.waiting:
            lane.waiting = False
            self._line.remove(lane)
        return dropped

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
        return not any(lane.asked or lane.unasked for lane in self._lanes.values())


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
    return list(_gaps(asked, merge(already)))


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
