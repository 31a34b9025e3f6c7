"""A simulated world as the source of a copy, without HTTP: thousands of syncs take seconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import attrs

from smappee_async import ChargingSession, TimeRange, converter
from smappee_async.models import SessionState
from smappee_async.simulator import Assumptions, Ledger, SimulatedClock, World
from smappee_async.sync.source import Reading

#: A client takes a little less than the service's time for the moment of asking.
MARGIN_MS: Final = 120_000
_MONTH_MS: Final = 30 * 86_400_000


class WorldSource:
    """Reads a world as a client would read it of the service, at the time of a clock."""

    def __init__(self, world: World, clock: SimulatedClock) -> None:
        self.clock = clock
        self.ledger = Ledger(world, clock, Assumptions())
        self.requests = 0

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        """See :class:`smappee_async.sync.source.Source`."""
        self.requests += 1
        asked_ms = max(time_range.start_ms, self.clock.now_ms - MARGIN_MS)
        listed = self.ledger.sessions(park, time_range.start_ms, time_range.end_ms, state)
        read = (converter.structure(self.ledger.wire(session), ChargingSession) for session in listed)
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
