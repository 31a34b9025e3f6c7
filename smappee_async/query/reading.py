"""Does the work of a stream: from the chunks of its query to sessions, batches and columns."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import SmappeeError
from smappee_async.events import ClientEvent, EventReporter
from smappee_async.limits import Limits
from smappee_async.models import ChargingSession, SessionBatch
from smappee_async.query.account import StreamAccount
from smappee_async.query.checkpoint import Progress
from smappee_async.query.fetch import Fetcher
from smappee_async.query.kept import KeptSessions
from smappee_async.query.merge import merge_by_start
from smappee_async.query.one_response import ReadColumns
from smappee_async.query.plan import Chunk, Plan
from smappee_async.query.read_chunk import ChunkReader, FetchedChunk
from smappee_async.query.select import Selection, select_sessions
from smappee_async.query.session_query import SessionQuery
from smappee_async.query.target import Target
from smappee_async.query.truncation import TruncationCheck
from smappee_async.secret import Opaque
from smappee_async.transport.call import Caller

if TYPE_CHECKING:
    import pyarrow as pa

    from smappee_async.query.columns import ColumnReader

#: The cost of a response besides its sessions, expressed in sessions.
_SMALL_RESPONSE: Final = 50
_BY_START: Final = operator.attrgetter("from_ms", "id")
_START_MS: Final[Callable[[ChargingSession], int]] = operator.attrgetter("from_ms")


class Service(Opaque, msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a stream needs of the open client.

    :param truncation: what is known of silent limits on responses; shared by all streams.
    :param check: raises :class:`ClientClosed` unless the client can be used from this loop and process.
    :param opened: is given each fetcher, so that closing the client stops it.
    """

    caller: Caller
    base_url: str
    limits: Limits
    truncation: TruncationCheck
    reporter: EventReporter
    check: Callable[[], None]
    opened: Callable[[Fetcher], None]


