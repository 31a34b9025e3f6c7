"""Sessions that are records already as record batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pyarrow as pa

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.models import ChargingSession, SessionBatch
from smappee_async.tables.batches import schema_batch
from smappee_async.tables.records import columns_of_records


def record_batch(sessions: Sequence[ChargingSession]) -> pa.RecordBatch:
    """Sessions as one record batch of the schema; some thousands hold the event loop for 10 ms."""
    parks = [session.service_location_id for session in sessions]
    return schema_batch(columns_of_records(sessions, parks, [session.extra for session in sessions]))


async def record_batches(batches: AsyncIterator[SessionBatch]) -> AsyncGenerator[pa.RecordBatch, None]:
    """The same for batches of sessions, a slice at a time, so that the event loop has its turn in between."""
    async for batch in batches:
        for first in range(0, len(batch.sessions), SLICE_SESSIONS):
            yield record_batch(batch.sessions[first : first + SLICE_SESSIONS])
            await asyncio.sleep(0)
