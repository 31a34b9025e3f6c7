"""Reads one chunk: the calls that it takes, and the proof that their responses are whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import anyio
import msgspec

from smappee_async.defaults import (
    CHECKPOINT_MARGIN,
    CHECKPOINT_MARGIN_WITHOUT_DATE,
    LATEST_MS,
    SLICE_SESSIONS,
)
from smappee_async.errors import ResponseDecodeError, SmappeeError, without_frames
from smappee_async.events import EventReporter
from smappee_async.models import SessionState
from smappee_async.protocol.dates import ServerClock
from smappee_async.protocol.responses import (
    ColumnRecords,
    SessionRecords,
)
from smappee_async.query.one_response import OneResponse, ReadColumns, columns_of, records_of
from smappee_async.query.plan import Chunk
from smappee_async.query.target import Target
from smappee_async.query.truncation import (
    ResponseSize,
    TruncationCheck,
    cut_evenly,
    cut_in_two,
    identities,
    ignored,
    inside,
    may_ignore,
)
from smappee_async.secret import Opaque
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import CallCost, Caller, CallResult, within

#: The values of ``active`` that a state needs. Active ones first: a session that ends between the two requests is then
#: in the second response, and not in neither.
_ACTIVE: Final[Mapping[SessionState, tuple[bool, ...]]] = {
    "completed": (False,),
    "active": (True,),
    "all": (True, False),
}
_MS: Final = timedelta(milliseconds=1)
_MARGIN_MS: Final = CHECKPOINT_MARGIN // _MS
_MARGIN_WITHOUT_DATE_MS: Final = CHECKPOINT_MARGIN_WITHOUT_DATE // _MS

#: In fewer records nothing is looked for: single ones outside of the range are left out later.
_FEW: Final = 10
#: To free so many texts takes 0.1 ms.
_FREED_AT_ONCE: Final = 2_000


class FetchedChunk(Opaque, msgspec.Struct, eq=False):
    """A chunk that was read whole.

    :param responses: the records of each response, in the order of the requests.
    :param slowest_s: seconds that the slowest response took, without the waits before it.
    :param asked_at_ms: when the chunk was asked for, by the clock of the service and less a margin, milliseconds since
        1970: all sessions that began before are in the responses.
    :param has_more: whether more chunks of the target may come; known when the chunk is taken.
    :param short: chunks that were handed over before, and turned out to be cut off.
    """

    chunk: Chunk
    responses: list[SessionRecords]
    slowest_s: float
    asked_at_ms: int
    has_more: bool = False
    short: Sequence[ShortChunk] = ()


class ShortChunk(Opaque, msgspec.Struct, frozen=True, eq=False):
    """A chunk that was handed over, and whose response turned out to be cut off when another one was verified."""

    chunk: Chunk
    error: SmappeeError


class ChunkReader:
    """Makes the calls that a chunk needs.

    :param truncation: what is known of silent limits on responses; shared by all streams of a client.
    :param cost: takes the cost of the calls.
    :param deadline_at: loop time at which every call ends; ``None`` for no deadline.
    :param stream_id: the operation that the chunks are part of, see :class:`ClientEvent`.
    :param read_columns: reads responses into columns; ``None``: all are read as records.
    """

    def __init__(
        self,
        caller: Caller,
        base_url: str,
        state: SessionState,
        *,
        truncation: TruncationCheck,
        reporter: EventReporter,
        cost: CallCost,
        deadline_at: float | None,
        stream_id: int | None,
        read_columns: ReadColumns | None = None,
    ) -> None:
        self._caller = caller
        self._base_url = base_url
        self._active = _ACTIVE[state]
        self._truncation = truncation
        self._verifying: dict[Target, anyio.Lock] = {}
        self._believed: dict[Target, list[_Believed]] = {}
        self._revision = truncation.revision
        self._server_clock = ServerClock()
        self._reporter = reporter
        self._cost = cost
        self._deadline_at = deadline_at
        self._stream_id = stream_id
        self._read_columns = read_columns

    def read(self, chunk: Chunk) -> Awaitable[FetchedChunk]:
        """Read a chunk.

        :raises SmappeeError: one of the calls did not succeed.
        """
        return self._reported(chunk) if self._reporter.is_listening else self._read(_ChunkInProgress(chunk))

    async def _reported(self, chunk: Chunk) -> FetchedChunk:
        facts = chunk.target.facts(chunk.time_range)
        with self._reporter.operation("chunk", facts, parent_id=self._stream_id) as operation:
            fetched = await self._read(_ChunkInProgress(chunk, operation.id))
            operation.note(sessions=sum(map(len, fetched.responses)))
            return fetched

    async def _read(self, progress: _ChunkInProgress) -> FetchedChunk:
        responses = [await self._whole(progress, active=active) for active in self._active]
        while self._revision != self._truncation.revision:
            if await self._go_back(progress):
                responses = [await self._whole(progress, active=active) for active in self._active]
        return FetchedChunk(progress.chunk, responses, progress.slowest_s, progress.asked_at_ms, short=progress.short)

    # --- is it whole? -------------------------------------------------------------------------------------------------

    async def _whole(self, progress: _ChunkInProgress, *, active: bool) -> SessionRecords:
        """The records of the chunk, verified where its response may have been cut off."""
        target, time_range = progress.chunk.target, progress.chunk.time_range
        read = await self._call(progress, time_range, active=active, read_columns=self._read_columns)
        if self._truncation.trusts(target, read.sessions):
            return read.records
        verdict = self._truncation.judge(target, (time_range, active), read.size)
        if verdict == "verify":
            # One verification of a target at a time, because its result may make those of others unnecessary.
            lock = await self._start_verifying(target)
            try:
                verdict = self._truncation.judge(target, (time_range, active), read.size)
                if verdict == "verify":
                    verified = await self._verify(progress, read, active=active)
                    if verified is not None:
                        return verified
                    verdict = "cut"
            finally:
                lock.release()
        if verdict == "cut":
            return await self._in_parts(progress, read, active=active)
        self._believe(progress, read.size, active=active)
        return read.records

    async def _start_verifying(self, target: Target) -> anyio.Lock:
        lock = self._verifying.setdefault(target, anyio.Lock())
        if self._deadline_at is None:
            await lock.acquire()
        else:
            await within(self._deadline_at, lock.acquire, "another response was verified")
        return lock

    async def _verify(self, progress: _ChunkInProgress, read: OneResponse, *, active: bool) -> SessionRecords | None:
        """Ask for the chunk again in two parts: its records, or ``None`` if its response was cut off."""
        target, time_range = progress.chunk.target, progress.chunk.time_range
        asked = (time_range, active)
        raws = await read.raws()
        parts = cut_in_two(time_range, raws) or cut_evenly(time_range, raws)
        if not parts:
            return read.records  # nothing can be told: no start can be read, or the range has one instant
        self._truncation.begin(target)
        again: list[msgspec.Raw] = []
        for part in parts:
            again += await (await self._call(progress, part, active=active)).raws()
        # By distinct ids, because records that stand twice in a response make it look larger than its parts.
        known = await _identities(raws)
        new = await _identities(again) - known
        if new:
            # The park may have grown meanwhile. Then all that is new is in the whole when it is asked for again.
            read = await self._call(progress, time_range, active=active)
            raws = await read.raws()
            known = await _identities(raws)
            new -= known
        size = read.size.of_distinct(read.sessions - len(raws) + len(known))
        if new:
            self._truncation.learn_limit(target, size)
            return None
        self._truncation.learn_whole(target, asked, size)
        await _free_ids(known)
        await _free(again)
        if isinstance(read.records, ColumnRecords):
            read.records.texts = None
            await _free(raws)
        return read.records

    async def _in_parts(self, progress: _ChunkInProgress, read: OneResponse, *, active: bool) -> list[msgspec.Raw]:
        """The records of the chunk, whose response was cut off: asked for in parts that are not."""
        target = progress.chunk.target
        found: list[msgspec.Raw] = []
        waiting = await self._parts(progress, progress.chunk.time_range, read, active=active)
        while waiting:
            part = waiting.pop()
            read = await self._call(progress, part, active=active)
            if self._truncation.judge(target, (part, active), read.size) == "cut":
                waiting += await self._parts(progress, part, read, active=active)
            else:
                found += await read.raws()
        return found

    async def _parts(
        self, progress: _ChunkInProgress, time_range: TimeRange, read: OneResponse, *, active: bool
    ) -> list[TimeRange]:
        parts = cut_evenly(time_range, await read.raws())
        if not parts:
            raise ResponseDecodeError(
                f"the service stops at {read.sessions} sessions, and as many started at one instant",
                facts=progress.chunk.target.request(self._base_url, time_range, active=active).facts,
            )
        return parts[::-1]

    # --- going back ---------------------------------------------------------------------------------------------------

    def _believe(self, progress: _ChunkInProgress, size: ResponseSize, *, active: bool) -> None:
        """Keep in mind what was taken for whole without a proof, in case a limit is found later."""
        chunk = progress.chunk
        self._truncation.believe(chunk.target, (chunk.time_range, active), size)
        if self._truncation.is_proven(chunk.target, size):
            return
        believed = self._believed.setdefault(chunk.target, [])
        # A response proves the smaller ones whole.
        if all(size.reaches(earlier.size) for earlier in believed):
            believed[:] = [earlier for earlier in believed if earlier.size.reaches(size)]
            believed.append(_Believed(chunk, active, size))

    async def _go_back(self, progress: _ChunkInProgress) -> bool:
        """A limit was found: verify what was trusted before, of all targets.

        What was handed over cannot be taken back, so an error says where sessions may be missing.

        :return: whether a response of the chunk that is being read is in doubt.
        """
        self._revision = self._truncation.revision
        believed, self._believed = self._believed, {}
        is_in_doubt = False
        for each in (each for several in believed.values() for each in several):
            if each.chunk is progress.chunk:
                is_in_doubt = True
                continue
            try:
                is_whole = await self._is_still_whole(each, progress.operation_id)
            except SmappeeError as error:
                progress.short.append(ShortChunk(each.chunk, without_frames(error)))
                continue
            if not is_whole:
                missing = ResponseDecodeError(
                    f"the service stops at {each.size.sessions} sessions, which was found out after so many of this "
                    "range had been handed over: others may be missing",
                    facts=each.chunk.target.facts(each.chunk.time_range),
                    advice="Query this range again: the limit is known now",
                )
                progress.short.append(ShortChunk(each.chunk, missing))
        return is_in_doubt

    async def _is_still_whole(self, believed: _Believed, operation_id: int | None) -> bool:
        progress = _ChunkInProgress(believed.chunk, operation_id)
        time_range, active = believed.chunk.time_range, believed.active
        verdict = self._truncation.judge(believed.chunk.target, (time_range, active), believed.size)
        if verdict == "verify":
            read = await self._call(progress, time_range, active=active)
            return await self._verify(progress, read, active=active) is not None
        return verdict == "whole"

    # --- one call -----------------------------------------------------------------------------------------------------

    async def _call(
        self,
        progress: _ChunkInProgress,
        time_range: TimeRange,
        *,
        active: bool,
        read_columns: ReadColumns | None = None,
    ) -> OneResponse:
        result: CallResult[OneResponse] = await self._caller.call(
            progress.chunk.target.request(self._base_url, time_range, active=active),
            records_of if read_columns is None else columns_of(read_columns, progress.chunk),
            deadline_at=self._deadline_at,
            add_cost_to=self._cost,
            parent_id=progress.operation_id,
        )
        progress.slowest_s = max(progress.slowest_s, result.elapsed_s)
        progress.asked_at_ms = min(progress.asked_at_ms, self._asked_at_ms(result))
        read = result.value
        if read.sessions >= _FEW and may_ignore(time_range, read.records):
            self._notice_what_is_ignored(progress, time_range, await read.raws(), active=active)
        if self._truncation.end_is_ignored:
            read.records = inside(time_range, await read.raws())
        return read

    def _asked_at_ms(self, result: CallResult[OneResponse]) -> int:
        """When a call was asked, by the clock of the service, less a margin."""
        date_ms = self._server_clock.read_ms(result.headers)
        if date_ms is None:
            return int(time.time() * 1000) - _MARGIN_WITHOUT_DATE_MS
        # A response may carry the time of its end.
        return date_ms - int(result.elapsed_s * 1000) - _MARGIN_MS

    def _notice_what_is_ignored(
        self, progress: _ChunkInProgress, time_range: TimeRange, records: list[msgspec.Raw], *, active: bool
    ) -> None:
        edge = ignored(time_range, records)
        if edge == "end":
            self._truncation.end_is_ignored = True
        elif edge == "start":
            raise ResponseDecodeError(
                f"the service ignores the range: many of {len(records)} sessions started before it",
                facts=progress.chunk.target.request(self._base_url, time_range, active=active).facts,
                advice="Sessions that are missing cannot be told from sessions that do not exist",
            )


async def _identities(records: list[msgspec.Raw]) -> set[int | str | bytes]:
    """The distinct ids of the records; other tasks have their turn in between."""
    found: set[int | str | bytes] = set()
    for first in range(0, len(records), SLICE_SESSIONS):
        found |= identities(records[first : first + SLICE_SESSIONS])
        await asyncio.sleep(0)
    return found


async def _free(texts: list[msgspec.Raw]) -> None:
    """Let go of texts in steps, because to free many at once holds the event loop."""
    while len(texts) > _FREED_AT_ONCE:
        del texts[-_FREED_AT_ONCE:]
        await asyncio.sleep(0)


async def _free_ids(ids: set[int | str | bytes]) -> None:
    """The same for ids."""
    while len(ids) > _FREED_AT_ONCE:
        for _ in range(_FREED_AT_ONCE):
            ids.pop()
        await asyncio.sleep(0)


class _Believed(Opaque, msgspec.Struct, frozen=True, eq=False):
    """A response that was taken for whole without a proof."""

    chunk: Chunk
    active: bool
    size: ResponseSize


class _ChunkInProgress(Opaque, msgspec.Struct, eq=False):
    """What is known while a chunk is read."""

    chunk: Chunk
    operation_id: int | None = None
    slowest_s: float = 0.0
    asked_at_ms: int = LATEST_MS
    short: list[ShortChunk] = msgspec.field(default_factory=list)
