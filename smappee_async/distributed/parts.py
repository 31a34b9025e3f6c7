"""Divides parks into parts for many workers. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, Self, cast

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, SessionState
from smappee_async.query.seen import Seen
from smappee_async.query.session_query import Park, SessionQuery
from smappee_async.timerange import TimeRange

_MS: Final = timedelta(milliseconds=1)
_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class Part:
    """Some parks and a time range: what one task reads.

    It can be pickled and compared, and :meth:`to_json` gives it as plain JSON for engines that pass texts.

    :param parks: service location ids.
    :param time_range: selects sessions by their start.
    :param seen: what was seen of these parks before, see :class:`~smappee_async.SessionQuery`.
    :raises ConfigurationError: it cannot be asked.
    """

    parks: tuple[int, ...]
    time_range: TimeRange
    state: SessionState = "completed"
    seen: Mapping[int, Seen] = attrs.field(factory=dict, eq=False)

    def __attrs_post_init__(self) -> None:
        self.query()

    def query(self) -> SessionQuery:
        """The query that reads it: everything that can be read, and a list of the rest."""
        return SessionQuery.parks(
            self.parks,
            self.time_range,
            state=self.state,
            on_error="collect",
            on_invalid="collect",
            seen=self.seen or None,
        )

    @property
    def name(self) -> str:
        """A name that follows from parks, range and state: the same for the same part, on every machine."""
        text = f"{_VERSION} {self.state} {self.time_range.start_ms} {self.time_range.end_ms} {sorted(self.parks)}"
        return f"part-{blake2b(text.encode(), digest_size=8).hexdigest()}"

    def to_json(self) -> dict[str, JsonValue]:
        """As plain JSON."""
        return {
            "version": _VERSION,
            "parks": list(self.parks),
            "start_ms": self.time_range.start_ms,
            "end_ms": self.time_range.end_ms,
            "state": self.state,
            "seen": {str(park): [seen.sessions, seen.during_ms] for park, seen in self.seen.items()},
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, JsonValue]) -> Self:
        """The part of which :meth:`to_json` made this.

        :raises ConfigurationError: it is something else.
        """
        values = cast(Mapping[str, Any], plain)
        try:
            if values["version"] != _VERSION:
                raise ValueError
            seen = {int(park): Seen(sessions, ms * _MS) for park, (sessions, ms) in values["seen"].items()}
            time_range = TimeRange.from_ms(values["start_ms"], values["end_ms"])
            return cls(parks=tuple(values["parks"]), time_range=time_range, state=values["state"], seen=seen)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise ConfigurationError("this is no part of this version", advice="Pass what Part.to_json() gave")


def partition(
    parks: Park | Iterable[Park],
    time_range: TimeRange,
    *,
    parks_per_part: int = 100,
    state: SessionState = "completed",
    seen: Mapping[int, Seen] | None = None,
) -> list[Part]:
    """Parts of up to ``parks_per_part`` parks each, every park in one of them, with its whole time range.

    A range is not divided, because a part of each year would take two and a half times as many requests, and a part
    of each month eight times as many; the client divides it as it reads.

    The same arguments give the same parts, so that what is finished is found again.

    :param seen: what was seen of each park before. With it the parts are about equally long, and the heaviest come
        first, so that none of them is waited for at the end.
    :raises ConfigurationError: they cannot be asked, or the range ends in the future or not at all, which would be
        another range for each part.
    """
    if type(parks_per_part) is not int or parks_per_part < 1:
        raise ConfigurationError(f"parks_per_part must be a whole number from 1 on, not {parks_per_part!r}")
    query = SessionQuery.parks(parks, time_range, state=state, seen=seen or None)
    if time_range.end_ms is None:
        raise ConfigurationError(
            "the parts need a range with an end", advice="Use TimeRange(start, end) with an end that is over"
        )
    numbers = sorted(cast(int, target.service_location_id) for target in query.ranges)
    known = seen or {}
    return [
        Part(
            parks=tuple(sorted(group)),
            time_range=time_range,
            state=state,
            seen={park: known[park] for park in sorted(group) if park in known},
        )
        for group in _groups(numbers, known, parks_per_part)
    ]


def _groups(parks: Sequence[int], seen: Mapping[int, Seen], most: int) -> list[list[int]]:
    """Groups of about the same weight, the heaviest first; without weights, of neighbours."""
    if not seen:
        count = -(-len(parks) // most)
        edges = [len(parks) * number // count for number in range(count + 1)]
        return [list(parks[begin:end]) for begin, end in itertools.pairwise(edges)]
    # The heaviest park that is left goes to the lightest group that has room.
    weights = {park: _weight(seen.get(park)) for park in parks}
    groups: list[list[int]] = [[] for _ in range(-(-len(parks) // most))]
    lightest = [(0.0, number) for number in range(len(groups))]
    totals = [0.0] * len(groups)
    for park in sorted(parks, key=lambda park: (-weights[park], park)):
        _, number = heapq.heappop(lightest)
        groups[number].append(park)
        totals[number] += weights[park]
        if len(groups[number]) < most:
            heapq.heappush(lightest, (totals[number], number))
    order = sorted(range(len(groups)), key=lambda number: (-totals[number], number))
    return [groups[number] for number in order]


def _weight(seen: Seen | None) -> float:
    """Sessions a day, and one for the park itself, which takes a request however quiet it is."""
    return 1.0 if seen is None else 1.0 + seen.sessions / (seen.during / timedelta(days=1))
