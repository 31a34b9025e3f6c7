"""What a sync reads of the service, through the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

import attrs

from smappee_async.client import SmappeeClient
from smappee_async.models import ChargingSession, InvalidRecord, JsonValue, SessionState
from smappee_async.query.checkpoint import Checkpoint, read_ranges, resume_from
from smappee_async.query.session_query import SessionQuery
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

_SHORT_MS: Final = 3 * 86_400_000


@attrs.frozen(kw_only=True)
class Reading:
    """Sessions of one park.

    :param asked_ms: when they were asked for, by the clock of the service and less a margin, milliseconds since 1970:
        all that had begun by then are in it.
    :param read: the time ranges that were read so far, for a backfill.
    """

    sessions: Sequence[ChargingSession]
    asked_ms: int
    read: Sequence[tuple[int, int | None]] = ()
    requests: int = 0
    invalid: Sequence[InvalidRecord] = ()


class Source(Protocol):
    """Where the sessions of a park come from."""

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        """All sessions in a range.

        :raises SmappeeError: they could not be read.
        """
        ...

    def backfill(
        self, park: int, time_range: TimeRange, read: Sequence[tuple[int, int | None]]
    ) -> AsyncGenerator[Reading, None]:
        """The completed sessions in a long range, some at a time; what was read before is left out.

        :raises SmappeeError: they could not be read.
        """
        ...


class ClientSource:
    """The source that a client is."""

    def __init__(self, client: SmappeeClient) -> None:
        self._client = client
        self._last_asked_ms = 0

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        """See :class:`Source`."""
        # A look ahead costs a request more, and pays for itself in long ranges only.
        at_once = time_range.start_ms > self._last_asked_ms - _SHORT_MS
        query = attrs.evolve(_query(park, time_range, state), at_once=at_once)
        stream = self._client.stream(query)
        async with stream:
            sessions = [session async for batch in stream.batches() for session in batch.sessions]
        asked_ms = _asked_ms(stream.checkpoint(), park, time_range)
        if time_range.end_ms is None:
            self._last_asked_ms = asked_ms
        return Reading(
            sessions=sessions,
            asked_ms=asked_ms,
            requests=stream.stats.requests,
            invalid=stream.invalid,
        )

    async def backfill(
        self, park: int, time_range: TimeRange, read: Sequence[tuple[int, int | None]]
    ) -> AsyncGenerator[Reading, None]:
        """See :class:`Source`."""
        resume = resume_from("completed", {Target(park): [TimeRange.from_ms(*each) for each in read]})
        stream = self._client.stream(_query(park, time_range, "completed", resume))
        requests = invalid = 0
        async with stream:
            async for batch in stream.batches():
                checkpoint = stream.checkpoint()
                yield Reading(
                    sessions=batch.sessions,
                    asked_ms=_asked_ms(checkpoint, park, time_range),
                    read=[(each.start_ms, each.end_ms) for each in read_ranges(checkpoint, Target(park))],
                    requests=stream.stats.requests - requests,
                    invalid=stream.invalid[invalid:],
                )
                requests, invalid = stream.stats.requests, len(stream.invalid)


def _query(
    park: int, time_range: TimeRange, state: SessionState, resume: dict[str, JsonValue] | None = None
) -> SessionQuery:
    return SessionQuery(ranges={Target(park): time_range}, state=state, on_invalid="collect", resume=resume)


def _asked_ms(checkpoint: Checkpoint, park: int, time_range: TimeRange) -> int:
    """The moment of asking, which is where the checkpoint of a range that has not ended ends."""
    ranges = read_ranges(checkpoint, Target(park))
    end_ms = ranges[-1].end_ms if ranges else None
    return time_range.start_ms if end_ms is None else end_ms
