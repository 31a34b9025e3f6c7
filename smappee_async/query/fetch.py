"""Reads the chunks of a plan, several at once, and holds what was read until the consumer takes it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Final

import anyio

from smappee_async.defaults import SPLITS_FOR_TIMEOUTS
from smappee_async.errors import (
    ApiError,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RequestError,
    ResponseTooLarge,
    SmappeeError,
    TransportError,
    without_frames,
)
from smappee_async.models import ChunkFailure
from smappee_async.query.account import StreamAccount
from smappee_async.query.plan import Chunk, Plan
from smappee_async.query.read_chunk import FetchedChunk, ShortChunk
from smappee_async.query.session_query import OnError
from smappee_async.query.target import Target
from smappee_async.query.truncation import TruncationCheck
from smappee_async.timerange import TimeRange

#: So many targets are abandoned in one turn of the event loop.
_TARGETS_AT_ONCE: Final = 500


class Fetcher:
    """Reads the chunks of a plan, at most ``concurrency`` at once.

    Chunks in flight and chunks that wait for the consumer are at most twice as many: a slow consumer delays the
    requests, and each chunk that it takes allows one more. There are no idle tasks: a task reads chunk after chunk
    while that is allowed, and whatever allows more starts another task.

    :param read_chunk: reads one chunk; raises a :class:`SmappeeError`.
    :param truncation: what is known of silent limits on responses.
    :param account: counts chunks, and lists those that could not be read.
    :param in_order: hand out each target's chunks by time, at most one held per target (a few more for few targets).
    :param on_split: called with the reason when a chunk is split.
    """

    def __init__(
        self,
        plan: Plan,
        read_chunk: Callable[[Chunk], Awaitable[FetchedChunk]],
        *,
        truncation: TruncationCheck,
        account: StreamAccount,
        concurrency: int,
        on_error: OnError,
        in_order: bool,
        on_split: Callable[[SmappeeError], None],
    ) -> None:
        self._plan = plan
        self._read_chunk = read_chunk
        self._truncation = truncation
        self._account = account
        self._concurrency = concurrency
        self._on_error = on_error
        self._in_order = in_order
        self._on_split = on_split
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[FetchedChunk] = deque()
        self._ready_of: dict[Target, list[FetchedChunk]] = {}
        self._held = 0
        self._aimed_below: dict[Target, int] = {}
        self._asks_at_once = False
        self._abandoned: Iterator[tuple[Target, list[TimeRange]]] | None = None
        self._splits_for_timeouts: Counter[Target] = Counter()
        self._error: BaseException | None = None
        self._stopped = False
        self._changed = asyncio.Event()

    # --- for the consumer ---------------------------------------------------------------------------------------------

    async def take(self) -> FetchedChunk | None:
        """The chunk that was read first; ``None`` when all were taken or given up.

        :raises SmappeeError: what ends the stream.
        """
        while True:
            self._check()
            if self._ready:
                return self._hand_over(self._ready.popleft())
            if self._plan.is_done:
                return None
            await self._wait_for_change()

    def earliest_ms(self, target: Target) -> int | None:
        """Where the next chunk of a target starts, in milliseconds since 1970; ``None`` if there is none."""
        ready = self._ready_of.get(target)
        starts = (self._plan.earliest_unread_ms(target), ready[0].chunk.time_range.start_ms if ready else None)
        return min((start_ms for start_ms in starts if start_ms is not None), default=None)

    async def take_next_of(self, target: Target) -> FetchedChunk | None:
        """The next chunk of one target, by time; ``None`` when all of its chunks were taken or given up.

        :raises SmappeeError: what ends the stream.
        """
        has_waited = False
        while True:
            self._check()
            ready = self._ready_of.setdefault(target, [])
            unread_ms = self._plan.earliest_unread_ms(target)
            if ready and (unread_ms is None or ready[0].chunk.time_range.start_ms < unread_ms):
                return self._hand_over(ready.pop(0))
            if not ready and unread_ms is None:
                return None
            if not has_waited:
                has_waited = True
                self._plan.is_waited_for(target)
                continue
            await self._wait_for_change()

    def _check(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._stopped = True
            raise error
        self._start_more()

    def _hand_over(self, fetched: FetchedChunk) -> FetchedChunk:
        self._held -= 1
        if not self._is_given_back(fetched):
            self._plan.give_back(fetched.chunk)
        fetched.has_more = self._plan.has_more(fetched.chunk.target)
        self._start_more()
        return fetched

    def _is_given_back(self, fetched: FetchedChunk) -> bool:
        """Whether a chunk keeps no place while it waits for the consumer, because it holds nothing."""
        return self._in_order and not any(fetched.responses)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _start_more(self) -> None:
        while (working := len(self._tasks)) < self._concurrency and (chunk := self._next(working + 1)) is not None:
            self._tasks.add(asyncio.create_task(self._work(chunk), name="smappee sessions"))

    def _next(self, working: int) -> Chunk | None:
        """The next chunk for one of so many tasks, if one may be read now."""
        if self._stopped or self._error is not None:
            return None
        if not self._in_order and self._held + working > 2 * self._concurrency:
            return None
        return self._plan.next()

    async def _work(self, first: Chunk) -> None:
        chunk: Chunk | None = first
        try:
            while chunk is not None:
                await self._fetch(chunk)
                self._changed.set()
                chunk = self._next(len(self._tasks))
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer gets it
            self._end(error)
        finally:
            # This runs without an await: when the task is removed, it has really ended.
            if (task := asyncio.current_task()) is not None:
                self._tasks.discard(task)
            self._start_more()
            self._changed.set()

    async def _fetch(self, chunk: Chunk) -> None:
        try:
            fetched = await self._read_chunk(chunk)
        except SmappeeError as error:
            failure = error
        else:
            self._account.chunks += 1
            if self._splits_for_timeouts:
                del self._splits_for_timeouts[chunk.target]
            self._follow_what_is_known(chunk.target)
            self._plan.mark_read(chunk, sessions=sum(map(len, fetched.responses)), elapsed_s=fetched.slowest_s)
            self._held += 1
            self._keep(fetched)
            if self._is_given_back(fetched):
                self._plan.give_back(chunk)
            for short in fetched.short:
                self._turned_out_short(short)
            return
        await self._failed(chunk, failure)

    def _follow_what_is_known(self, target: Target) -> None:
        limit = self._truncation.limit_of(target)
        if limit is not None and limit != self._aimed_below.get(target):
            self._aimed_below[target] = limit
            self._plan.aim_below(limit, target)
        if self._truncation.end_is_ignored and not self._asks_at_once:
            self._asks_at_once = True
            self._plan.ask_at_once()

    def _turned_out_short(self, short: ShortChunk) -> None:
        if self._on_error == "raise":
            self._end(short.error)
        else:
            self._account.failures.append(_failure(short.chunk.target, short.chunk.time_range, short.error))

    def _keep(self, fetched: FetchedChunk) -> None:
        if not self._in_order:
            self._ready.append(fetched)
            return
        ready = self._ready_of.setdefault(fetched.chunk.target, [])
        ready.append(fetched)
        ready.sort(key=lambda each: each.chunk.time_range.start_ms)

    async def _failed(self, chunk: Chunk, error: SmappeeError) -> None:
        if self._may_split(chunk, error) and self._plan.split(chunk):
            self._on_split(error)
        elif self._on_error == "raise" or not isinstance(error, RequestError | DeadlineExceeded):
            # An error of the account, the token store or the client concerns every chunk.
            self._end(error)
        else:
            await self._collect(chunk, error)

    def _may_split(self, chunk: Chunk, error: SmappeeError) -> bool:
        """Whether shorter chunks may help."""
        if isinstance(error, ResponseTooLarge):
            return True
        if not _took_too_long(error):
            return False
        self._splits_for_timeouts[chunk.target] += 1
        return self._splits_for_timeouts[chunk.target] <= SPLITS_FOR_TIMEOUTS

    async def _collect(self, chunk: Chunk, error: RequestError | DeadlineExceeded) -> None:
        self._plan.give_up(chunk)
        unread = [chunk.time_range]
        if isinstance(error, PermissionDenied | NotFound):
            # The account does not see this park, so its other chunks would fail in the same way.
            unread += self._plan.abandon(chunk.target)
        self._account.failures += [_failure(chunk.target, each, error) for each in unread]
        if isinstance(error, DeadlineExceeded):
            await self._abandon_all(error)

    async def _abandon_all(self, error: DeadlineExceeded) -> None:
        # All chunks in flight fail at the deadline: they share the iterator, so that each target is abandoned once.
        if self._abandoned is None:
            self._abandoned = self._plan.abandon_all()
        while some := list(islice(self._abandoned, _TARGETS_AT_ONCE)):
            self._account.failures += [_failure(target, each, error) for target, unread in some for each in unread]
            await asyncio.sleep(0)

    # --- ending -------------------------------------------------------------------------------------------------------

    def stop(self, error: SmappeeError | None = None) -> None:
        """Read nothing more. The next ``take`` raises the error, or gives ``None``."""
        self._stopped = True
        if error is not None and not self._plan.is_done:
            self._error = error
        for task in self._tasks:
            task.cancel()
        self._changed.set()

    def _end(self, error: BaseException) -> None:
        if isinstance(error, SmappeeError):
            without_frames(error)
        if self._error is None:  # the first one is the cause
            self._error = error
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def aclose(self) -> None:
        """Stop, and wait until all tasks have ended."""
        self.stop()
        if self._tasks:
            # Shielded, so that no task is left when the consumer itself is cancelled.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._tasks)


def _failure(target: Target, time_range: TimeRange, error: SmappeeError) -> ChunkFailure:
    return ChunkFailure(
        service_location_id=target.service_location_id,
        serial_number=target.serial_number,
        time_range=time_range,
        error=error,
    )


def _took_too_long(error: SmappeeError) -> bool:
    if isinstance(error, ApiError):
        return error.facts.status in (HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT)
    return isinstance(error, TransportError) and error.timed_out
