"""The stream that a query hands out: sessions, or whole batches, with an account and a checkpoint."""

from __future__ import annotations

import asyncio
import heapq
import operator
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import anyio
import attrs

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import SmappeeError
from smappee_async.events import ClientEvent, OnEvent, tell
from smappee_async.limits import Limits
from smappee_async.models import (
    ChargingSession,
    ChunkFailure,
    InvalidRecord,
    SessionBatch,
    StreamStats,
)
from smappee_async.query.checkpoint import Checkpoint, Progress
from smappee_async.query.fetch import Fetched, Fetcher
from smappee_async.query.plan import Plan, Target
from smappee_async.query.read_chunk import ChunkReader
from smappee_async.query.select import StreamAccount, select_sessions
from smappee_async.query.session_query import SessionQuery
from smappee_async.query.truncation import TruncationCheck
from smappee_async.transport.call import CallCost, Caller

#: What a response costs besides its sessions, in sessions.
_SMALL_RESPONSE = 50
_BY_START = operator.attrgetter("from_ms", "id")


@attrs.frozen(kw_only=True)
class Service:
    """What a stream asks: an open client's side of it.

    :param check: raises :class:`ClientClosed` unless the client can be used from here and now.
    :param opened: told of each fetcher, so that closing the client ends it.
    """

    caller: Caller
    base_url: str
    limits: Limits
    truncation: TruncationCheck
    verifying: anyio.Lock
    on_event: OnEvent | None
    check: Callable[[], None]
    opened: Callable[[Fetcher], None]


