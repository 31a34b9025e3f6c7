"""Reads the chunks of a plan, several at once, and holds what came until it is taken."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import anyio
import attrs
import msgspec

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
)
from smappee_async.models import ChunkFailure
from smappee_async.query.plan import Chunk, Plan, Target
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.session_query import OnError
from smappee_async.query.truncation import TruncationCheck


@attrs.frozen
class Fetched:
    """A chunk that was read whole, and its responses in the order in which they were asked for."""

    chunk: Chunk
    responses: Sequence[Sequence[msgspec.Raw]]


class Fetcher:
    """Asks for the chunks of a plan, at most ``concurrency`` at once.

    What is under way and what was read but not taken are twice as many at most: a slow consumer holds the requests
    back, and each response that it takes lets one more be asked for. There are no idle tasks: each asks for chunk after
    chunk while there is room, and whatever makes room starts another.

    :param ask: reads one chunk; raises a :class:`SmappeeError`.
    :param truncation: what is known of a limit on the sessions in one response.
    :param in_order: hand out each target's chunks by time, at most one held per target (a few more for few targets).
    :param on_cut: told why a chunk is cut.
    """

    def __init__(
        self,
        plan: Plan,
        ask: Callable[[Chunk], Awaitable[FetchedChunk]],
        *,
        truncation: TruncationCheck,
        concurrency: int,
        on_error: OnError,
        in_order: bool,
        on_cut: Callable[[SmappeeError], None],
    ) -> None:
        self.failures: list[ChunkFailure] = []
        self.chunks = 0
        self._plan = plan
        self._ask = ask
        self._truncation = truncation
        self._concurrency = concurrency
        self._on_error = on_error
        self._in_order = in_order
        self._on_cut = on_cut
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[Fetched] = deque()
        self._ready_of: dict[Target, list[Fetched]] = {}
        self._held = 0
        self._aimed_below: int | None = None
        self._cuts_for_time: Counter[Target] = Counter()
        self._error: BaseException | None = None
        self._stopped = False
        self._news = asyncio.Event()

    # --- for the consumer ---------------------------------------------------------------------------------------------

    async def take(self) -> Fetched | None:
        """What came first; ``None`` when all has been read or given up.

        :raises SmappeeError: what ends the stream.
        """
        while True:
            self._check()
            if self._ready:
                return self._give(self._ready.popleft())
            if self._plan.is_done:
                return None
            await self._something_new()

    async def take_next_of(self, target: Target) -> Fetched | None:
        """The next chunk of one target, by time; ``None`` when all of it has been read or given up.

        :raises SmappeeError: what ends the stream.
        """
        while True:
            self._check()
            ready = self._ready_of.setdefault(target, [])
            unread_ms = self._plan.earliest_unread_ms(target)
            if ready and (unread_ms is None or ready[0].chunk.time_range.start_ms < unread_ms):
                return self._give(ready.pop(0))
            if not ready and unread_ms is None:
                return None
            await self._something_new()

    def _check(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._stopped = True
            raise error
        self._start_more()

    def _give(self, fetched: Fetched) -> Fetched:
        self._held -= 1
        self._plan.give_back(fetched.chunk)
        self._start_more()
        return fetched

    async def _something_new(self) -> None:
        self._news.clear()
        await self._news.wait()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _start_more(self) -> None:
        while (working := len(self._tasks)) < self._concurrency and (chunk := self._next(working + 1)) is not None:
            self._tasks.add(asyncio.create_task(self._work(chunk), name="smappee sessions"))

    def _next(self, working: int) -> Chunk | None:
        """The next chunk for one of so many tasks, if there is any to ask for now."""
        if self._stopped or self._error is not None:
            return None
        if not self._in_order and self._held + working > 2 * self._concurrency:
            return None
        return self._plan.next()

    async def _work(self, first: Chunk) -> None:
        chunk: Chunk | None = first
        try:
            while chunk is not None:
                await self._read(chunk)
                self._news.set()
                chunk = self._next(len(self._tasks))
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer is the one to be told
            self._end(error)
        finally:
            # The rest of this runs in one turn of the event loop, so whoever waits for no task waits for none.
            if (task := asyncio.current_task()) is not None:
                self._tasks.discard(task)
            self._start_more()
            self._news.set()

    async def _read(self, chunk: Chunk) -> None:
        try:
            asked = await self._ask(chunk)
        except SmappeeError as error:
            failure = error
        else:
            self.chunks += 1
            if self._cuts_for_time:
                del self._cuts_for_time[chunk.target]
            self._mind_the_cap()
            self._plan.read(chunk, sessions=sum(map(len, asked.responses)), elapsed_s=asked.slowest_s)
            self._held += 1
            self._keep(Fetched(chunk, asked.responses))
            return
        self._failed(chunk, failure)

    def _mind_the_cap(self) -> None:
        if self._truncation.found is not None and self._truncation.found != self._aimed_below:
            self._aimed_below = self._truncation.found
            self._plan.aim_below(self._truncation.found)

    def _keep(self, fetched: Fetched) -> None:
        if not self._in_order:
            self._ready.append(fetched)
            return
        ready = self._ready_of.setdefault(fetched.chunk.target, [])
        ready.append(fetched)
        ready.sort(key=lambda each: each.chunk.time_range.start_ms)

    def _failed(self, chunk: Chunk, error: SmappeeError) -> None:
        if self._may_cut(chunk, error) and self._plan.cut_shorter(chunk):
            self._on_cut(error)
        elif self._on_error == "raise" or not isinstance(error, RequestError | DeadlineExceeded):
            # What concerns the account, the store or the client itself concerns every park.
            self._end(error)
        else:
            self._collect(chunk, error)

    def _may_cut(self, chunk: Chunk, error: SmappeeError) -> bool:
        """Whether asking for less may help."""
        if isinstance(error, ResponseTooLarge):
            return True
        if not _took_too_long(error):
            return False
        self._cuts_for_time[chunk.target] += 1
        return self._cuts_for_time[chunk.target] <= SPLITS_FOR_TIMEOUTS

    def _collect(self, chunk: Chunk, error: SmappeeError) -> None:
        self._plan.give_up(chunk)
        lost = [(chunk.target, chunk.time_range)]
        if isinstance(error, PermissionDenied | NotFound):
            # The park is not there for this account; asking for its other months tells nothing new.
            lost += [(chunk.target, each) for each in self._plan.abandon(chunk.target)]
        elif isinstance(error, DeadlineExceeded):
            lost += [(target, each) for target in self._plan.targets for each in self._plan.abandon(target)]
        self.failures += [
            ChunkFailure(
                service_location_id=target.service_location_id,
                serial_number=target.serial_number,
                time_range=each,
                error=error,
            )
            for target, each in lost
        ]

    # --- ending -------------------------------------------------------------------------------------------------------

    def stop(self, error: SmappeeError | None = None) -> None:
        """Ask nothing more; whoever takes next is told why, or that it is over."""
        self._stopped = True
        if error is not None and not self._plan.is_done:
            self._error = error
        for task in self._tasks:
            task.cancel()
        self._news.set()

    def _end(self, error: BaseException) -> None:
        if isinstance(error, SmappeeError):
            error.__traceback__ = None
        self._error = error
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def aclose(self) -> None:
        """Stop, and wait until every task has ended."""
        self.stop()
        if self._tasks:
            # Shielded, so that the consumer's own cancellation does not leave tasks behind.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._tasks)


def _took_too_long(error: SmappeeError) -> bool:
    if isinstance(error, ApiError):
        return error.facts.status in (HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT)
    return isinstance(error, TransportError) and error.timed_out
