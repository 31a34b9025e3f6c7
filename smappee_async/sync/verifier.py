"""Reads a month whole, compares the copy with it, and remembers what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Final

import attrs

from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, RequestError, without_frames
from smappee_async.query.session_query import Park
from smappee_async.rfid import RfidChoice, check_rfid, rfid_name
from smappee_async.sync.events import SessionEvent
from smappee_async.sync.report import ParkFailure
from smappee_async.sync.run import SyncProgress, each_of, park_numbers
from smappee_async.sync.source import ClientSource, Source
from smappee_async.sync.state import ParkState
from smappee_async.sync.steps import compare, cost, gather, write
from smappee_async.sync.stores import open_store
from smappee_async.sync.stores.base import Commit, SyncStore, VerifiedMonth
from smappee_async.sync.visit import MARGIN_MS, Found
from smappee_async.timerange import TimeRange, from_ms

_EVENTS_AT_ONCE: Final = 1000
_DIGEST_BYTES: Final = 16


@attrs.frozen(kw_only=True)
class ParkVerification:
    """One month of one park.

    :param sessions: how many sessions the service lists that started in the month.
    :param digest: a hash over their ids and what they are; the same if nothing differs.
    :param is_first: whether this month was not verified before.
    :param changes: what differs: from the last verification, or at the first one from the copy. Changes that syncs
        found in between are among them.
    :param running: ids of sessions of the month that still run, so that their energy is not final.
    :param missing: ids that the copy has and the service does not list; it is asked for them again by later syncs.
    """

    service_location_id: int
    sessions: int
    digest: str
    is_first: bool
    changes: tuple[SessionEvent, ...] = ()
    running: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.missing


@attrs.frozen(kw_only=True)
class VerifyReport:
    """What verifying a month found.

    :param parks: each park that was read, in the order of their ids.
    :param superseded: parks that another sync wrote at the same time; verify them again.
    :param requests: requests sent, retries included.
    :param failures: the parks that could not be verified.
    """

    time_range: TimeRange
    parks: tuple[ParkVerification, ...] = ()
    superseded: tuple[int, ...] = ()
    requests: int = 0
    failures: tuple[ParkFailure, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether every park was read, and nothing differs."""
        return not self.failures and not self.superseded and all(park.is_unchanged for park in self.parks)


async def verify(
    client: SmappeeClient,
    month: str,
    *,
    to: str | SyncStore,
    tz: str | tzinfo = UTC,
    parks: Park | Iterable[Park] | None = None,
    rfid: RfidChoice = "keep",
    on_progress: Callable[[SyncProgress], None] | None = None,
) -> VerifyReport:
    """Read a month whole, bring the copy up to date with it, and note what it was: what to do before billing.

    Run it again, at any time later: it says what changed since it was verified last, whoever found it.

    :param month: such as ``"2026-10"``; a year or a day can be verified too.
    :param to: where the copy is, as for :func:`sync`.
    :param tz: the zone in which the month begins and ends.
    :param parks: only these; all parks of the copy by default.
    :param rfid: as for :func:`sync`.
    :param on_progress: called when a park is done.
    :raises ConfigurationError: an argument cannot work, or the month has not ended.
    :raises SyncStoreError: the store failed.
    :raises SmappeeError: an error that concerns every park.
    """
    opening = open_store(to)
    del to  # a URL may contain a password, and an error would show this frame
    time_range = TimeRange.parse(month, tz=tz)
    if time_range.end_ms is None:
        raise ConfigurationError("a month has an end", advice="Write it as 2026-10")
    check_rfid(rfid)
    numbers = None if parks is None else park_numbers(parks)
    async with opening as store:
        run = _Verification(ClientSource(client), store, time_range, rfid, on_progress)
        if numbers is None and not (numbers := list(await store.parks())):
            raise ConfigurationError("the copy is empty", advice="Run a sync first, to the same place")
        return await run.verify_all(numbers)


class _Incomplete(ConfigurationError):
    """The copy does not have the month of a park; the other parks are verified."""


