"""From the answers about one piece to the sessions that belong to it, with an account of what was left out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import msgspec

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import CallFacts, ResponseDecodeError
from smappee_async.models import OPEN_STATUSES, ChargingSession, InvalidRecord, SessionState, SessionStatus
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.query.plan import Piece
from smappee_async.query.question import OnInvalid

_KNOWN_STATUSES = frozenset(SessionStatus)
_STOPPED = SessionStatus.STOPPED


@attrs.define
class Account:
    """What became of every record that arrived."""

    received: int = 0
    kept: int = 0
    filtered: int = 0
    duplicates: int = 0
    invalid: list[InvalidRecord] = attrs.field(factory=list)
    unknown_statuses: dict[str, int] = attrs.field(factory=dict)


def sift(
    piece: Piece,
    answers: Sequence[Sequence[msgspec.Raw]],
    state: SessionState,
    account: Account,
    *,
    on_invalid: OnInvalid,
    on_unknown_status: Callable[[str], None],
) -> Iterator[tuple[list[ChargingSession], bool]]:
    """The sessions of a piece, a slice at a time, so that the event loop can have its turn in between.

    Each slice says whether it is the last; there always is one, if need be empty.

    Of two records of one session the one from the later answer is kept: for both states the completed ones are asked
    last, so a session that ends in between comes out completed, and once.

    :param answers: in the order in which they were asked for.
    :raises ResponseDecodeError: a record cannot be read, with ``on_invalid="raise"``.
    """
    seen: set[int] = set()
    slices = [(answer, first) for answer in reversed(answers) for first in range(0, len(answer), SLICE_SESSIONS)]
    for number, (answer, first) in enumerate(slices, 1):
        kept = _sift_slice(
            piece, answer, first, state, account, seen, on_invalid=on_invalid, on_unknown_status=on_unknown_status
        )
        account.kept += len(kept)
        yield kept, number == len(slices)
    if not slices:
        yield [], True


def _sift_slice(
    piece: Piece,
    answer: Sequence[msgspec.Raw],
    first: int,
    state: SessionState,
    account: Account,
    seen: set[int],
    *,
    on_invalid: OnInvalid,
    on_unknown_status: Callable[[str], None],
) -> list[ChargingSession]:
    # The loop that every session goes through: locals and plain comparisons on purpose.
    read, park = SESSION_READER.read, piece.target.service_location_id
    start_ms, end_ms = piece.time_range.start_ms, piece.time_range.end_ms
    only_completed, only_active = state == "completed", state == "active"
    kept: list[ChargingSession] = []
    for index in range(first, min(first + SLICE_SESSIONS, len(answer))):
        account.received += 1
        try:
            session = read(answer[index], park)
        except ResponseDecodeError as error:
            _report(error, piece, index, answer[index], account)
            if on_invalid == "raise":
                account.kept += len(kept)  # looked at, though never handed over
                raise
            continue
        started_ms, status = session.from_ms, session.status
        if started_ms < start_ms or (end_ms is not None and started_ms >= end_ms):
            account.filtered += 1  # the piece that it belongs to has it
        elif session.id in seen:
            account.duplicates += 1
        elif (only_completed and session.to_ms is None and status in OPEN_STATUSES) or (
            only_active and session.to_ms is not None and status == _STOPPED
        ):
            account.filtered += 1
        else:
            seen.add(session.id)
            kept.append(session)
            if status not in _KNOWN_STATUSES:
                if status not in account.unknown_statuses:
                    on_unknown_status(status)
                account.unknown_statuses[status] = account.unknown_statuses.get(status, 0) + 1
    return kept


def _report(error: ResponseDecodeError, piece: Piece, index: int, raw: msgspec.Raw, account: Account) -> None:
    error.index = index
    error.with_facts(
        CallFacts(
            service_location_id=piece.target.service_location_id,
            serial_number=piece.target.serial_number,
            time_range=piece.time_range,
        )
    )
    error.__traceback__ = None
    account.invalid.append(InvalidRecord(error=error, raw=bytes(raw)))
