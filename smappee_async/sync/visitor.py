"""Visits a park: reads what may have changed, and writes what did, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

import attrs

from smappee_async.models import SessionState
from smappee_async.rfid import RfidChoice, rfid_name
from smappee_async.sync.report import SyncReport
from smappee_async.sync.source import Reading, Source
from smappee_async.sync.state import Backfill, ParkState
from smappee_async.sync.steps import around, compare, cost, gather, without_others, write
from smappee_async.sync.stores.base import Commit, Saved, VisitStore
from smappee_async.sync.sweep import RECENT_MS, Sweep
from smappee_async.sync.tiers import Tier
from smappee_async.sync.visit import MARGIN_MS, covered, last_reads_ms, to_ask_for, window
from smappee_async.timerange import TimeRange

_NOTHING: Final[Mapping[int, int]] = {}
#: 2012-01-01: no session is older than the company.
EARLIEST_MS: Final = 1_325_376_000_000
_HISTORY_MS: Final = 2 * 86_400_000


@attrs.frozen(kw_only=True)
class Visited:
    """What a visit found.

    :param report: its account.
    :param open: how many sessions run.
    :param ended: the start of each session that was seen completed for the first time, by its id.
    """

    report: SyncReport
    open: int = 0
    ended: Mapping[int, int] = _NOTHING


class ParkVisitor:
    """Visits parks of one copy.

    :param since_ms: where the copy of a new park begins, milliseconds since 1970; ``None`` for two days before the
        first visit, by the clock of the service, and with every session that runs.
    :param on_read: called with each reading.
    """

    def __init__(
        self,
        source: Source,
        store: VisitStore,
        *,
        since_ms: int | None,
        tiers: tuple[Tier, ...],
        rfid: RfidChoice = "keep",
        on_read: Callable[[Reading], None] | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._since_ms = since_ms
        self._tiers = tiers
        self._rfid: RfidChoice = rfid
        self._on_read = on_read

    async def visit(self, park: int, again: Mapping[int, int] = _NOTHING) -> Visited:
        """Bring the copy of a park up to date.

        :param again: the start of each session that is read once more, by its id.
        :raises SmappeeError: the park could not be read, or the store failed.
        """
        saved = await self._store.load(park)
        known = None if saved.state is None else ParkState.from_json(saved.state)
        if known is not None:
            known.check_rfid(park, rfid_name(self._rfid))
        running_since_ms = self._since_ms if known is None else known.since_ms
        if self._since_ms is None:
            running_since_ms = EARLIEST_MS
        assert running_since_ms is not None
        active = await self._read(park, TimeRange.from_ms(running_since_ms), "active")
        state = known or ParkState(
            active.asked_ms - _HISTORY_MS if self._since_ms is None else self._since_ms, rfid=rfid_name(self._rfid)
        )
        if saved.state is not None and state.backfill is None:
            return await self._revisit(park, saved, state, active, again)
        report, is_complete = await self._backfill(park, saved, state, active)
        if is_complete and saved.state is not None:
            # What ran or changed while the first reading was interrupted was read too early.
            visited = await self.visit(park)
            return attrs.evolve(visited, report=report + visited.report)
        return Visited(report=report, open=len(active.sessions))

    # --- the first reading --------------------------------------------------------------------------------------------

    async def _backfill(self, park: int, saved: Saved, state: ParkState, active: Reading) -> tuple[SyncReport, bool]:
        """Read a park for the first time, or go on with it: each batch is written with how far it came.

        :return: the account, and whether the first reading is complete.
        """
        backfill = state.backfill or Backfill(began_ms=active.asked_ms)
        # Ids that ran before and do not now are found by the next visit.
        running = state.open | {session.id: session.from_ms for session in active.sessions}
        state = attrs.evolve(state, backfill=backfill, open=running)
        # What runs is news to a consumer of events; what ended long ago is not.
        written = await self._write_read(park, saved.generation, state, active, is_logged=True)
        report, is_ours = written, not written.superseded
        generation = saved.generation + 1
        steps = self._source.backfill(park, TimeRange.from_ms(state.since_ms), backfill.read)
        async with aclosing(steps):
            async for reading in steps:
                if not is_ours:
                    return report, False
                self._tell(reading)
                state = attrs.evolve(state, backfill=attrs.evolve(backfill, read=list(reading.read)))
                written = await self._write_read(park, generation, state, reading, is_logged=False)
                report, is_ours = report + written, not written.superseded
                generation += 1
        if not is_ours:
            return report, False
        done = attrs.evolve(state, backfill=None, tiers_ms=[backfill.began_ms] * len(self._tiers))
        written = await write(
            self._store, Commit(service_location_id=park, generation=generation, state=done.to_json())
        )
        if written.superseded:
            return report + written, False
        return report + SyncReport(parks=int(saved.state is None)), True

    async def _write_read(
        self, park: int, generation: int, state: ParkState, reading: Reading, *, is_logged: bool
    ) -> SyncReport:
        """Write some sessions of a first reading."""
        nothing = Reading(sessions=(), asked_ms=reading.asked_ms)
        # The running ones are read first, with the whole list of them; the others are completed ones.
        active, completed = (reading, nothing) if is_logged else (nothing, reading)
        found = await gather(active, completed, rfid=self._rfid)
        known = await self._store.known(park, 0, 0, found.sessions)
        outcome = await compare(park, state, known, attrs.evolve(found, is_whole=False))
        commit = Commit(
            service_location_id=park,
            generation=generation,
            state=state.to_json(),
            changes=outcome.changes,
            is_logged=is_logged,
        )
        return await write(self._store, commit, outcome) + cost([reading])

    # --- every further one --------------------------------------------------------------------------------------------

    async def _revisit(
        self, park: int, saved: Saved, state: ParkState, active: Reading, again: Mapping[int, int]
    ) -> Visited:
        """Read what may have changed, and write what did."""
        now_ms = active.asked_ms
        asked = window(state, self._tiers, now_ms)
        begin_ms = max(asked.start_ms, now_ms - RECENT_MS) if asked.is_due else now_ms
        if asked.is_due:
            completed = await self._read(park, TimeRange.from_ms(begin_ms), "completed")
        else:
            completed = Reading(sessions=(), asked_ms=now_ms)
        runs = [session.id for session in active.sessions]
        older = {number: start_ms for number, start_ms in again.items() if start_ms < begin_ms}
        singles = to_ask_for(state, runs, begin_ms, now_ms) | older
        points = [
            without_others(await self._read(park, each, "completed"), singles, state.since_ms)
            for each in around(singles.values())
        ]
        found = await gather(active, completed, points, begin_ms=begin_ms, asked=frozenset(singles), rfid=self._rfid)
        ids = {*found.sessions, *state.open, *state.missing}
        known = await self._store.known(park, begin_ms, found.until_ms, ids)
        outcome = await compare(park, state, known, found)
        last_ms = last_reads_ms(state, self._tiers)
        # Where nothing was due, only the sessions that run were read.
        read = covered(state, self._tiers, now_ms, begin_ms) if asked.is_due else frozenset[int]()
        new_state = attrs.evolve(
            outcome.state,
            tiers_ms=[found.read_ms if number in read else last for number, last in enumerate(last_ms)],
        )
        commit = Commit(
            service_location_id=park,
            generation=saved.generation,
            state=new_state.to_json(),
            changes=outcome.changes,
        )
        written = await write(self._store, commit, outcome)
        report = written + cost([active, completed, *points])
        if written.superseded:
            return Visited(report=report, open=len(found.active))
        if asked.is_due and begin_ms > asked.start_ms:
            sweep = Sweep(
                park=park,
                start_ms=min(asked.start_ms + MARGIN_MS, begin_ms),
                end_ms=begin_ms + MARGIN_MS,
                active=active,
                sessions=len(completed.sessions),
                tiers_ms=[found.read_ms if number in asked.tiers else last for number, last in enumerate(last_ms)],
                rfid=self._rfid,
            )
            report += await sweep.run(self._store, self._read, new_state, saved.generation + 1)
        ended = {
            change.id: change.after.from_ms
            for change in outcome.changes
            if change.kind == "ended" and change.after is not None
        }
        return Visited(report=report + SyncReport(parks=1), open=len(outcome.state.open), ended=ended)

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        reading = await self._source.read(park, time_range, state)
        self._tell(reading)
        return reading

    def _tell(self, reading: Reading) -> None:
        if self._on_read is not None:
            self._on_read(reading)
