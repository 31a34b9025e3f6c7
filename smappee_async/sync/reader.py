"""Reads a copy: its sessions as batches of records, and how far each park is up to date."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import ChargingSession, SessionBatch
from smappee_async.query.session_query import Park
from smappee_async.secret import Secret
from smappee_async.sync.run import park_numbers
from smappee_async.sync.state import ParkState
from smappee_async.sync.stores import snapshots_of
from smappee_async.sync.stores.snapshot import Snapshot
from smappee_async.timerange import TimeRange, from_ms

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH: Final = 2_000
#: So few that making their records does not hold the event loop for long.
_STEP: Final = 200


@attrs.frozen(kw_only=True)
class CopiedPark:
    """A park of a copy.

    :param since: where the copy of the park begins, in UTC.
    :param synced_until: the sessions that had started by then were read, in UTC; ``None`` while the first sync of the
        park is not complete. What came late, and how a session went on, is known as of the last sync.
    """

    service_location_id: int
    since: datetime
    synced_until: datetime | None

    def covers(self, time_range: TimeRange) -> bool:
        """Whether all of a range has been read. An open end never has."""
        return (
            self.synced_until is not None
            and time_range.end is not None
            and self.since <= time_range.start
            and time_range.end <= self.synced_until
        )


@asynccontextmanager
async def open_copy(url: str) -> AsyncIterator[SessionsCopy]:
    """Open a copy to read it, with ``async with``.

    It only reads: nothing in the database is made, changed or migrated. Syncs may write to it meanwhile.

    :param url: where the copy is, as for :func:`sync`.
    :raises ConfigurationError: no such kind of copy is known, or it needs an extra.
    :raises SyncStoreError: there is no copy, a newer version of this package wrote it, or the database failed.
    """
    place = Secret(url)
    del url  # it may contain a password, and an error would show this frame
    snapshots = await snapshots_of(place)
    async with snapshots() as snapshot:
        states = await snapshot.states()
    copy = SessionsCopy(tuple(_park(park, ParkState.from_json(state)) for park, state in states), snapshots)
    try:
        yield copy
    finally:
        await copy._close()  # noqa: SLF001 - of this module


class SessionsCopy:
    """A copy that is open. Made by :func:`open_copy`.

    :ivar parks: the parks that it has, by ascending id, as they were when it was opened.
    """

    def __init__(self, parks: tuple[CopiedPark, ...], snapshots: Callable[[], Snapshot]) -> None:
        self.parks = parks
        self._snapshots = snapshots
        self._handed_out: list[CopiedSessions] = []

    def sessions(
        self,
        parks: Park | Iterable[Park] | None = None,
        time_range: TimeRange | None = None,
        *,
        include_vanished: bool = False,
    ) -> CopiedSessions:
        """The sessions of some parks, as the copy has them at the moment when reading begins.

        :param parks: service location ids, or service locations; all parks of the copy by default.
        :param time_range: selects by start; everything by default.
        :param include_vanished: also those that the service no longer lists.
        :raises ConfigurationError: the copy does not have one of the parks.
        """
        there = {park.service_location_id: park for park in self.parks}
        wanted = list(there) if parks is None else sorted(park_numbers(parks))
        for number in wanted:
            if number not in there:
                has = ", ".join(map(str, there)) or "none"
                raise ConfigurationError(
                    f"the copy does not have park {number}", advice=f"It has {has}; a sync adds others"
                )
        made = CopiedSessions(
            self._snapshots, wanted, time_range or TimeRange.from_ms(0), include_vanished=include_vanished
        )
        self._handed_out.append(made)
        return made

    async def _close(self) -> None:
        for each in self._handed_out:
            await each.aclose()


class CopiedSessions:
    """Sessions of a copy, read as they are consumed, by park, start and id. Made by :meth:`SessionsCopy.sessions`.

    ::

        async for session in copy.sessions(): ...
        async for batch in copy.sessions().batches(): ...

    They are read once, by one task, in one of these ways: by session, by batch, or by record batch. Each reading sees
    the copy at one moment: what a sync writes meanwhile is not in it. Reading raises :class:`SyncStoreError` if the
    database fails.
    """

    def __init__(
        self,
        snapshots: Callable[[], Snapshot],
        parks: Sequence[int],
        time_range: TimeRange,
        *,
        include_vanished: bool,
    ) -> None:
        self._batches = _batches(snapshots, parks, time_range, include_vanished=include_vanished)
        self._sessions = _each(self._batches)

    def __aiter__(self) -> AsyncIterator[ChargingSession]:
        return self._sessions

    def batches(self) -> AsyncIterator[SessionBatch]:
        """The same sessions in batches of one park each. A park without sessions comes as an empty batch."""
        return self._batches

    def arrow(self) -> AsyncIterator[pa.RecordBatch]:
        """The same sessions as record batches, as :meth:`~smappee_async.SessionStream.arrow` has them.

        It needs the extra ``arrow``.

        :raises ImportError: pyarrow is not installed.
        """
        from smappee_async.tables import schema  # noqa: F401, PLC0415 - imports pyarrow, or says what is missing
        from smappee_async.tables.sessions import record_batches  # noqa: PLC0415

        return record_batches(self._batches)

    async def table(self) -> pa.Table:
        """All sessions as one table: for ranges that are known to fit in memory."""
        batches = self.arrow()
        from smappee_async.tables.schema import table_of  # noqa: PLC0415 - imports pyarrow

        async with self:
            return table_of([batch async for batch in batches])

    async def collect(self) -> list[ChargingSession]:
        """All sessions as a list: for ranges that are known to fit in memory."""
        async with self:
            return [session async for session in self]

    async def aclose(self) -> None:
        """Stop reading. A second call does nothing."""
        await self._sessions.aclose()
        await self._batches.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _park(number: int, state: ParkState) -> CopiedPark:
    is_complete = state.backfill is None and state.tiers_ms
    return CopiedPark(
        service_location_id=number,
        since=from_ms(state.since_ms),
        # A tier is read with everything that started after it.
        synced_until=from_ms(max(state.tiers_ms)) if is_complete else None,
    )


async def _batches(
    snapshots: Callable[[], Snapshot], parks: Sequence[int], time_range: TimeRange, *, include_vanished: bool
) -> AsyncGenerator[SessionBatch, None]:
    async with snapshots() as snapshot:
        for park in parks:
            await snapshot.select(park, time_range.start_ms, time_range.end_ms, include_vanished=include_vanished)
            is_last = False
            while not is_last:
                sessions = await _fetch(snapshot)
                is_last = len(sessions) < _BATCH
                batch = SessionBatch(
                    service_location_id=park,
                    serial_number=None,
                    time_range=time_range,
                    sessions=sessions,
                    is_last=is_last,
                )
                del sessions
                yield batch
                del batch  # not in this frame, where an error of the next rows would show RFIDs


async def _fetch(snapshot: Snapshot) -> tuple[ChargingSession, ...]:
    sessions: list[ChargingSession] = []
    while len(sessions) < _BATCH:
        wanted = min(_STEP, _BATCH - len(sessions))
        rows = await snapshot.fetch(wanted)
        sessions += map(snapshot.session, rows)
        if len(rows) < wanted:
            break
    return tuple(sessions)


async def _each(batches: AsyncGenerator[SessionBatch, None]) -> AsyncGenerator[ChargingSession, None]:
    async with aclosing(batches):
        async for batch in batches:
            for session in batch.sessions:
                yield session
