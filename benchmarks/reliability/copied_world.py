"""A simulated world as the source of a copy, without HTTP: thousands of syncs take seconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import attrs

from smappee_async import ChargingSession, NotFound, TimeRange, converter
from smappee_async.models import SessionState
from smappee_async.simulator import Assumptions, Ledger, SimulatedClock, World
from smappee_async.simulator.responses import SessionResponses
from smappee_async.simulator.routing import SessionQuery
from smappee_async.sync.source import Reading

#: A client takes a little less than the service's time for the moment of asking.
MARGIN_MS: Final = 120_000
_MONTH_MS: Final = 30 * 86_400_000


class VisitFailed(NotFound):
    """A park that could not be read this time."""


class WorldSource:
    """Reads a world as a client would read it of the service, at the time of a clock."""

    def __init__(self, world: World, clock: SimulatedClock) -> None:
        self.clock = clock
        self.ledger = Ledger(world, clock, Assumptions())
        self._responses = SessionResponses(world, Assumptions(), cache_bytes=1 << 20)
        self.requests = 0
        self.rows = 0
        self.failing: frozenset[int] = frozenset()
        """The parks that cannot be read now."""

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        """See :class:`smappee_async.sync.source.Source`."""
        self.requests += 1
        if park in self.failing:
            raise VisitFailed("Smappee answered 404 Not Found")
        asked_ms = max(time_range.start_ms, self.clock.now_ms - MARGIN_MS)
        query = SessionQuery(park, None, time_range.start_ms, time_range.end_ms, active=state == "active")
        records = await self._responses.records(query, self.clock.now_ms)
        self.rows += len(records)
        read = (converter.structure(record, ChargingSession) for record in records)
        return Reading(
            sessions=[attrs.evolve(session, service_location_id=park) for session in read],
            asked_ms=asked_ms,
            requests=1,
        )

    async def backfill(
        self, park: int, time_range: TimeRange, read: Sequence[tuple[int, int | None]]
    ) -> AsyncGenerator[Reading, None]:
        """A month at a time."""
        start_ms = max([time_range.start_ms, *(end_ms for _, end_ms in read if end_ms is not None)])
        while True:
            end_ms = start_ms + _MONTH_MS
            reading = await self.read(park, TimeRange.from_ms(start_ms, end_ms), "completed")
            yield attrs.evolve(reading, read=[(time_range.start_ms, min(end_ms, reading.asked_ms))])
            if end_ms > self.clock.now_ms:
                return
            start_ms = end_ms
