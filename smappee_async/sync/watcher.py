"""Watches sessions as they start, change and end."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

import anyio
import attrs

from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, RequestError, SmappeeError, without_frames
from smappee_async.query.session_query import Park
from smappee_async.rfid import RfidChoice, check_rfid
from smappee_async.sync.events import SessionEvent
from smappee_async.sync.run import first_error, park_numbers
from smappee_async.sync.source import ClientSource, Source
from smappee_async.sync.stores import open_store
from smappee_async.sync.stores.base import SyncStore
from smappee_async.sync.stores.memory import MemoryStore
from smappee_async.sync.tiers import Tier, check_tiers
from smappee_async.sync.visitor import ParkVisitor
from smappee_async.timerange import TimeRange

#: The sessions that run are asked for at each visit; those that started lately, and those that changed later, seldom.
WATCH_TIERS: Final[tuple[Tier, ...]] = (
    Tier(age=timedelta(days=2), every=timedelta(minutes=15)),
    Tier(age=timedelta(days=14), every=timedelta(days=1)),
    Tier(age=timedelta(days=90), every=timedelta(days=7)),
    Tier(age=timedelta(days=400), every=timedelta(days=30)),
)
#: A session that ended is read again so many seconds later, because its energy settles.
SETTLE_AFTER_S: Final = (30.0, 120.0, 300.0)
_VISITS_AT_ONCE: Final = 16
_EVENTS_AT_ONCE: Final = 200
#: Without a database, visits wait while a consumer has so many events left.
_MOST_WAITING: Final = 10_000
#: A clock of the service that was wrong may be set back by so much.
_CLOCK_ERROR: Final = timedelta(days=2)


def watch(
    client: SmappeeClient,
    parks: Park | Iterable[Park],
    *,
    every: timedelta = timedelta(minutes=1),
    idle_every: timedelta = timedelta(minutes=5),
    to: str | SyncStore | None = None,
    since: datetime | None = None,
    consumer: str = "watch",
    tiers: Sequence[Tier] = WATCH_TIERS,
    rfid: RfidChoice = "keep",
) -> SessionWatch:
    """Watch the sessions of some parks: what starts, changes, ends, is corrected, vanishes and returns.

    ::

        async with watch(smappee, parks, to="sqlite:///sessions.db", since=start) as events:
            async for event in events:
                match event:
                    case Ended(after=session): print(session.id, session.energy_kwh)

    The watch keeps a copy, as :func:`sync` does, and hands out its events. With ``to`` they are numbered in the
    transaction that writes the copy: after a restart the consumer goes on with the first event that it did not ask
    the next one after; none is skipped, and at most that one comes twice. Without ``to`` the copy is in memory, and a
    restart begins anew, with a ``Started`` for each session that runs.

    A session that ended is read again after 30 seconds, 2 and 5 minutes, because its energy settles. The requests of
    all parks together keep to ``Limits.rate``; if that is too slow for the intervals, each park waits
    equally longer.

    :param every: how often a park is visited that has a session that runs.
    :param idle_every: how often the other parks are visited.
    :param to: where the copy is: a URL as for :func:`sync`, an open store, or ``None`` for memory.
    :param since: where the copy of a park begins that it does not have yet; needed with ``to``.
    :param consumer: the name under which the copy remembers how far this program has come.
    :param tiers: how often completed sessions of which age are read again.
    :param rfid: as for :func:`sync`.
    :raises ConfigurationError: an argument cannot work.
    """
    if not timedelta(0) < every <= idle_every:
        raise ConfigurationError(
            f"a watch needs 0 < every <= idle_every, not {every} and {idle_every}",
            advice="Use every=timedelta(minutes=1), idle_every=timedelta(minutes=5)",
        )
    if to is not None and since is None:
        raise ConfigurationError("where does the copy begin?", advice="Give since=, as for sync()")
    return SessionWatch(
        ClientSource(client),
        park_numbers(parks),
        every_s=every.total_seconds(),
        idle_every_s=idle_every.total_seconds(),
        to=to,
        since_ms=None if since is None else TimeRange.since(since).start_ms,
        consumer=consumer,
        tiers=check_tiers(tuple(tiers)),
        rfid=check_rfid(rfid),
    )


class SessionWatch:
    """The events of a watch, for one consumer. Made by :func:`watch`; used with ``async with`` and ``async for``."""

    def __init__(
        self,
        source: Source,
        parks: Sequence[int],
        *,
        every_s: float,
        idle_every_s: float,
        to: str | SyncStore | None,
        since_ms: int | None,
        consumer: str,
        tiers: tuple[Tier, ...],
        rfid: RfidChoice = "keep",
    ) -> None:
        self._source = source
        self._parks = parks
        self._every_s = every_s
        self._idle_every_s = idle_every_s
        self._to = MemoryStore(forget_after=tiers[-1].age + _CLOCK_ERROR) if to is None else to
        self._since_ms = since_ms
        self._consumer = consumer
        self._tiers = tiers
        self._rfid: RfidChoice = rfid
        self._failures: dict[int, SmappeeError] = {}
        self._error: BaseException | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._last_taken = 0
        self._exit = AsyncExitStack()
        self._events: deque[SessionEvent] = deque()
        self._handed_out: int | None = None
        self._scheduler: asyncio.Task[None] | None = None

    @property
    def failures(self) -> Mapping[int, SmappeeError]:
        """The parks that could not be read when they were visited last, with the error. They are visited again."""
        return dict(self._failures)

    # --- for the consumer ---------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionEvent:
        """The next event.

        :raises SmappeeError: an error that concerns every park, or the store.
        """
        if self._scheduler is None:
            raise RuntimeError("use the watch with 'async with'")
        if self._handed_out is not None:
            # It is done with an event when it asks for the next one.
            await self._store.acknowledge(self._consumer, self._handed_out)
            self._handed_out = None
        while not self._events:
            self._changed.clear()
            self._events.extend(await self._store.events(self._last_taken, limit=_EVENTS_AT_ONCE))
            if not self._events:
                if self._error is not None:
                    raise self._error
                # Another process may write to the same copy, which is noticed after a while.
                await _wait(self._changed, None if self._is_in_memory else self._every_s)
        event = self._events.popleft()
        self._last_taken = self._handed_out = event.number
        self._taken.set()
        return event

    # --- visits -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._store = await self._exit.enter_async_context(open_store(self._to))
        self._is_in_memory = isinstance(self._store, MemoryStore)
        try:
            self._last_taken = await self._store.position(self._consumer)
        except BaseException:
            await self._exit.aclose()
            raise
        self._scheduler = asyncio.create_task(self._schedule(), name="smappee watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Shielded, so that no task is left when the consumer itself is cancelled.
        with anyio.CancelScope(shield=True):
            if self._scheduler is not None:
                self._scheduler.cancel()
                await asyncio.wait([self._scheduler])
                self._scheduler = None
            await self._exit.aclose()

    async def _schedule(self) -> None:
        """Visit each park when it is due, several at once, the one that is due first before the others."""
        loop = asyncio.get_running_loop()
        visitor = ParkVisitor(self._source, self._store, since_ms=self._since_ms, tiers=self._tiers, rfid=self._rfid)
        due = [(loop.time(), number) for number in self._parks]
        settling: dict[int, list[_Settling]] = {}
        wake, running = asyncio.Event(), 0

        async def visit(number: int) -> None:
            nonlocal running
            next_at = await self._visit(visitor, number, settling)
            heapq.heappush(due, (next_at, number))
            running -= 1
            wake.set()

        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    wake.clear()
                    while running < _VISITS_AT_ONCE and due and due[0][0] <= loop.time():
                        running += 1
                        group.create_task(visit(heapq.heappop(due)[1]), name="smappee watch")
                    has_room = running < _VISITS_AT_ONCE and due
                    await _wait(wake, due[0][0] - loop.time() if has_room else None)
                    await self._wait_for_the_consumer()
        except BaseExceptionGroup as errors:
            # Whatever it is, the consumer gets it.
            error = first_error(errors)
            self._error = without_frames(error) if isinstance(error, SmappeeError) else error
            self._changed.set()

    async def _visit(self, visitor: ParkVisitor, number: int, settling: dict[int, list[_Settling]]) -> float:
        """Visit a park; returns when it is visited next, as a time of the loop."""
        loop = asyncio.get_running_loop()
        waiting = settling.get(number, [])
        again = {each.id: each.start_ms for each in waiting if each.due_at <= loop.time()}
        try:
            visited = await visitor.visit(number, again)
        except RequestError as error:
            self._failures[number] = without_frames(error)
            return loop.time() + self._idle_every_s
        self._failures.pop(number, None)
        if visited.report.new + visited.report.changed + visited.report.vanished + visited.report.returned:
            self._changed.set()
        now = loop.time()
        waiting = [each for each in waiting if each.due_at > now or each.id not in again]
        waiting += [
            _Settling(now + after_s, id_, start_ms)
            for id_, start_ms in visited.ended.items()
            for after_s in SETTLE_AFTER_S
        ]
        settling[number] = waiting
        if not waiting:
            del settling[number]
        interval_s = self._every_s if visited.open else self._idle_every_s
        return min([now + interval_s, *(each.due_at for each in waiting)])

    async def _wait_for_the_consumer(self) -> None:
        """A copy in memory does not grow without bound while nobody takes its events."""
        while self._is_in_memory and await self._store.last_event() - self._last_taken > _MOST_WAITING:
            self._taken.clear()
            await self._taken.wait()


@attrs.frozen
class _Settling:
    """A session that ended and is read again: when, as a time of the loop, its id and its start."""

    due_at: float
    id: int
    start_ms: int


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    """Wait for an event, or for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
