"""From the responses about one chunk to the sessions that belong to it, with an account of what was left out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from smappee_async.defaults import LATEST_MS, SLICE_SESSIONS
from smappee_async.errors import CallFacts, ResponseDecodeError
from smappee_async.models import OPEN_STATUSES, ChargingSession, InvalidRecord, SessionState, SessionStatus
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.query.account import StreamAccount
from smappee_async.query.plan import Chunk
from smappee_async.query.session_query import OnInvalid

_STOPPED = SessionStatus.STOPPED


def select_sessions(
    chunk: Chunk,
    responses: Sequence[Sequence[msgspec.Raw]],
    state: SessionState,
    account: StreamAccount,
    *,
    on_invalid: OnInvalid,
    on_unknown_status: Callable[[str], None],
) -> Iterator[tuple[list[ChargingSession], bool]]:
    """The sessions of a chunk, a slice at a time, so that the event loop can have its turn in between.

    Each slice says whether it is the last; there always is one, if need be empty.

    Of two records of one session the one from the later response is kept: for both states the completed ones are asked
    last, so a session that ends in between comes out completed, and once.

    :param responses: in the order in which they were asked for.
    :raises ResponseDecodeError: a record cannot be read, with ``on_invalid="raise"``.
    """
    seen: set[int] = set()
    slices = [
        (response, first) for response in reversed(responses) for first in range(0, len(response), SLICE_SESSIONS)
    ]
    for number, (response, first) in enumerate(slices, 1):
        kept = _select_slice(
            chunk, response, first, state, account, seen, on_invalid=on_invalid, on_unknown_status=on_unknown_status
        )
        account.kept += len(kept)
        yield kept, number == len(slices)
    if not slices:
        yield [], True


def _select_slice(
    chunk: Chunk,
    response: Sequence[msgspec.Raw],
    first: int,
    state: SessionState,
    account: StreamAccount,
    seen: set[int],
    *,
    on_invalid: OnInvalid,
    on_unknown_status: Callable[[str], None],
) -> list[ChargingSession]:
    raws = response[first : first + SLICE_SESSIONS]
    sessions = SESSION_READER.read_many(raws, chunk.target.service_location_id)
    if sessions is None:
        sessions = _read_singly(chunk, raws, first, account, on_invalid)
    else:
        account.received += len(raws)
    start_ms = chunk.time_range.start_ms
    end_ms = chunk.time_range.end_ms or LATEST_MS
    only_completed, only_active = state == "completed", state == "active"
    kept: list[ChargingSession] = []
    for session in sessions:  # every session goes through here: plain comparisons, the likely ones first
        status = session.status
        if not start_ms <= session.from_ms < end_ms:
            account.filtered += 1  # the chunk that it belongs to has it
        elif session.id in seen:
            account.duplicates += 1
        elif status is _STOPPED:
            if only_active and session.to_ms is not None:
                account.filtered += 1
                continue
            seen.add(session.id)
            kept.append(session)
        elif only_completed and session.to_ms is None and status in OPEN_STATUSES:
            account.filtered += 1
        else:
            seen.add(session.id)
            kept.append(session)
            if not status.is_known:
                if status not in account.unknown_statuses:
                    on_unknown_status(status)
                account.unknown_statuses[status] = account.unknown_statuses.get(status, 0) + 1
    return kept


def _read_singly(
    chunk: Chunk, raws: Sequence[msgspec.Raw], first: int, account: StreamAccount, on_invalid: OnInvalid
) -> list[ChargingSession]:
    """The records of a slice of which at least one is odd."""
    sessions = []
    for index, raw in enumerate(raws, first):
        try:
            sessions.append(SESSION_READER.read(raw, chunk.target.service_location_id))
        except ResponseDecodeError as error:
            _report(error, chunk, index, raw, account)
            if on_invalid == "raise":
                account.received += 1  # the others of the slice are neither handed over nor left out
                raise
    account.received += len(raws)
    return sessions


def _report(error: ResponseDecodeError, chunk: Chunk, index: int, raw: msgspec.Raw, account: StreamAccount) -> None:
    error.index = index
    error.with_facts(
        CallFacts(
            service_location_id=chunk.target.service_location_id,
            serial_number=chunk.target.serial_number,
            time_range=chunk.time_range,
        )
    )
    error.__traceback__ = None
    account.invalid.append(InvalidRecord(error=error, raw=bytes(raw)))
