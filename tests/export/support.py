"""Sources whose sessions a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import attrs
import pyarrow as pa

from smappee_async import ChargingSession, SessionBatch, SessionStatus, TimeRange
from smappee_async.tables.schema import SCHEMA
from tests.rows import row

OCTOBER = TimeRange.month(2026, 10, tz="UTC")


def session(number: int = 1, **fields: object) -> ChargingSession:
    """A session of park 1001 that began in October."""
    given = {
        "serial_number": "6100000001",
        "from_ms": OCTOBER.start_ms + 60_000 * number,
        "status": SessionStatus.STOPPED,
        "service_location_id": 1001,
    }
    return ChargingSession(id=number, **{**given, **fields})  # type: ignore[arg-type]


def record_batch(sessions: Iterable[ChargingSession]) -> pa.RecordBatch:
    """Sessions as Arrow, value by value."""
    return pa.RecordBatch.from_pylist([row(each) for each in sessions], SCHEMA)


async def _nothing() -> None:
    pass


@attrs.define
class Source:
    """Gives these sessions in these batches; then ``at_end`` is awaited."""

    given: Sequence[Sequence[ChargingSession]] = ()
    failures: Sequence[object] = ()
    invalid: Sequence[object] = ()
    at_end: Callable[[], Awaitable[None]] = _nothing
    is_closed: bool = False

    async def batches(self) -> AsyncIterator[SessionBatch]:
        try:
            for sessions in self.given:
                yield SessionBatch(
                    service_location_id=1001, serial_number=None, time_range=OCTOBER, sessions=tuple(sessions)
                )
            await self.at_end()
        finally:
            self.is_closed = True


class SourceInArrow(Source):
    """Gives them as Arrow too."""

    async def arrow(self) -> AsyncIterator[pa.RecordBatch]:
        try:
            for sessions in self.given:
                yield record_batch(sessions)
            await self.at_end()
        finally:
            self.is_closed = True
