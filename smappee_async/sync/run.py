"""Brings a copy up to date: visits parks, several at once, and writes what each visit found in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from smappee_async.client import SmappeeClient
from smappee_async.errors import RequestError, SmappeeError, without_frames
from smappee_async.query.session_query import Park, SessionQuery
from smappee_async.rfid import RfidChoice, check_rfid
from smappee_async.sync.report import ParkFailure, SyncReport
from smappee_async.sync.source import ClientSource, Reading, Source
from smappee_async.sync.stores import open_destination
from smappee_async.sync.stores.base import SyncStore, VisitStore
from smappee_async.sync.stores.callback import SaveCallback
from smappee_async.sync.tiers import DEFAULT_TIERS, Tier, check_tiers
from smappee_async.sync.visitor import ParkVisitor
from smappee_async.timerange import TimeRange

_PARKS_AT_ONCE: Final = 16


@attrs.frozen(kw_only=True)
class SyncProgress:
    """How far a sync has come.

    :param parks: parks that are done, those that failed included.
    :param of_parks: all parks.
    :param sessions: sessions that were read so far.
    """

    parks: int
    of_parks: int
    sessions: int


async def sync(
    client: SmappeeClient,
    parks: Park | Iterable[Park],
    *,
    to: str | SyncStore | SaveCallback,
    state: str | SyncStore | None = None,
    since: datetime,
    tiers: Sequence[Tier] = DEFAULT_TIERS,
    rfid: RfidChoice = "keep",
    on_progress: Callable[[SyncProgress], None] | None = None,
) -> SyncReport:
    """Bring a copy of the sessions of some parks up to date.

    The first sync of a park reads everything since ``since``; it may be interrupted, and the next one goes on where it
    was. Each further sync reads what may have changed. After a successful sync the copy holds each session in the
    version that the service listed when the tier of its age was last read, and each session that was seen running is
    asked for until it is seen completed. It rests on stable ids, and on each session being listed sooner or later.

    One park that cannot be read is in the report's ``failures``; the others, and its own part of the copy, are as they
    should be. Several syncs of one copy at once are safe: an older reading never replaces a newer one.

    :param parks: service location ids, or service locations.
    :param to: where the copy is: ``"sqlite:///sessions.db"``, ``"postgresql://…"`` (extra ``postgresql``), an open
        store, or a coroutine function that takes each :class:`Commit` and keeps its changes, at least once.
    :param state: with a coroutine function: where the rest is kept that a sync remembers, named as for ``to``.
    :param since: where the copy of a park begins that it does not have yet. The parks that it has keep their beginning.
    :param tiers: how often sessions of which age are read again.
    :param rfid: whether the copy keeps RFIDs as they are, a keyed hash of them, or none.
    :param on_progress: called when a park is done, and with each response.
    :raises ConfigurationError: an argument cannot work.
    :raises SyncStoreError: the store failed.
    :raises SmappeeError: an error that concerns every park, such as refused credentials.
    """
    opening = open_destination(to, state)
    del to, state  # a URL may contain a password, and an error would show this frame
    since_ms = TimeRange.since(since).start_ms
    numbers, checked = park_numbers(parks), check_tiers(tuple(tiers))
    check_rfid(rfid)
    async with opening as store:
        run = _Run(ClientSource(client), store, since_ms, checked, rfid=rfid, on_progress=on_progress)
        return await run.visit_all(numbers)


def park_numbers(parks: Park | Iterable[Park]) -> list[int]:
    """The service location ids, each once.

    :raises ConfigurationError: there is none, or one cannot be.
    """
    query = SessionQuery.parks(parks, TimeRange.from_ms(0))
    return [target.service_location_id for target in query.ranges if target.service_location_id is not None]


async def visit_parks(
    source: Source,
    store: VisitStore,
    parks: Collection[int],
    *,
    since_ms: int,
    tiers: tuple[Tier, ...],
    rfid: RfidChoice,
) -> SyncReport:
    """Visit each park once, several at once, as :func:`sync` does.

    :raises SmappeeError: an error that concerns every park.
    """
    return await _Run(source, store, since_ms, tiers, rfid=rfid).visit_all(parks)


class _Run:
    """One sync."""

    def __init__(
        self,
        source: Source,
        store: VisitStore,
        since_ms: int,
        tiers: tuple[Tier, ...],
        *,
        rfid: RfidChoice = "keep",
        on_progress: Callable[[SyncProgress], None] | None = None,
    ) -> None:
        self._visitor = ParkVisitor(source, store, since_ms=since_ms, tiers=tiers, rfid=rfid, on_read=self._count_read)
        self._on_progress = on_progress
        self._report = SyncReport()
        self._done = self._of_parks = self._sessions = 0

    async def visit_all(self, parks: Collection[int]) -> SyncReport:
        """Visit each park, several at once."""
        self._of_parks = len(parks)

        async def visit(park: int) -> None:
            try:
                visited = await self._visitor.visit(park)
                self._report += visited.report
            except RequestError as error:
                failure = ParkFailure(service_location_id=park, error=without_frames(error))
                self._report += SyncReport(failures=(failure,))
            self._done += 1
            self._tell()

        await each_of(parks, visit)
        return self._report

    def _count_read(self, reading: Reading) -> None:
        self._sessions += len(reading.sessions)
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(SyncProgress(parks=self._done, of_parks=self._of_parks, sessions=self._sessions))


async def each_of(parks: Collection[int], visit: Callable[[int], Awaitable[None]]) -> None:
    """Visit each park, several at once. An error ends all of it.

    :raises SmappeeError: the first error.
    """
    waiting = iter(parks)

    async def work() -> None:
        for park in waiting:
            await visit(park)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_PARKS_AT_ONCE, len(parks))):
                group.create_task(work(), name="smappee sync")
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended all tasks; one of the SDK before a cancellation."""
    found = [first_error(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((error for error in found if isinstance(error, SmappeeError)), found[0])
