"""Selects the sessions that belong to one chunk from its responses, and counts what is left out. Pure.

The selection itself, :class:`Selection`, works on id, station, start, end and status only. So a record is built only if
it is selected, and columns can be selected in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, cast

import msgspec

from smappee_async.defaults import LATEST_MS, SLICE_SESSIONS
from smappee_async.errors import ResponseDecodeError, unwrap, without_frames
from smappee_async.models import (
    ChargingSession,
    InvalidRecord,
    SessionState,
    SessionStatus,
    is_certainly_active,
    is_certainly_completed,
)
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import ColumnRecords, SessionRecords, SplitRecords
from smappee_async.protocol.wire import WireRecords
from smappee_async.query.account import StreamAccount
from smappee_async.query.kept import (
    Identifiable,
    KeptSessions,
    Key,
    Packed,
    alike,
    free_key,
    has_moved,
    is_same,
    keys_of,
    pack,
    pack_all,
    started_in,
)
from smappee_async.query.plan import Chunk
from smappee_async.query.session_query import OnInvalid

_STOPPED: Final = SessionStatus.STOPPED
_Rule = Callable[[int | None, SessionStatus], bool]


def _certain(rule: _Rule, to_ms: int | None) -> frozenset[SessionStatus] | None:
    """The statuses of which a rule is certain, for sessions that have an end or not; ``None`` if there are none."""
    return frozenset(status for status in SessionStatus if rule(to_ms, status)) or None


#: For each state the statuses that are certainly of the other one: without an end, and with an end. Tabled, because a
#: call of the rule for each record would cost a third of the selection.
OTHER_STATE: Final[Mapping[SessionState, tuple[frozenset[SessionStatus] | None, frozenset[SessionStatus] | None]]] = {
    "completed": (_certain(is_certainly_active, None), _certain(is_certainly_active, LATEST_MS)),
    "active": (_certain(is_certainly_completed, None), _certain(is_certainly_completed, LATEST_MS)),
    "all": (None, None),
}


#: Of a larger chunk the records are packed as they come, so that they do not stay in memory as a whole.
_PACK_FROM: Final = 4_000


class Selectable(Identifiable, Protocol):
    """What the selection looks at: a wire record, a session, or one row of columns."""

    status: SessionStatus


class Selection:
    """Decides which sessions of one chunk are kept; it remembers them from slice to slice.

    A session is left out if it started outside the range of the chunk, if it was kept already, or if it is certainly of
    the other state. Two records with one id that differ in station or start are two sessions, unless the start was
    corrected between two chunks.

    :param on_conflict: called when the first two such records of the chunk are found.
    :param earlier: the sessions of the target that are remembered of other chunks. Those of this chunk are put into it.
    """

    __slots__ = (
        "_account",
        "_chunk",
        "_earlier",
        "_end_ms",
        "_has_conflict",
        "_keys",
        "_on_conflict",
        "_on_unknown_status",
        "_other_with_end",
        "_other_without_end",
        "_seen",
        "_start_ms",
    )

    def __init__(
        self,
        chunk: Chunk,
        state: SessionState,
        account: StreamAccount,
        on_unknown_status: Callable[[str], None],
        on_conflict: Callable[[Chunk], None] | None = None,
        earlier: Packed | None = None,
    ) -> None:
        self._chunk = chunk
        self._start_ms = chunk.time_range.start_ms
        self._end_ms = chunk.time_range.end_ms or LATEST_MS
        self._other_without_end, self._other_with_end = OTHER_STATE[state]
        self._account = account
        self._on_unknown_status = on_unknown_status
        self._on_conflict = on_conflict
        self._has_conflict = False
        # Packing takes longer than all else here, so records are packed only if they are to be remembered.
        self._seen: dict[Key, Selectable] = {}
        self._earlier: Packed = {} if earlier is None else earlier
        self._keys: list[Key] = []

    def left_out(self, records: Sequence[Selectable]) -> list[int]:
        """The positions of the records that are left out, in ascending order. Each record is counted in the account."""
        account, seen, earlier = self._account, self._seen, self._earlier
        start_ms, end_ms = self._start_ms, self._end_ms
        without_end, with_end = self._other_without_end, self._other_with_end
        left_out: list[int] = []
        for position, record in enumerate(records):  # every record goes through here: nothing that is not needed
            session_id, status = record.id, record.status
            if not start_ms <= record.from_ms < end_ms:
                account.filtered += 1  # it belongs to another chunk, which has it
            elif (session_id in seen or session_id in earlier) and self._is_repeated(record):
                account.duplicates += 1
            elif (other := without_end if record.to_ms is None else with_end) is not None and status in other:
                account.filtered += 1
            else:
                seen[session_id] = record
                if status is not _STOPPED:
                    self.count_unknown(status)
                continue
            left_out.append(position)
        account.kept += len(records) - len(left_out)
        if len(seen) >= _PACK_FROM:
            self._pack()
        return left_out

    @property
    def earlier(self) -> Packed:
        """The packed sessions of the target."""
        return self._earlier

    @property
    def has_kept(self) -> bool:
        """Whether sessions of the target are known here."""
        return bool(self._seen or self._earlier)

    def has_any(self, ids: Iterable[int]) -> bool:
        """Whether a session with one of these ids was kept."""
        return not (self._seen.keys().isdisjoint(ids) and self._earlier.keys().isdisjoint(ids))

    def keep_packed(self, sessions: Packed) -> None:
        """Take note of sessions of the chunk that were kept elsewhere; none of their ids was kept here."""
        self._earlier |= sessions
        self._keys += sessions

    def count_unknown(self, status: SessionStatus, sessions: int = 1) -> None:
        """Count sessions that were kept, if the documentation does not name their status."""
        if status.is_known:
            return
        counts = self._account.unknown_statuses
        if status not in counts:
            self._on_unknown_status(status)
        counts[status] = counts.get(status, 0) + sessions

    def kept(self) -> tuple[Packed, list[Key]]:
        """The sessions that were kept, packed with those of earlier chunks; and the keys of those of this chunk."""
        self._pack()
        return self._earlier, self._keys

    def _pack(self) -> None:
        earlier, seen = self._earlier, self._seen
        packed = dict(zip(seen, pack_all(seen.values()), strict=True))
        again = {key: packed.pop(key) for key in earlier.keys() & packed.keys()}
        earlier |= packed
        self._keys += packed
        for key, session in again.items():  # few: other sessions with the same id
            if (free := free_key(earlier, seen[key].id)) is not None:
                earlier[free] = session
                self._keys.append(free)
        seen.clear()

    def _is_repeated(self, record: Selectable) -> bool:
        """Whether a session with the same id that was kept is the same session."""
        packed, account = pack(record), self._account
        kept = alike(self._earlier, record.id)
        kept += [pack(each) for key in keys_of(record.id) if (each := self._seen.get(key)) is not None]
        if any(is_same(packed, each) for each in kept):
            return True
        # A start that differs within one response was not corrected in between.
        if any(not started_in(each, self._chunk.time_range) and has_moved(packed, each) for each in kept):
            account.moved += 1
            return True
        other = self._other_without_end if record.to_ms is None else self._other_with_end
        if other is None or record.status not in other:
            self._keep_both(record)
        return False

    def _keep_both(self, record: Selectable) -> None:
        """Count two sessions with one id, and make room for the second."""
        seen = self._seen
        if record.id in seen and (key := free_key(seen, record.id)) is not None:
            seen[key] = seen[record.id]
        if not self._has_conflict and self._on_conflict is not None:
            self._on_conflict(self._chunk)
        self._has_conflict = True
        self._account.conflicts += 1


def select_sessions(
    chunk: Chunk,
    responses: Sequence[SessionRecords],
    state: SessionState,
    account: StreamAccount,
    *,
    on_invalid: OnInvalid,
    on_unknown_status: Callable[[str], None],
    on_conflict: Callable[[Chunk], None] | None = None,
    kept: KeptSessions | None = None,
    has_more: bool = False,
) -> Iterator[tuple[list[ChargingSession], bool]]:
    """The sessions of a chunk, a slice at a time, so that the event loop can have its turn in between.

    Each slice says whether it is the last; there always is one, if need be empty.

    Of two records of one session the one from the later response is kept: for both states the completed ones are asked
    last, so a session that ends in between comes out completed, and once.

    :param responses: in the order in which they were asked for.
    :param kept: the sessions of other chunks; ``None`` if none are remembered, and those of this chunk need not be.
    :param has_more: whether more chunks of this target may come; if not, its sessions are forgotten.
    :raises ResponseDecodeError: a record cannot be read, with ``on_invalid="raise"``.
    """
    earlier = None if kept is None else kept.of(chunk.target)
    selection = Selection(chunk, state, account, on_unknown_status, on_conflict, earlier)
    slices = [each for response in reversed(responses) for each in _slices(response)]
    for number, (part, first) in enumerate(slices, 1):
        received = len(part)
        records = decode_slice(part, first, chunk, account, on_invalid)
        account.received += received
        if left_out := selection.left_out(records.wires):
            records.leave_out(left_out)
        if kept is not None and number == len(slices):
            remember(chunk, selection, account, kept, has_more=has_more)
        yield records.build(chunk.target.service_location_id), number == len(slices)
    if not slices:
        if kept is not None:
            remember(chunk, selection, account, kept, has_more=has_more)
        yield [], True


def decode_slice(
    part: SplitRecords, first: int, chunk: Chunk, account: StreamAccount, on_invalid: OnInvalid
) -> WireRecords[ChargingSession]:
    """The records of a slice that can be read.

    :param first: the index of the first record of the slice in its response.
    :raises ResponseDecodeError: a record cannot be read, with ``on_invalid="raise"``.
    """
    records = part if isinstance(part, WireRecords) else SESSION_READER.decode(part)
    if records is None:
        records = unwrap(_decode_odd(chunk, cast("list[msgspec.Raw]", part), first, account, on_invalid))
    return records


def _slices(response: SessionRecords) -> list[tuple[SplitRecords, int]]:
    """The slices of a response, with the index of the first record of each; what is decoded already is one."""
    assert not isinstance(response, ColumnRecords), "only streams of columns ask for them"
    if isinstance(response, WireRecords):
        return [(response, 0)] if len(response) else []
    return [(response[first : first + SLICE_SESSIONS], first) for first in range(0, len(response), SLICE_SESSIONS)]


def remember(chunk: Chunk, selection: Selection, account: StreamAccount, kept: KeptSessions, *, has_more: bool) -> None:
    """Remember the sessions of a chunk that was read, or forget all of its target if no more chunks may come."""
    if has_more:
        account.forgotten += kept.add(chunk.target, chunk.time_range, *selection.kept())
    else:
        kept.drop(chunk.target)


def _decode_odd(
    chunk: Chunk, raws: Sequence[msgspec.Raw], first: int, account: StreamAccount, on_invalid: OnInvalid
) -> WireRecords[ChargingSession] | ResponseDecodeError:
    """Decode a slice in which at least one record is odd.

    :returns: what can be decoded; with ``on_invalid="raise"`` the first error, if there is one.
    """
    decoded: list[WireRecords[ChargingSession]] = []
    for part in SESSION_READER.decode_parts(raws, first):
        if not isinstance(part, ResponseDecodeError):
            decoded.append(part)
            continue
        error = _located(part, chunk)
        account.invalid.append(InvalidRecord(error=error, raw=bytes(raws[(error.index or 0) - first])))
        if on_invalid == "raise":
            account.received += 1  # the others of the slice are neither handed over nor left out
            return error
    return WireRecords.joined(SESSION_READER.format, decoded)


def _located(error: ResponseDecodeError, chunk: Chunk) -> ResponseDecodeError:
    return without_frames(error.with_facts(chunk.target.facts(chunk.time_range)))
