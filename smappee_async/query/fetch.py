"""Reads the pieces of a plan, several at once, and holds what came until it is taken."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import anyio
import attrs
import msgspec

from smappee_async.defaults import CUTS_FOR_TIME
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
from smappee_async.query.ask import Asked
from smappee_async.query.cap import AnswerCap
from smappee_async.query.plan import Piece, Plan, Target
from smappee_async.query.question import OnError


@attrs.frozen
class Fetched:
    """A piece that was read whole, and its answers in the order in which they were asked for."""

    piece: Piece
    answers: Sequence[Sequence[msgspec.Raw]]


class Fetcher:
    """Asks for the pieces of a plan, at most ``concurrency`` at once.

    What is under way and what was read but not taken are twice as many at most: a slow consumer holds the requests
    back, and each answer that it takes lets one more be asked for. There are no idle tasks: each asks for piece after
    piece while there is room, and whatever makes room starts another.

    :param ask: reads one piece; raises a :class:`SmappeeError`.
    :param cap: what is known of a limit on the sessions in one answer.
    :param in_order: hand out each target's pieces by time, at most one held per target (a few more for few targets).
    :param on_cut: told why a piece is cut.
    """

    def __init__(
        self,
        plan: Plan,
        ask: Callable[[Piece], Awaitable[Asked]],
        *,
        cap: AnswerCap,
        concurrency: int,
        on_error: OnError,
        in_order: bool,
        on_cut: Callable[[SmappeeError], None],
    ) -> None:
        self.failures: list[ChunkFailure] = []
        self.ranges = 0
        self._plan = plan
        self._ask = ask
        self._cap = cap
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
        """The next piece of one target, by time; ``None`` when all of it has been read or given up.

        :raises SmappeeError: what ends the stream.
        """
        while True:
            self._check()
            ready = self._ready_of.setdefault(target, [])
            unread_ms = self._plan.earliest_unread_ms(target)
            if ready and (unread_ms is None or ready[0].piece.time_range.start_ms < unread_ms):
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
        self._plan.give_back(fetched.piece)
        self._start_more()
        return fetched

    async def _something_new(self) -> None:
        self._news.clear()
        await self._news.wait()

    # --- asking -------------------------------------------------------------------------------------------------------

    def _start_more(self) -> None:
        while (working := len(self._tasks)) < self._concurrency and (piece := self._next(working + 1)) is not None:
            self._tasks.add(asyncio.create_task(self._work(piece), name="smappee sessions"))

    def _next(self, working: int) -> Piece | None:
        """The next piece for one of so many tasks, if there is any to ask for now."""
        if self._stopped or self._error is not None:
            return None
        if not self._in_order and self._held + working > 2 * self._concurrency:
            return None
        return self._plan.next()

    async def _work(self, first: Piece) -> None:
        piece: Piece | None = first
        try:
            while piece is not None:
                await self._read(piece)
                self._news.set()
                piece = self._next(len(self._tasks))
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer is the one to be told
            self._end(error)
        finally:
            # The rest of this runs in one turn of the event loop, so whoever waits for no task waits for none.
            if (task := asyncio.current_task()) is not None:
                self._tasks.discard(task)
            self._start_more()
            self._news.set()

    async def _read(self, piece: Piece) -> None:
        try:
            asked = await self._ask(piece)
        except SmappeeError as error:
            failure = error
        else:
            self.ranges += 1
            if self._cuts_for_time:
                del self._cuts_for_time[piece.target]
            self._mind_the_cap()
            self._plan.read(piece, sessions=sum(map(len, asked.answers)), elapsed_s=asked.slowest_s)
            self._held += 1
            self._keep(Fetched(piece, asked.answers))
            return
        self._failed(piece, failure)

    def _mind_the_cap(self) -> None:
        if self._cap.found is not None and self._cap.found != self._aimed_below:
            self._aimed_below = self._cap.found
            self._plan.aim_below(self._cap.found)

    def _keep(self, fetched: Fetched) -> None:
        if not self._in_order:
            self._ready.append(fetched)
            return
        ready = self._ready_of.setdefault(fetched.piece.target, [])
        ready.append(fetched)
        ready.sort(key=lambda each: each.piece.time_range.start_ms)

    def _failed(self, piece: Piece, error: SmappeeError) -> None:
        if self._may_cut(piece, error) and self._plan.cut_shorter(piece):
            self._on_cut(error)
        elif self._on_error == "raise" or not isinstance(error, RequestError | DeadlineExceeded):
            # What concerns the account, the store or the client itself concerns every park.
            self._end(error)
        else:
            self._collect(piece, error)

    def _may_cut(self, piece: Piece, error: SmappeeError) -> bool:
        """Whether asking for less may help."""
        if isinstance(error, ResponseTooLarge):
            return True
        if not _took_too_long(error):
            return False
        self._cuts_for_time[piece.target] += 1
        return self._cuts_for_time[piece.target] <= CUTS_FOR_TIME

    def _collect(self, piece: Piece, error: SmappeeError) -> None:
        self._plan.give_up(piece)
        lost = [(piece.target, piece.time_range)]
        if isinstance(error, PermissionDenied | NotFound):
            # The park is not there for this account; asking for its other months tells nothing new.
            lost += [(piece.target, stretch) for stretch in self._plan.abandon(piece.target)]
        elif isinstance(error, DeadlineExceeded):
            lost += [(target, stretch) for target in self._plan.targets for stretch in self._plan.abandon(target)]
        self.failures += [
            ChunkFailure(
                service_location_id=target.service_location_id,
                serial_number=target.serial_number,
                time_range=stretch,
                error=error,
            )
            for target, stretch in lost
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
