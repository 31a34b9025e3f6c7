"""Brings a copy up to date: visits parks, several at once, and writes what each visit found in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

import attrs

from smappee_async.client import SmappeeClient
from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import RequestError, SmappeeError, without_frames
from smappee_async.models import ChargingSession
from smappee_async.query.session_query import Park, SessionQuery
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import ParkFailure, SyncReport
from smappee_async.sync.source import ClientSource, Reading, Source
from smappee_async.sync.state import Backfill, ParkState
from smappee_async.sync.stores import open_store
from smappee_async.sync.stores.base import Commit, Saved, SyncStore
from smappee_async.sync.tiers import DEFAULT_TIERS, Tier, check_tiers
from smappee_async.sync.visit import MARGIN_MS, Found, Outcome, last_reads_ms, reconcile, to_ask_for, window
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
    to: str | SyncStore,
    since: datetime,
    tiers: Sequence[Tier] = DEFAULT_TIERS,
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
    :param to: where the copy is: ``"sqlite:///sessions.db"``, or an open store.
    :param since: where the copy of a park begins that it does not have yet. The parks that it has keep their beginning.
    :param tiers: how often sessions of which age are read again.
    :param on_progress: called when a park is done, and now and then during a long first reading.
    :raises ConfigurationError: an argument cannot work.
    :raises SyncStoreError: the store failed.
    :raises SmappeeError: an error that concerns every park, such as refused credentials.
    """
    begin = TimeRange.since(since)
    numbers = [target.service_location_id for target in SessionQuery.parks(parks, begin).ranges]
    checked = check_tiers(tuple(tiers))
    async with open_store(to) as store:
        run = _Run(ClientSource(client), store, begin.start_ms, checked, on_progress)
        return await run.visit_all([number for number in numbers if number is not None])