class StreamReader:
    """Does the work of a stream, and holds no reference to it."""

    def __init__(self, query: SessionQuery, service: Service) -> None:
        self.account = StreamAccount()
        self.progress = Progress(query.state, query.resume)
        self._query = query
        self._service = service
        self._fetcher: Fetcher | None = None
        self._kept = KeptSessions()

    async def by_arrival(self) -> AsyncGenerator[ChargingSession, None]:
        """Session by session, as they arrive."""
        account = self.account
        since_turn = 0
        with self._fetching() as fetcher:
            while (fetched := await fetcher.take()) is not None:
                for sessions, _ in self._slices(fetched):
                    for handed_over, session in enumerate(sessions, account.sessions + 1):
                        account.sessions = handed_over
                        yield session
                    # Let the event loop run other tasks now and then, but not after each of many small responses.
                    since_turn += len(sessions) + _SMALL_RESPONSE
                    if since_turn >= SLICE_SESSIONS:
                        since_turn = 0
                        await asyncio.sleep(0)
                self.handed_over(fetched)

    async def by_start(self) -> AsyncGenerator[ChargingSession, None]:
        """Session by session over all targets, earliest start first, holding one chunk of each target."""
        with self._fetching() as fetcher:
            async with aclosing(self._sessions_by_start(fetcher, self.handed_over)) as merged:
                async for session in merged:
                    self.account.sessions += 1
                    yield session

    async def batches(self) -> AsyncGenerator[SessionBatch, None]:
        """Batch by batch."""
        in_order = self._query.order == "start"
        with self._fetching() as fetcher:
            async with aclosing(self._chunks_by_start(fetcher) if in_order else self._chunks(fetcher)) as chunks:
                async for fetched in chunks:
                    slices = [(await self.sorted(fetched), True)] if in_order else self._slices(fetched)
                    for sessions, is_last in slices:
                        self.account.sessions += len(sessions)
                        if is_last:
                            self.handed_over(fetched)
                        yield SessionBatch(
                            service_location_id=fetched.chunk.target.service_location_id,
                            serial_number=fetched.chunk.target.serial_number,
                            time_range=fetched.chunk.time_range,
                            sessions=tuple(sessions),
                            is_last=is_last,
                        )
                        await asyncio.sleep(0)

    def arrow(self) -> AsyncGenerator[pa.RecordBatch, None]:
        """Record batch by record batch.

        :raises ImportError: pyarrow is not installed.
        """
        # It imports pyarrow, which takes 0.3 s: only when it is asked for, and before anything is read.
        from smappee_async.tables import schema  # noqa: F401, I001, PLC0415 - says which extra is missing
        from smappee_async.query.columns import ColumnReader  # noqa: PLC0415

        reader = ColumnReader(
            self._query.state,
            self._query.on_invalid,
            self.account,
            self._kept,
            selection_of=self._selection_of,
            handed_over=self.handed_over,
        )
        return self._arrow(reader)

    async def _arrow(self, reader: ColumnReader) -> AsyncGenerator[pa.RecordBatch, None]:
        # To come by start, each session is read as a record.
        in_order = self._query.order == "start"
        with self._fetching(None if in_order else reader.read) as fetcher:
            if in_order:
                done: list[FetchedChunk] = []
                merged = self._sessions_by_start(fetcher, done.append)
                async with aclosing(merged), aclosing(reader.by_start(merged, done)) as batches:
                    async for batch in batches:
                        yield batch
            else:
                async with (
                    aclosing(self._chunks(fetcher)) as chunks,
                    aclosing(reader.by_arrival(chunks)) as batches,
                ):
                    async for batch in batches:
                        yield batch

    # --- chunks -------------------------------------------------------------------------------------------------------

    async def _chunks(self, fetcher: Fetcher) -> AsyncGenerator[FetchedChunk, None]:
        while (fetched := await fetcher.take()) is not None:
            yield fetched

    def _sessions_by_start(
        self, fetcher: Fetcher, handed_over: Callable[[FetchedChunk], None]
    ) -> AsyncGenerator[ChargingSession, None]:
        sources = (_Sessions(_Chunks(fetcher, target), self.sorted, handed_over) for target in self._query.ranges)
        return merge_by_start(sources, _START_MS)

    def _chunks_by_start(self, fetcher: Fetcher) -> AsyncGenerator[FetchedChunk, None]:
        sources = (_Chunks(fetcher, target) for target in self._query.ranges)
        return merge_by_start(sources, lambda fetched: fetched.chunk.time_range.start_ms)

    def _slices(self, fetched: FetchedChunk) -> Iterator[tuple[list[ChargingSession], bool]]:
        """The sessions of one chunk, a slice at a time."""
        return select_sessions(
            fetched.chunk,
            fetched.responses,
            self._query.state,
            self.account,
            on_invalid=self._query.on_invalid,
            on_unknown_status=self._tell_unknown_status,
            on_conflict=self._tell_conflict,
            kept=self._kept if fetched.has_more or self._kept else None,
            has_more=fetched.has_more,
        )

    async def sorted(self, fetched: FetchedChunk) -> list[ChargingSession]:
        """The sessions of one chunk by start, because the order of the service is not documented."""
        sessions: list[ChargingSession] = []
        for slice_, _ in self._slices(fetched):
            sessions += slice_
            await asyncio.sleep(0)
        sessions.sort(key=_BY_START)
        return sessions

    def handed_over(self, fetched: FetchedChunk) -> None:
        """The consumer has all sessions of a chunk."""
        self.progress.add(fetched.chunk.target, fetched.chunk.time_range, fetched.asked_at_ms)

    def _selection_of(self, chunk: Chunk, kept: KeptSessions) -> Selection:
        earlier = kept.of(chunk.target)
        return Selection(
            chunk, self._query.state, self.account, self._tell_unknown_status, self._tell_conflict, earlier
        )

    def _tell_unknown_status(self, status: str) -> None:
        self._service.reporter.tell(ClientEvent(kind="unknown_status", detail=status))

    def _tell_conflict(self, chunk: Chunk) -> None:
        facts = chunk.target.facts(chunk.time_range)
        detail = "two sessions have the same id, but not the same station and start; both are handed over"
        self._service.reporter.tell(ClientEvent(kind="id_conflict", facts=facts, detail=detail))

    # --- start and end ------------------------------------------------------------------------------------------------

    @contextmanager
    def _fetching(self, read_columns: ReadColumns | None = None) -> Iterator[Fetcher]:
        if self._fetcher is not None:
            raise RuntimeError("a stream is read once; make a new one with client.sessions()")
        self._service.check()
        count = len(self._query.ranges)
        with self._service.reporter.operation(
            "stream", detail=f"{count:,} target{'' if count == 1 else 's'}"
        ) as stream:
            fetcher = self._fetcher = self._new_fetcher(stream.id, read_columns)
            self._service.opened(fetcher)
            try:
                yield fetcher
            finally:
                fetcher.stop()
                stream.note(sessions=self.account.sessions)

    def _new_fetcher(self, stream_id: int | None, read_columns: ReadColumns | None) -> Fetcher:
        query, service = self._query, self._service
        now_s = asyncio.get_running_loop().time()
        reader = ChunkReader(
            service.caller,
            service.base_url,
            query.state,
            truncation=service.truncation,
            reporter=service.reporter,
            cost=self.account.cost,
            deadline_at=None if query.deadline is None else now_s + query.deadline.total_seconds(),
            stream_id=stream_id,
            read_columns=read_columns,
        )
        in_order = query.order == "start"
        concurrency = service.limits.concurrency
        plan = Plan(
            self.progress.remaining(query.ranges),
            # There are few active sessions in any time range: one chunk for each target is enough.
            target_sessions=None if query.state == "active" or query.at_once else service.limits.target_sessions,
            now_ms=int(time.time() * 1000),
            per_target=max(1, concurrency // len(query.ranges)) if in_order else None,
            more=concurrency,
            seen_of=query.seen_of,
        )

        def tell_split(error: SmappeeError) -> None:
            service.reporter.tell(
                ClientEvent(kind="chunk_split", parent_id=stream_id, facts=error.facts, detail=error.reason)
            )

        return Fetcher(
            plan,
            reader.read,
            truncation=service.truncation,
            account=self.account,
            concurrency=concurrency,
            on_error=query.on_error,
            in_order=in_order,
            on_split=tell_split,
        )

    async def aclose(self) -> None:
        """Stop reading."""
        if self._fetcher is not None:
            await self._fetcher.aclose()


class _Chunks(Opaque, msgspec.Struct, eq=False):
    """The chunks of one target by time, as a source of :func:`merge_by_start`."""

    _fetcher: Fetcher
    _target: Target

    def earliest_ms(self) -> int | None:
        return self._fetcher.earliest_ms(self._target)

    async def following(self) -> Sequence[FetchedChunk]:
        fetched = await self._fetcher.take_next_of(self._target)
        return () if fetched is None else (fetched,)


class _Sessions(Opaque, msgspec.Struct, eq=False):
    """The sessions of one target by start. A chunk was handed over when the source is asked for what follows."""

    _chunks: _Chunks
    _sorted: Callable[[FetchedChunk], Awaitable[list[ChargingSession]]]
    _handed_over: Callable[[FetchedChunk], None]
    _current: FetchedChunk | None = None

    def earliest_ms(self) -> int | None:
        # Called when all sessions of the current chunk were handed over.
        if self._current is not None:
            self._handed_over(self._current)
            self._current = None
        return self._chunks.earliest_ms()

    async def following(self) -> Sequence[ChargingSession]:
        for fetched in await self._chunks.following():
            self._current = fetched
            return await self._sorted(fetched)
        return ()
