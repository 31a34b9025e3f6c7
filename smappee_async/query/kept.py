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


def _pack(from_ms: int, to_ms: int | None, serial_number: str) -> int:
    return ((from_ms << _TIME_BITS | (to_ms or 0)) << _STATION_BITS) | (hash(serial_number) & _STATION)


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


class KeptColumns(Protocol):
    """Sessions that are remembered as columns, because packing takes longer than reading columns does."""

    def __len__(self) -> int: ...

    def near_the_edges(self, time_range: TimeRange, within_ms: int) -> KeptColumns:
        """Those that started near an edge of a time range."""
        ...

    def rows(self) -> Iterable[tuple[int, int, int | None, str]]:
        """Id, start, end and serial number of each."""
        ...


def pack_columns(columns: KeptColumns) -> Packed:
    """The sessions of columns, whose ids are distinct, packed."""
    return {row[0]: _pack(*row[1:]) for row in columns.rows()}


class _Chunk(Opaque, msgspec.Struct, eq=False):
    """What is remembered of one chunk: packed sessions by their keys, or columns."""

    target: Target
    time_range: TimeRange
    keys: Sequence[Key] = ()
    columns: KeptColumns | None = None

    @property
    def cost(self) -> int:
        return (len(self.keys) if self.columns is None else len(self.columns)) + _CHUNK_COST


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
        self._chunks_of: dict[Target, dict[int, _Chunk]] = {}
        self._whole: OrderedDict[int, _Chunk] = OrderedDict()
        self._reduced: OrderedDict[int, _Chunk] = OrderedDict()
        self._cost = 0

    def __len__(self) -> int:
        """How many sessions are remembered."""
        return self._cost - _CHUNK_COST * (len(self._whole) + len(self._reduced))

    def __bool__(self) -> bool:
        return bool(self._chunks_of)

    def of(self, target: Target) -> Packed:
        """The packed sessions of a target. What is put into it is remembered only with :meth:`add`."""
        return self._sessions.get(target, {})

    def columns_of(self, target: Target) -> list[KeptColumns]:
        """The sessions of a target that are remembered as columns."""
        return [each.columns for each in self._chunks_of.get(target, {}).values() if each.columns is not None]

    def add(self, target: Target, time_range: TimeRange, sessions: Packed, keys: Sequence[Key]) -> int:
        """Remember the sessions of a chunk; returns how many others were forgotten for it.

        :param sessions: what :meth:`of` gave, with the sessions of the chunk put into it.
        :param keys: which of them are those of the chunk.
        """
        if not keys:
            return 0
        self._sessions[target] = sessions
        return self._add(_Chunk(target, time_range, keys))

    def add_columns(self, target: Target, time_range: TimeRange, columns: KeptColumns) -> int:
        """Remember sessions as columns. None of their ids is remembered of the target already."""
        return self._add(_Chunk(target, time_range, columns=columns)) if len(columns) else 0

    def pack_columns(self, target: Target, sessions: Packed) -> None:
        """Pack the sessions of a target that are remembered as columns, because one of their ids comes again.

        :param sessions: what :meth:`of` gave; they are put into it.
        """
        for chunk in self._chunks_of.get(target, {}).values():
            if chunk.columns is not None:
                packed = pack_columns(chunk.columns)
                sessions |= packed
                chunk.keys, chunk.columns = list(packed), None
                self._sessions[target] = sessions

    def drop(self, target: Target) -> None:
        """Forget a target of which nothing more is to come."""
        self._sessions.pop(target, None)
        for number, chunk in self._chunks_of.pop(target, {}).items():
            self._cost -= chunk.cost
            if self._whole.pop(number, None) is None:
                del self._reduced[number]

    def _add(self, chunk: _Chunk) -> int:
        self._remember(self._whole, next(self._numbers), chunk)
        forgotten = 0
        while self._cost > self._most:
            forgotten += self._reduce() if self._whole else self._forget()
        return forgotten

    def _remember(self, where: OrderedDict[int, _Chunk], number: int, chunk: _Chunk) -> None:
        where[number] = chunk
        self._chunks_of.setdefault(chunk.target, {})[number] = chunk
        self._cost += chunk.cost

    def _reduce(self) -> int:
        """Reduce the oldest chunk to its edges."""
        number, chunk = self._whole.popitem(last=False)
        if chunk.columns is not None:
            near_columns = chunk.columns.near_the_edges(chunk.time_range, MOVED_WITHIN_MS)
            near = _Chunk(chunk.target, chunk.time_range, columns=near_columns)
        else:
            sessions = self._sessions[chunk.target]
            near = _Chunk(
                chunk.target,
                chunk.time_range,
                [key for key in chunk.keys if _is_near_an_edge(sessions[key], chunk.time_range)],
            )
        self._take_out(number, chunk, set(chunk.keys).difference(near.keys))
        if near.cost > _CHUNK_COST:
            self._remember(self._reduced, number, near)
        return chunk.cost - near.cost

    def _forget(self) -> int:
        """Forget the oldest chunk of those that were reduced."""
        number, chunk = self._reduced.popitem(last=False)
        self._take_out(number, chunk, chunk.keys)
        return chunk.cost - _CHUNK_COST

    def _take_out(self, number: int, chunk: _Chunk, keys: Iterable[Key]) -> None:
        self._cost -= chunk.cost
        del self._chunks_of[chunk.target][number]
        for key in keys:
            del self._sessions[chunk.target][key]
        if not self._chunks_of[chunk.target]:
            del self._chunks_of[chunk.target]
        if chunk.target in self._sessions and not self._sessions[chunk.target]:
            del self._sessions[chunk.target]


def _is_near_an_edge(packed: int, time_range: TimeRange) -> bool:
    start_ms, end_ms = packed >> _START_SHIFT, time_range.end_ms
    after_ms = start_ms - time_range.start_ms
    return after_ms < MOVED_WITHIN_MS or (end_ms is not None and end_ms - start_ms <= MOVED_WITHIN_MS)