class _Run:
    """One sync."""

    def __init__(
        self,
        source: Source,
        store: SyncStore,
        since_ms: int,
        tiers: tuple[Tier, ...],
        on_progress: Callable[[SyncProgress], None] | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._since_ms = since_ms
        self._tiers = tiers
        self._on_progress = on_progress
        self._report = SyncReport()
        self._done = self._of_parks = self._sessions = 0

    async def visit_all(self, parks: Collection[int]) -> SyncReport:
        """Visit each park, several at once."""
        self._of_parks = len(parks)
        waiting = iter(parks)

        async def work() -> None:
            for park in waiting:
                try:
                    await self._visit(park)
                except RequestError as error:
                    failure = ParkFailure(service_location_id=park, error=without_frames(error))
                    self._report += SyncReport(failures=(failure,))
                self._done += 1
                self._tell()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_PARKS_AT_ONCE, len(parks))):
                    group.create_task(work(), name="smappee sync")
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return self._report

    async def _visit(self, park: int) -> None:
        saved = await self._store.load(park)
        state = ParkState(self._since_ms) if saved.state is None else ParkState.from_json(saved.state)
        active = await self._source.read(park, TimeRange.from_ms(state.since_ms), "active")
        if saved.state is not None and state.backfill is None:
            await self._revisit(park, saved, state, active)
        elif await self._backfill(park, saved, state, active) and saved.state is not None:
            # What ran or changed while the first reading was interrupted was read too early.
            await self._visit(park)

    # --- the first reading --------------------------------------------------------------------------------------------

    async def _backfill(self, park: int, saved: Saved, state: ParkState, active: Reading) -> bool:
        """Read a park for the first time, or go on with it: each batch is written with how far it came.

        :return: whether it is complete.
        """
        backfill = state.backfill or Backfill(began_ms=active.asked_ms)
        # Ids that ran before and do not now are found by the next visit.
        running = state.open | {session.id: session.from_ms for session in active.sessions}
        state = attrs.evolve(state, backfill=backfill, open=running)
        generation: int | None = saved.generation
        generation = await self._write_read(park, generation, state, active)
        steps = self._source.backfill(park, TimeRange.from_ms(state.since_ms), backfill.read)
        async with aclosing(steps):
            async for reading in steps:
                if generation is None:
                    return False
                state = attrs.evolve(state, backfill=attrs.evolve(backfill, read=list(reading.read)))
                generation = await self._write_read(park, generation, state, reading)
        done = attrs.evolve(state, backfill=None, tiers_ms=[backfill.began_ms] * len(self._tiers))
        if generation is None or not await self._commit(
            Commit(service_location_id=park, generation=generation, state=done.to_json())
        ):
            return False
        if saved.state is None:
            self._report += SyncReport(parks=1)
        return True

    async def _write_read(self, park: int, generation: int | None, state: ParkState, reading: Reading) -> int | None:
        """Write some sessions of a first reading; returns the generation after it, or ``None`` if it is not ours."""
        if generation is None:
            return None
        found = await self._found(reading, Reading(sessions=(), asked_ms=reading.asked_ms), [], begin_ms=0)
        known = await self._store.known(park, 0, 0, found.sessions)
        outcome = reconcile(park, state, known, attrs.evolve(found, is_whole=False))
        self._count_read(reading)
        commit = Commit(
            service_location_id=park,
            generation=generation,
            state=state.to_json(),
            changes=outcome.changes,
            is_logged=False,
        )
        if not await self._commit(commit, outcome):
            return None
        self._tell()
        return generation + 1

    # --- every further one --------------------------------------------------------------------------------------------

    async def _revisit(self, park: int, saved: Saved, state: ParkState, active: Reading) -> None:
        """Read what may have changed, and write what did."""
        now_ms = active.asked_ms
        asked = window(state, self._tiers, now_ms)
        completed = await self._source.read(park, TimeRange.from_ms(asked.start_ms), "completed")
        runs = [session.id for session in active.sessions]
        singles = to_ask_for(state, runs, asked.start_ms, now_ms)
        points = [await self._source.read(park, _around(start_ms), "completed") for start_ms in singles.values()]
        found = await self._found(active, completed, points, begin_ms=asked.start_ms, asked=frozenset(singles))
        ids = {*found.sessions, *state.open, *state.missing}
        known = await self._store.known(park, asked.start_ms, found.until_ms, ids)
        outcome = reconcile(park, state, known, found)
        last_ms = last_reads_ms(state, self._tiers)
        tiers_ms = [found.read_ms if number in asked.tiers else last for number, last in enumerate(last_ms)]
        new_state = attrs.evolve(outcome.state, tiers_ms=tiers_ms)
        for reading in (active, completed, *points):
            self._count_read(reading)
        commit = Commit(
            service_location_id=park,
            generation=saved.generation,
            state=new_state.to_json(),
            changes=outcome.changes,
        )
        if await self._commit(commit, outcome):
            self._report += SyncReport(parks=1)

    async def _found(
        self,
        active: Reading,
        completed: Reading,
        points: Sequence[Reading],
        *,
        begin_ms: int,
        asked: frozenset[int] = frozenset(),
    ) -> Found:
        """All that was read, each session once: where it is both active and completed, as the completed one."""
        sessions: dict[int, tuple[ChargingSession, bytes]] = {}
        for reading in (active, *points, completed):
            for first in range(0, len(reading.sessions), SLICE_SESSIONS):
                for session in reading.sessions[first : first + SLICE_SESSIONS]:
                    sessions[session.id] = (session, fingerprint(session))
                await asyncio.sleep(0)
        ended = {session.id for reading in (completed, *points) for session in reading.sessions}
        return Found(
            sessions=sessions,
            active=frozenset(session.id for session in active.sessions if session.id not in ended),
            begin_ms=begin_ms,
            until_ms=completed.asked_ms,
            asked=asked,
            is_whole=not any(reading.invalid for reading in (active, completed, *points)),
            read_ms=completed.asked_ms,
        )

    async def _commit(self, commit: Commit, outcome: Outcome | None = None) -> bool:
        if not await self._store.commit(commit):
            self._report += SyncReport(superseded=1)
            return False
        if outcome is not None:
            self._report += _account(outcome)
        return True

    # --- the account --------------------------------------------------------------------------------------------------

    def _count_read(self, reading: Reading) -> None:
        self._sessions += len(reading.sessions)
        self._report += SyncReport(requests=reading.requests, invalid=tuple(reading.invalid))

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(SyncProgress(parks=self._done, of_parks=self._of_parks, sessions=self._sessions))


def _around(start_ms: int) -> TimeRange:
    """The range in which one session is asked for: its start may have been corrected."""
    return TimeRange.from_ms(max(0, start_ms - MARGIN_MS), start_ms + MARGIN_MS)


def _account(outcome: Outcome) -> SyncReport:
    kinds = [change.kind for change in outcome.changes if not change.is_new]
    return SyncReport(
        new=len(outcome.changes) - len(kinds),
        changed=sum(kind in ("updated", "ended", "corrected") for kind in kinds),
        ended=kinds.count("ended"),
        vanished=kinds.count("vanished"),
        returned=kinds.count("returned"),
        unchanged=outcome.unchanged,
    )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended all tasks; one of the SDK before a cancellation."""
    found = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((error for error in found if isinstance(error, SmappeeError)), found[0])