class _Verification:
    """One run of :func:`verify`."""

    def __init__(
        self,
        source: Source,
        store: SyncStore,
        time_range: TimeRange,
        rfid: RfidChoice = "keep",
        on_progress: Callable[[SyncProgress], None] | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._source = source
        self._store = store
        self._time_range = time_range
        self._rfid: RfidChoice = rfid
        self._parks: list[ParkVerification] = []
        self._superseded: list[int] = []
        self._failures: list[ParkFailure] = []
        self._requests = 0

    async def verify_all(self, parks: Collection[int]) -> VerifyReport:
        """Verify each park, several at once."""

        async def visit(park: int) -> None:
            try:
                await self._verify(park)
            except (RequestError, _Incomplete) as error:
                self._failures.append(ParkFailure(service_location_id=park, error=without_frames(error)))
            if self._on_progress is not None:
                done = len(self._parks) + len(self._failures) + len(self._superseded)
                sessions = sum(each.sessions for each in self._parks)
                self._on_progress(SyncProgress(parks=done, of_parks=len(parks), sessions=sessions))

        await each_of(parks, visit)
        return VerifyReport(
            time_range=self._time_range,
            parks=tuple(sorted(self._parks, key=lambda each: each.service_location_id)),
            superseded=tuple(sorted(self._superseded)),
            requests=self._requests,
            failures=tuple(self._failures),
        )

    async def _verify(self, park: int) -> None:
        saved, last = await self._store.load(park), await self._store.last_event()
        state = None if saved.state is None else ParkState.from_json(saved.state)
        month = self._time_range
        assert month.end_ms is not None
        if state is None or state.backfill is not None:
            raise _Incomplete(f"the copy of park {park} is not complete", advice="Run a sync first")
        if state.since_ms > month.start_ms:
            raise _Incomplete(
                f"the copy of park {park} begins at {from_ms(state.since_ms).isoformat()}, and {month} before it",
                advice="Verify a later month, or begin a new copy earlier: in the time zone of the month",
            )
        state.check_rfid(park, rfid_name(self._rfid))
        previous = await self._store.verified(park, month)
        # The starts of sessions may have been corrected across the edges.
        wider = TimeRange.from_ms(max(0, month.start_ms - MARGIN_MS), month.end_ms + MARGIN_MS)
        active = await self._source.read(park, TimeRange.from_ms(state.since_ms), "active")
        if active.asked_ms < month.end_ms:
            raise ConfigurationError(f"{month} has not ended", advice="Verify a month when it is over")
        completed = await self._source.read(park, wider, "completed")
        self._requests += cost([active, completed]).requests
        found = await gather(active, completed, begin_ms=wider.start_ms, until_ms=month.end_ms, rfid=self._rfid)
        ids = {*found.sessions, *state.open, *state.missing}
        known = await self._store.known(park, month.start_ms, month.end_ms, ids)
        outcome = await compare(park, state, known, found)
        listed = _listed(found, month)
        verified = VerifiedMonth(time_range=month, at_ms=found.read_ms, ids=sorted(listed), digest=_digest(listed))
        commit = Commit(
            service_location_id=park,
            generation=saved.generation,
            state=outcome.state.to_json(),
            changes=outcome.changes,
            verified=verified,
        )
        if (await write(self._store, commit, outcome)).superseded:
            self._superseded.append(park)
            return
        vanished = {change.id for change in outcome.changes if change.kind == "vanished"}
        missing = [
            number
            for number, each in known.items()
            if number not in listed
            and month.contains_ms(each.start_ms)
            and number not in found.sessions
            and not each.is_vanished
            and number not in vanished
        ]
        self._parks.append(
            ParkVerification(
                service_location_id=park,
                sessions=len(listed),
                digest=verified.digest,
                is_first=previous is None,
                changes=tuple(await self._changes(park, last if previous is None else previous.change_number)),
                running=tuple(sorted(found.active & listed.keys())),
                missing=tuple(sorted(missing)),
            )
        )

    async def _changes(self, park: int, after: int) -> list[SessionEvent]:
        """The events of sessions that start in the month, or did before."""
        changes: list[SessionEvent] = []
        while True:
            events = await self._store.events(after, limit=_EVENTS_AT_ONCE, service_location_id=park)
            changes += [event for event in events if self._concerns_month(event)]
            if len(events) < _EVENTS_AT_ONCE:
                return changes
            after = events[-1].number

    def _concerns_month(self, event: SessionEvent) -> bool:
        both = (event.before, event.after)
        return any(each is not None and self._time_range.contains_ms(each.from_ms) for each in both)


def _listed(found: Found, month: TimeRange) -> Mapping[int, bytes]:
    """The sessions that started in a month, with their fingerprints."""
    return {number: mark for number, (session, mark) in found.sessions.items() if month.contains_ms(session.from_ms)}


def _digest(listed: Mapping[int, bytes]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for number in sorted(listed):
        digest.update(f"{number} ".encode() + listed[number])
    return digest.hexdigest()
