"""A copy in memory: lost when the process ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Self

import attrs

from smappee_async.models import ChargingSession
from smappee_async.sync.events import SessionEvent, session_event
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import SessionChange
from smappee_async.sync.state import ParkState
from smappee_async.sync.stores.base import Commit, Saved, VerifiedMonth
from smappee_async.sync.visit import Known
from smappee_async.timerange import TimeRange


@attrs.frozen
class _Row:
    session: ChargingSession
    fingerprint: bytes
    is_vanished: bool = False


class MemoryStore:
    """A copy in memory, for a watch without a database, and for tests.

    Events are kept until every consumer is done with them; without a consumer, none is kept.

    :param forget_after: forget sessions that started so long before the oldest sessions that are read again.
        By default nothing is forgotten.
    """

    def __init__(self, *, forget_after: timedelta | None = None) -> None:
        self._forget_after_ms = None if forget_after is None else forget_after // timedelta(milliseconds=1)
        self._saved: dict[int, Saved] = {}
        self._rows: dict[int, dict[int, _Row]] = {}
        self._events: deque[tuple[int, SessionEvent]] = deque()
        self._last_event = 0
        self._positions: dict[str, int] = {}
        self._verified: dict[tuple[int, TimeRange], VerifiedMonth] = {}

    def sessions(self, service_location_id: int) -> Sequence[ChargingSession]:
        """The sessions of a park that have not vanished."""
        rows = self._rows.get(service_location_id, {})
        return [row.session for row in rows.values() if not row.is_vanished]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See :class:`SyncStore`. What it holds stays."""

    async def parks(self) -> Sequence[int]:
        """See :class:`SyncStore`."""
        return sorted(self._saved)

    async def load(self, service_location_id: int) -> Saved:
        """See :class:`SyncStore`."""
        return self._saved.get(service_location_id, Saved())

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """See :class:`SyncStore`."""
        rows = self._rows.get(service_location_id, {})
        wanted = set(ids)
        return {
            number: Known(row.session.from_ms, row.fingerprint, row.is_vanished)
            for number, row in rows.items()
            if start_ms <= row.session.from_ms < end_ms or number in wanted
        }

    async def commit(self, commit: Commit) -> bool:
        """See :class:`SyncStore`."""
        park = commit.service_location_id
        if self._saved.get(park, Saved()).generation != commit.generation:
            return False
        rows = self._rows.setdefault(park, {})
        for change in commit.changes:
            self._write(rows, change, is_logged=commit.is_logged)
        self._saved[park] = Saved(commit.generation + 1, commit.state)
        if commit.verified is not None:
            month = attrs.evolve(commit.verified, change_number=self._last_event)
            self._verified[park, month.time_range] = month
        self._forget(rows, commit)
        return True

    def _write(self, rows: dict[int, _Row], change: SessionChange, *, is_logged: bool) -> None:
        before = rows.get(change.id)
        if change.after is not None:
            rows[change.id] = _Row(change.after, fingerprint(change.after))
        elif before is not None:
            rows[change.id] = attrs.evolve(before, is_vanished=True)
        if is_logged:
            self._last_event += 1
            event = session_event(
                change.kind,
                number=self._last_event,
                at_ms=change.at_ms,
                before=None if before is None else before.session,
                after=change.after,
            )
            self._events.append((change.service_location_id, event))
            self._drop_events()

    def _forget(self, rows: dict[int, _Row], commit: Commit) -> None:
        state = ParkState.from_json(commit.state)
        if self._forget_after_ms is None or not state.tiers_ms:
            return
        before_ms = min(state.tiers_ms) - self._forget_after_ms
        for number in [number for number, row in rows.items() if row.session.from_ms < before_ms]:
            if number not in state.open and number not in state.missing:
                del rows[number]

    # --- events -------------------------------------------------------------------------------------------------------

    async def events(self, after: int, *, limit: int, service_location_id: int | None = None) -> Sequence[SessionEvent]:
        """See :class:`SyncStore`."""
        found = (event for park, event in self._events if event.number > after and service_location_id in (None, park))
        return list(islice(found, limit))

    async def last_event(self) -> int:
        """See :class:`SyncStore`."""
        return self._last_event

    async def position(self, consumer: str) -> int:
        """See :class:`SyncStore`."""
        return self._positions.setdefault(consumer, self._last_event)

    async def acknowledge(self, consumer: str, number: int) -> None:
        """See :class:`SyncStore`."""
        self._positions[consumer] = max(self._positions[consumer], number)
        self._drop_events()

    def _drop_events(self) -> None:
        done = min(self._positions.values(), default=self._last_event)
        while self._events and self._events[0][1].number <= done:
            self._events.popleft()

    # --- months -------------------------------------------------------------------------------------------------------

    async def verified(self, service_location_id: int, time_range: TimeRange) -> VerifiedMonth | None:
        """See :class:`SyncStore`."""
        return self._verified.get((service_location_id, time_range))
