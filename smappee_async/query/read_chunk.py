"""Reads one chunk: the calls that it takes, and the proof that their responses are whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import anyio
import attrs
import msgspec

from smappee_async.defaults import CHECKPOINT_MARGIN, CHECKPOINT_MARGIN_WITHOUT_DATE, LATEST_MS
from smappee_async.errors import ResponseDecodeError
from smappee_async.events import EventReporter
from smappee_async.models import SessionState
from smappee_async.protocol.dates import ServerClock
from smappee_async.protocol.responses import read_sessions_in_steps
from smappee_async.query.plan import Chunk
from smappee_async.query.truncation import TruncationCheck, cut_in_two, distinct
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import CallCost, Caller, CallResult, within

_MS: Final = timedelta(milliseconds=1)
_MARGIN_MS: Final = CHECKPOINT_MARGIN // _MS
_MARGIN_WITHOUT_DATE_MS: Final = CHECKPOINT_MARGIN_WITHOUT_DATE // _MS

#: The values of ``active`` that a state needs. Active ones first: a session that ends between the two requests is then
#: in the second response, and not in neither.
_ACTIVE: Final[Mapping[SessionState, tuple[bool, ...]]] = {
    "completed": (False,),
    "active": (True,),
    "all": (True, False),
}


@attrs.define
class FetchedChunk:
    """A chunk that was read whole.

    :param responses: the records of each response, in the order of the requests.
    :param slowest_s: seconds that the slowest response took, without the waits before it.
    :param asked_at_ms: when the chunk was asked for, by the clock of the service and less a margin, milliseconds since
        1970: all sessions that began before are in the responses.
    :param has_more: whether more chunks of the target may come; known when the chunk is taken.
    """

    chunk: Chunk
    responses: list[list[msgspec.Raw]]
    slowest_s: float
    asked_at_ms: int
    has_more: bool = False


class ChunkReader:
    """Makes the calls that a chunk needs.

    :param truncation: what is known of a limit on the sessions in one response; shared by all streams of a client.
    :param verifying: held while a response is verified; shared by all streams of a client.
    :param cost: takes the cost of the calls.
    :param deadline_at: loop time at which every call ends; ``None`` for no deadline.
    :param stream_id: the operation that the chunks are part of, see :class:`ClientEvent`.
    """

    def __init__(
        self,
        caller: Caller,
        base_url: str,
        state: SessionState,
        *,
        truncation: TruncationCheck,
        verifying: anyio.Lock,
        reporter: EventReporter,
        cost: CallCost,
        deadline_at: float | None,
        stream_id: int | None,
    ) -> None:
        self._caller = caller
        self._base_url = base_url
        self._active = _ACTIVE[state]
        self._truncation = truncation
        self._verifying = verifying
        self._reporter = reporter
        self._cost = cost
        self._deadline_at = deadline_at
        self._stream_id = stream_id
        self._server_clock = ServerClock()

    async def read(self, chunk: Chunk) -> FetchedChunk:
        """Read a chunk.

        :raises SmappeeError: one of the calls did not succeed.
        """
        if not self._reporter.is_listening:
            return await self._read(_ChunkInProgress(chunk))
        facts = chunk.target.facts(chunk.time_range)
        with self._reporter.operation("chunk", facts, parent_id=self._stream_id) as operation:
            fetched = await self._read(_ChunkInProgress(chunk, operation.id))
            operation.note(sessions=sum(map(len, fetched.responses)))
            return fetched

    async def _read(self, progress: _ChunkInProgress) -> FetchedChunk:
        responses = [await self._whole(progress, active=active) for active in self._active]
        return FetchedChunk(progress.chunk, responses, progress.slowest_s, progress.asked_at_ms)

    async def _whole(self, progress: _ChunkInProgress, *, active: bool) -> list[msgspec.Raw]:
        """The records of the chunk, verified where its response may have been cut off."""
        records = await self._call(progress, progress.chunk.time_range, active=active)
        if not self._truncation.is_suspect(len(records)):
            return records
        if self._truncation.limit is not None:
            return await self._in_two_parts(progress, progress.chunk.time_range, records, active=active)
        # One verification at a time, because its result may make those of the others unnecessary.
        await self._start_verifying()
        try:
            if not self._truncation.is_suspect(len(records)):
                return records
            return await self._in_two_parts(progress, progress.chunk.time_range, records, active=active)
        finally:
            self._verifying.release()

    async def _start_verifying(self) -> None:
        if self._deadline_at is None:
            await self._verifying.acquire()
        else:
            await within(self._deadline_at, self._verifying.acquire, "another response was verified")

    async def _in_two_parts(
        self,
        progress: _ChunkInProgress,
        time_range: TimeRange,
        records: list[msgspec.Raw],
        *,
        active: bool,
        is_part: bool = False,
    ) -> list[msgspec.Raw]:
        """The records of a time range whose response may have been cut off: it is asked for again in two parts."""
        parts = cut_in_two(time_range, records)
        if parts is None:
            # A part with as many records as the whole, beside another part with records: the whole was cut off.
            if len(records) != self._truncation.limit and not is_part:
                return records
            raise ResponseDecodeError(
                f"the service stops at {len(records)} sessions, and as many started at one instant",
                facts=progress.chunk.target.request(self._base_url, time_range, active=active).facts,
            )
        again: list[msgspec.Raw] = []
        for part in parts:
            found = await self._call(progress, part, active=active)
            if len(found) >= len(records):
                found = await self._in_two_parts(progress, part, found, active=active, is_part=True)
            again += found
        # To count ids takes time, and is not needed where the parts have no more records than the whole.
        is_whole = len(again) <= len(records) or distinct(again) <= distinct(records)
        self._truncation.learn(len(records), is_whole=is_whole)
        return again

    async def _call(self, progress: _ChunkInProgress, time_range: TimeRange, *, active: bool) -> list[msgspec.Raw]:
        result: CallResult[list[msgspec.Raw]] = await self._caller.call(
            progress.chunk.target.request(self._base_url, time_range, active=active),
            read_sessions_in_steps,
            deadline_at=self._deadline_at,
            add_cost_to=self._cost,
            parent_id=progress.operation_id,
        )
        progress.slowest_s = max(progress.slowest_s, result.elapsed_s)
        progress.asked_at_ms = min(progress.asked_at_ms, self._asked_at_ms(result))
        return result.value

    def _asked_at_ms(self, result: CallResult[list[msgspec.Raw]]) -> int:
        """When a call was asked, by the clock of the service, less a margin."""
        date_ms = self._server_clock.read_ms(result.headers)
        if date_ms is None:
            return int(time.time() * 1000) - _MARGIN_WITHOUT_DATE_MS
        # A response may carry the time of its end.
        return date_ms - int(result.elapsed_s * 1000) - _MARGIN_MS


@attrs.define
class _ChunkInProgress:
    """What is known while a chunk is read."""

    chunk: Chunk
    operation_id: int | None = None
    slowest_s: float = 0.0
    asked_at_ms: int = LATEST_MS
