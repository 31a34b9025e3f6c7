"""The steps that visits share: put together what was read, compare it with the copy, and write what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence

import attrs

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.models import ChargingSession
from smappee_async.rfid import RfidChoice, rfid_as
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import SyncReport
from smappee_async.sync.source import Reading
from smappee_async.sync.state import ParkState
from smappee_async.sync.stores.base import Commit, VisitStore
from smappee_async.sync.visit import MARGIN_MS, Found, Known, Outcome, reconciling
from smappee_async.timerange import TimeRange, merge


async def gather(
    active: Reading,
    completed: Reading,
    points: Sequence[Reading] = (),
    *,
    begin_ms: int = 0,
    until_ms: int | None = None,
    asked: frozenset[int] = frozenset(),
    rfid: RfidChoice,
) -> Found:
    """All that was read, each session once: where it is both active and completed, as the completed one."""
    sessions: dict[int, tuple[ChargingSession, bytes]] = {}
    for reading in (active, *points, completed):
        for first in range(0, len(reading.sessions), SLICE_SESSIONS):
            for read in reading.sessions[first : first + SLICE_SESSIONS]:
                session = with_rfid(read, rfid)
                sessions[session.id] = (session, fingerprint(session))
            await asyncio.sleep(0)
    ended = {session.id for reading in (completed, *points) for session in reading.sessions}
    return Found(
        sessions=sessions,
        active=frozenset(session.id for session in active.sessions if session.id not in ended),
        begin_ms=begin_ms,
        until_ms=completed.asked_ms if until_ms is None else until_ms,
        asked=asked,
        is_whole=not any(reading.invalid for reading in (active, completed, *points)),
        read_ms=active.asked_ms if until_ms is not None else completed.asked_ms,
    )


async def compare(park: int, state: ParkState, known: Mapping[int, Known], found: Found) -> Outcome:
    """See :func:`smappee_async.sync.visit.reconciling`; the event loop is not held for long."""
    steps = reconciling(park, state, known, found)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            outcome: Outcome = ended.value
            return outcome
        await asyncio.sleep(0)


async def write(store: VisitStore, commit: Commit, outcome: Outcome | None = None) -> SyncReport:
    """Write what a visit found; returns the account of it."""
    if not await store.commit(commit):
        return SyncReport(superseded=1)
    if outcome is None:
        return SyncReport()
    kinds = [change.kind for change in outcome.changes if not change.is_new]
    return SyncReport(
        new=len(outcome.changes) - len(kinds),
        changed=sum(kind in ("updated", "ended", "corrected") for kind in kinds),
        ended=kinds.count("ended"),
        vanished=kinds.count("vanished"),
        returned=kinds.count("returned"),
        unchanged=outcome.unchanged,
    )


def cost(readings: Sequence[Reading]) -> SyncReport:
    """The account of what was read."""
    return SyncReport(
        requests=sum(reading.requests for reading in readings),
        invalid=tuple(record for reading in readings for record in reading.invalid),
    )


def with_rfid(session: ChargingSession, choice: RfidChoice) -> ChargingSession:
    """The session as the copy holds it."""
    rfid = rfid_as(session.rfid, choice)
    return session if rfid == session.rfid else attrs.evolve(session, rfid=rfid)


def around(starts_ms: Iterable[int]) -> list[TimeRange]:
    """The ranges in which single sessions are asked for, by their starts, which may have been corrected."""
    return merge(TimeRange.from_ms(max(0, each - MARGIN_MS), each + MARGIN_MS) for each in starts_ms)


def without_others(reading: Reading, asked: Container[int], since_ms: int) -> Reading:
    """A point read without its neighbours from before the copy begins."""
    sessions = [each for each in reading.sessions if each.id in asked or each.from_ms >= since_ms]
    return attrs.evolve(reading, sessions=sessions)