class SessionStream:
    """Charging sessions, read as they are consumed. Made by :meth:`SmappeeClient.sessions`.

    ::

        async for session in stream: ...

        async with stream:                      # leaves nothing behind, however the block ends
            async for batch in stream.batches(): ...

    A stream is read once, by one task, either by session or by batch. It ends normally only if every range was read
    whole, or is listed in :attr:`failures`.
    """

    def __init__(self, query: SessionQuery, service: Service) -> None:
        self._reader = _Reader(query, service)
        self._by_start = query.order == "start"
        self._sessions: AsyncGenerator[ChargingSession, None] | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ChargingSession]:
        # The generator itself, for it costs least per session. It does not refer back to the stream, so that a broken
        # off 'async for' over a stream that nobody else knows lets go of everything at once.
        if self._sessions is None:
            self._sessions = self._reader.by_start() if self._by_start else self._reader.by_arrival()
        return self._sessions

    def __anext__(self) -> Awaitable[ChargingSession]:
        return self.__aiter__().__anext__()

    def batches(self) -> AsyncIterator[SessionBatch]:
        """The same by whole batches: one park, or station, and one range of time each.

        A each without sessions comes as an empty batch: it says that it was read. With ``order="start"`` batches
        come by the start of their each, and sessions by start within each.
        """
        return self._reader.batches()

    async def collect(self) -> list[ChargingSession]:
        """All sessions as a list: for questions whose response is known to fit in memory."""
        async with self:
            return [session async for session in self]

    # --- the account --------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> StreamStats:
        """The account so far."""
        return self._reader.stats

    @property
    def failures(self) -> tuple[ChunkFailure, ...]:
        """The ranges that could not be read, with ``on_error="collect"``."""
        return self._reader.failures

    @property
    def invalid(self) -> tuple[InvalidRecord, ...]:
        """The records that could not be read, with ``on_invalid="collect"``."""
        return tuple(self._reader.account.invalid)

    def checkpoint(self) -> Checkpoint:
        """What has been handed over so far, as plain JSON; pass it as ``resume`` to go on from there.

        Read by batch, it includes the batch in hand: take it once that is saved. Read by session, it includes the
        ranges before the one in hand, so that going on may repeat sessions of that one but never skips any.
        """
        return self._reader.progress.to_json()

    # --- the end ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Stop reading: no task and no request of the stream is left when this returns. Closing twice is nothing."""
        if self._sessions is not None:
            await self._sessions.aclose()
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Reader:
    """The working side of a stream; knows nothing of the stream itself."""

    def __init__(self, query: SessionQuery, service: Service) -> None:
        self.account = StreamAccount()
        self.progress = Progress(query.state, query.resume)
        self._question = query
        self._service = service
        self._cost = CallCost()
        self._fetcher: Fetcher | None = None
        self._handed_over = 0
        self._in_hand: Iterator[ChargingSession] = iter(())

    async def by_arrival(self) -> AsyncGenerator[ChargingSession, None]:
        """Session by session, as they come."""
        fetcher = self._start()
        since_turn = 0
        try:
            while (fetched := await fetcher.take()) is not None:
                for sessions, _ in self._slices(fetched):
                    self._handed_over += len(sessions)
                    self._in_hand = iter(sessions)
                    for session in self._in_hand:
                        yield session
                    # Give way to the event loop now and then; not for each of many small responses.
                    since_turn += len(sessions) + _SMALL_RESPONSE
                    if since_turn >= SLICE_SESSIONS:
                        since_turn = 0
                        await asyncio.sleep(0)
                self._done_with(fetched)
        finally:
            fetcher.stop()

    async def by_start(self) -> AsyncGenerator[ChargingSession, None]:
        """Session by session over all targets, earliest start first, holding one chunk of each target."""
        fetcher = self._start()
        heads: list[_Head] = []
        try:
            for number, target in enumerate(self._question.targets):
                if await self._advance(head := _Head(number, target), fetcher):
                    heapq.heappush(heads, head)
            while heads:
                head = heads[0]
                self._handed_over += 1
                yield head.session
                if await self._advance(head, fetcher):
                    heapq.heapreplace(heads, head)
                else:
                    heapq.heappop(heads)
        finally:
            fetcher.stop()

    async def batches(self) -> AsyncGenerator[SessionBatch, None]:
        """Batch by batch."""
        fetcher = self._start()
        in_order = self._question.order == "start"
        take = _ByStart(fetcher, self._question.targets).take if in_order else fetcher.take
        try:
            while (fetched := await take()) is not None:
                parts = [(await self._sorted(fetched), True)] if in_order else self._slices(fetched)
                for sessions, is_last in parts:
                    self._handed_over += len(sessions)
                    if is_last:
                        self._done_with(fetched)
                    yield SessionBatch(
                        service_location_id=fetched.chunk.target.service_location_id,
                        serial_number=fetched.chunk.target.serial_number,
                        time_range=fetched.chunk.time_range,
                        sessions=tuple(sessions),
                        is_last=is_last,
                    )
                    await asyncio.sleep(0)
        finally:
            fetcher.stop()

    async def _advance(self, head: _Head, fetcher: Fetcher) -> bool:
        """Move to a target's next session; false when it has no more."""
        while (session := next(head.rest, None)) is None:
            if head.fetched is not None:
                self._done_with(head.fetched)
            head.fetched = await fetcher.take_next_of(head.target)
            if head.fetched is None:
                return False
            head.rest = iter(await self._sorted(head.fetched))
        head.session = session
        return True

    # --- chunks -------------------------------------------------------------------------------------------------------

    def _slices(self, fetched: Fetched) -> Iterator[tuple[list[ChargingSession], bool]]:
        """The sessions of one chunk, a slice at a time."""
        return select_sessions(
            fetched.chunk,
            fetched.responses,
            self._question.state,
            self.account,
            on_invalid=self._question.on_invalid,
            on_unknown_status=self._tell_unknown_status,
        )

    async def _sorted(self, fetched: Fetched) -> list[ChargingSession]:
        """The sessions of one chunk by start; the service's own order is not documented."""
        sessions: list[ChargingSession] = []
        for slice_, _ in self._slices(fetched):
            sessions += slice_
            await asyncio.sleep(0)
        sessions.sort(key=_BY_START)
        return sessions

    # --- the account --------------------------------------------------------------------------------------------------

    def _done_with(self, fetched: Fetched) -> None:
        self.progress.add(fetched.chunk.target, fetched.chunk.time_range)

    def _tell_unknown_status(self, status: str) -> None:
        tell(self._service.on_event, ClientEvent(kind="unknown_status", detail=status))

    @property
    def failures(self) -> tuple[ChunkFailure, ...]:
        return () if self._fetcher is None else tuple(self._fetcher.failures)

    @property
    def stats(self) -> StreamStats:
        account = self.account
        sessions = self._handed_over - operator.length_hint(self._in_hand)
        return StreamStats(
            # What was looked at, but waits to be handed over, does not count yet.
            received=account.received - (account.kept - sessions),
            sessions=sessions,
            filtered=account.filtered,
            duplicates=account.duplicates,
            invalid=len(account.invalid),
            unknown_statuses=sum(account.unknown_statuses.values()),
            chunks=0 if self._fetcher is None else self._fetcher.chunks,
            requests=self._cost.requests,
            retries=self._cost.retries,
            bytes=self._cost.bytes,
        )

    # --- start and end ------------------------------------------------------------------------------------------------

    def _start(self) -> Fetcher:
        if self._fetcher is not None:
            raise RuntimeError("a stream is read once; ask for a new one with client.sessions()")
        query, service = self._question, self._service
        service.check()
        now_s = asyncio.get_running_loop().time()
        deadline_at = None if query.deadline is None else now_s + query.deadline.total_seconds()
        reader = ChunkReader(
            service.caller,
            service.base_url,
            query.state,
            service.truncation,
            service.verifying,
            self._cost,
            deadline_at,
        )
        in_order = query.order == "start"
        concurrency = service.limits.concurrency
        plan = Plan(
            self.progress.left(query.targets, query.time_range),
            # Active sessions are few, however long the range: one query a park is enough.
            target_sessions=None if query.state == "active" else service.limits.target_sessions,
            now_ms=int(time.time() * 1000),
            per_target=max(1, concurrency // len(query.targets)) if in_order else None,
        )
        self._fetcher = Fetcher(
            plan,
            reader.ask,
            truncation=service.truncation,
            concurrency=concurrency,
            on_error=query.on_error,
            in_order=in_order,
            on_cut=self._tell_cut,
        )
        service.opened(self._fetcher)
        return self._fetcher

    def _tell_cut(self, error: SmappeeError) -> None:
        tell(self._service.on_event, ClientEvent(kind="chunk_split", facts=error.facts, detail=error.reason))

    async def aclose(self) -> None:
        if self._fetcher is not None:
            await self._fetcher.aclose()


class _Head:
    """The next session of one target, for merging by start."""

    __slots__ = ("fetched", "number", "rest", "session", "target")

    session: ChargingSession

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.fetched: Fetched | None = None
        self.rest: Iterator[ChargingSession] = iter(())

    def __lt__(self, other: _Head) -> bool:
        mine, theirs = self.session.from_ms, other.session.from_ms
        return mine < theirs or (mine == theirs and self.number < other.number)


class _ByStart:
    """Pieces of all targets by the start of their each, holding one of each."""

    def __init__(self, fetcher: Fetcher, targets: Sequence[Target]) -> None:
        self._fetcher = fetcher
        self._targets = targets
        self._owed = list(range(len(targets)))
        self._heads: list[tuple[int, int, Fetched]] = []

    async def take(self) -> Fetched | None:
        """The next; ``None`` at the end."""
        while self._owed:
            number = self._owed[-1]
            fetched = await self._fetcher.take_next_of(self._targets[number])
            self._owed.pop()
            if fetched is not None:
                heapq.heappush(self._heads, (fetched.chunk.time_range.start_ms, number, fetched))
        if not self._heads:
            return None
        _, number, fetched = heapq.heappop(self._heads)
        self._owed.append(number)
        return fetched
