"""Which sessions a stream has kept, so that one whose start is corrected while it is read comes once. Pure.

A corrected start may move a session into a chunk that is read later, and then the service gives it a second time. To
recognise it, the sessions that were kept are remembered while chunks of their target are still to come, up to a fixed
number for the whole stream. Each is packed into one number of 144 bits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Final, Protocol

import msgspec

from smappee_async.defaults import KEPT_SESSIONS, MOVED_WITHIN_MS
from smappee_async.query.target import Target
from smappee_async.secret import Opaque
from smappee_async.timerange import TimeRange

#: A session's id; for further sessions with the same id, the id and their number.
Key = int | tuple[int, int]
#: From its key to each session, packed.
Packed = dict[Key, int]

#: Of many sessions with one id, so many are remembered, so that a service that gives all the same id costs no more.
MOST_ALIKE: Final = 8
#: What a chunk takes besides its sessions, expressed in sessions.
_CHUNK_COST: Final = 8
_TIME_BITS: Final = 42  # enough until the year 2109
_STATION_BITS: Final = 60
_TIME: Final = 2**_TIME_BITS - 1
_STATION: Final = 2**_STATION_BITS - 1
_START_SHIFT: Final = _STATION_BITS + _TIME_BITS


class Identifiable(Protocol):
    """What tells one session from another: a wire record, a session, or one row of columns."""

    id: int
    from_ms: int
    to_ms: int | None
    serial_number: int | str


def pack(record: Identifiable) -> int:
    """Start, end and a hash of the station. A serial number may be a number in one record and a text in another."""
    return pack_all((record,))[0]


def pack_all(records: Iterable[Identifiable]) -> list[int]:
    """The same for many, without a call for each."""
    return [
        ((each.from_ms << _TIME_BITS | (each.to_ms or 0)) << _STATION_BITS) | (hash(str(each.serial_number)) & _STATION)
        for each in records
    ]


def is_same(packed: int, other: int) -> bool:
    """Whether two records with one id are of one session: they agree in station and start."""
    return packed >> _START_SHIFT == other >> _START_SHIFT and packed & _STATION == other & _STATION


def has_moved(packed: int, other: int) -> bool:
    """Whether two records with one id, but with different starts, are plainly of one session.

    They are at one station, and not one after the other: they overlap, or one of them has no end, or they are equally
    long. An id that a station uses again, for another session, is none of these.
    """
    start_ms, end_ms = packed >> _START_SHIFT, packed >> _STATION_BITS & _TIME
    other_start_ms, other_end_ms = other >> _START_SHIFT, other >> _STATION_BITS & _TIME
    if packed & _STATION != other & _STATION:
        return False
    if not end_ms or not other_end_ms or end_ms - start_ms == other_end_ms - other_start_ms:
        return True
    return start_ms <= other_end_ms and other_start_ms <= end_ms


def started_in(packed: int, time_range: TimeRange) -> bool:
    """Whether a packed session started in a time range."""
    return time_range.contains_ms(packed >> _START_SHIFT)


def keys_of(session_id: int) -> list[Key]:
    """The keys of the sessions with one id."""
    return [session_id, *((session_id, number) for number in range(1, MOST_ALIKE))]


def alike(sessions: Mapping[Key, int], session_id: int) -> list[int]:
    """The packed sessions with one id."""
    return [sessions[key] for key in keys_of(session_id) if key in sessions]


def free_key(sessions: Mapping[Key, object], session_id: int) -> Key | None:
    """A key for one more session with an id; ``None`` if there are enough."""
    return next((key for key in keys_of(session_id) if key not in sessions), None)


class _Chunk(Opaque, msgspec.Struct, eq=False):
    """What is remembered of one chunk."""

    target: Target
    time_range: TimeRange
    keys: Sequence[Key]

    @property
    def cost(self) -> int:
        return len(self.keys) + _CHUNK_COST


class KeptSessions:
    """What one stream remembers of the sessions that it kept.

    If these are too many, the chunks that were read first are reduced to the sessions that started near their edges,
    because most corrections are small. If they still are too many, these chunks are forgotten.

    :param most: how many sessions are remembered, over all targets.
    """

    def __init__(self, most: int = KEPT_SESSIONS) -> None:
        self._most = most
        self._sessions: dict[Target, Packed] = {}
        self._numbers = count()
        self._chunks_of: dict[Target, list[int]] = {}
        self._whole: OrderedDict[int, _Chunk] = OrderedDict()
        self._reduced: OrderedDict[int, _Chunk] = OrderedDict()
        self._cost = 0

    def __len__(self) -> int:
        """How many sessions are remembered."""
        return sum(map(len, self._sessions.values()))

    def __bool__(self) -> bool:
        return bool(self._sessions)

    def of(self, target: Target) -> Packed:
        """The sessions of a target. What is put into it is remembered only with :meth:`add`."""
        return self._sessions.get(target, {})

    def add(self, target: Target, time_range: TimeRange, sessions: Packed, keys: Sequence[Key]) -> int:
        """Remember the sessions of a chunk; returns how many others were forgotten for it.

        :param sessions: what :meth:`of` gave, with the sessions of the chunk put into it.
        :param keys: which of them are those of the chunk.
        """
        if not keys:
            return 0
        self._sessions[target] = sessions
        self._remember(self._whole, next(self._numbers), _Chunk(target, time_range, keys))
        forgotten = 0
        while self._cost > self._most:
            forgotten += self._reduce() if self._whole else self._forget()
        return forgotten

    def drop(self, target: Target) -> None:
        """Forget a target of which nothing more is to come."""
        if self._sessions.pop(target, None) is None:
            return
        for number in self._chunks_of.pop(target):
            chunk = self._whole.pop(number, None) or self._reduced.pop(number, None)
            self._cost -= 0 if chunk is None else chunk.cost

    def _remember(self, where: OrderedDict[int, _Chunk], number: int, chunk: _Chunk) -> None:
        where[number] = chunk
        self._chunks_of.setdefault(chunk.target, []).append(number)
        self._cost += chunk.cost

    def _reduce(self) -> int:
        """Reduce the oldest chunk to its edges."""
        number, chunk = self._whole.popitem(last=False)
        sessions = self._sessions[chunk.target]
        near = [key for key in chunk.keys if _is_near_an_edge(sessions[key], chunk.time_range)]
        forgotten = self._take_out(number, chunk, set(chunk.keys).difference(near))
        if near:
            self._remember(self._reduced, number, _Chunk(chunk.target, chunk.time_range, near))
        return forgotten

    def _forget(self) -> int:
        """Forget the oldest chunk of those that were reduced."""
        number, chunk = self._reduced.popitem(last=False)
        return self._take_out(number, chunk, chunk.keys)

    def _take_out(self, number: int, chunk: _Chunk, keys: Sequence[Key] | set[Key]) -> int:
        self._cost -= chunk.cost
        self._chunks_of[chunk.target].remove(number)
        sessions = self._sessions[chunk.target]
        for key in keys:
            del sessions[key]
        if not sessions:
            del self._sessions[chunk.target], self._chunks_of[chunk.target]
        return len(keys)


def _is_near_an_edge(packed: int, time_range: TimeRange) -> bool:
    start_ms, end_ms = packed >> _START_SHIFT, time_range.end_ms
    after_ms = start_ms - time_range.start_ms
    return after_ms < MOVED_WITHIN_MS or (end_ms is not None and end_ms - start_ms <= MOVED_WITHIN_MS)
