"""Ways to keep a copy: this package's, bookmarks, and dlt's incremental."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from benchmarks.reliability.copied_world import VisitFailed, WorldSource
from smappee_async import ChargingSession, TimeRange
from smappee_async.models import SessionState
from smappee_async.sync import DEFAULT_TIERS, Commit, MemoryStore, SqliteStore, SyncStore
from smappee_async.sync.run import visit_parks

_MS: Final = timedelta(milliseconds=1)


@attrs.frozen
class Write:
    """One row that a copy writes; ``None`` marks it as no longer listed."""

    park: int
    id: int
    session: ChargingSession | None


class Copying(Protocol):
    """A way to keep a copy."""

    async def sync(self, source: WorldSource, parks: Sequence[int], since_ms: int) -> Sequence[Write]:
        """Read what may have changed; returns what is written."""
        ...


class _Noting:
    """A store that notes what was written, the first reading included."""

    def __init__(self, store: SyncStore) -> None:
        self._store = store
        self.load = store.load
        self.known = store.known
        self.writes: list[Write] = []

    async def commit(self, commit: Commit) -> bool:
        is_written = await self._store.commit(commit)
        if is_written:
            self.writes += [Write(change.service_location_id, change.id, change.after) for change in commit.changes]
        return is_written


class Ours:
    """Tiers and open ids.

    :param path: an SQLite file, opened and closed at each sync, as a cron job does; by default the copy is in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._memory = MemoryStore()
        self._path = path

    async def sync(self, source: WorldSource, parks: Sequence[int], since_ms: int) -> Sequence[Write]:
        """See :class:`Copying`."""
        async with self._memory if self._path is None else SqliteStore(self._path) as store:
            noting = _Noting(store)
            await visit_parks(source, noting, parks, since_ms=since_ms, tiers=DEFAULT_TIERS, rfid="keep")
        return noting.writes


class Bookmark:
    """Remembers the latest start, and asks for what started since then.

    :param per_park: whether each park has a bookmark of its own.
    :param active: whether the sessions that run are asked for as well.
    :param look_back: how much earlier it asks.
    """

    def __init__(self, *, per_park: bool = True, active: bool = True, look_back: timedelta = timedelta(0)) -> None:
        self._per_park = per_park
        self._active = active
        self._look_back_ms = look_back // _MS
        self._marks_ms: dict[int, int] = {}

    async def sync(self, source: WorldSource, parks: Sequence[int], since_ms: int) -> Sequence[Write]:
        """See :class:`Copying`."""
        writes: list[Write] = []
        marks_ms = dict(self._marks_ms)
        for park in parks:
            key = park if self._per_park else 0
            start_ms = max(since_ms, self._marks_ms.get(key, since_ms) - self._look_back_ms)
            try:
                found = await _read(source, park, start_ms, active=self._active)
            except VisitFailed:
                continue
            writes += [Write(park, session.id, session) for session in found.values()]
            latest_ms = max((session.from_ms for session in found.values()), default=0)
            marks_ms[key] = max(marks_ms.get(key, 0), latest_ms)
        self._marks_ms = marks_ms
        return writes


class DltIncremental:
    """``dlt.sources.incremental`` over the start, with a lag: dlt's own filter and cursor, without loading the rows.

    :param lag: how much earlier than its cursor dlt asks.
    """

    def __init__(self, lag: timedelta) -> None:
        self._lag = lag
        self._state: Any = {}

    async def sync(self, source: WorldSource, parks: Sequence[int], since_ms: int) -> Sequence[Write]:
        """See :class:`Copying`."""
        import dlt  # noqa: PLC0415 - only where it is asked for
        from dlt.common.configuration.container import Container  # noqa: PLC0415
        from dlt.common.pipeline import StateInjectableContext  # noqa: PLC0415

        cursor = dlt.sources.incremental("from_s", initial_value=since_ms / 1000, lag=self._lag.total_seconds())

        @dlt.resource(name="sessions", primary_key=("park", "id"))
        def sessions(from_s: Any = cursor) -> Iterator[list[dict[str, Any]]]:
            start_ms = max(since_ms, int(from_s.last_value * 1000))
            yield asyncio.run(_rows(source, parks, start_ms))

        def read() -> list[dict[str, Any]]:
            with Container().injectable_context(StateInjectableContext(state=self._state)):
                return list(sessions())

        # A resource is read by a plain 'for', and the world by 'await'.
        rows = await asyncio.to_thread(read)
        return [Write(row["park"], row["id"], row["session"]) for row in rows]


async def _rows(source: WorldSource, parks: Sequence[int], start_ms: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for park in parks:
        try:
            found = await _read(source, park, start_ms, active=True)
        except VisitFailed:
            continue
        rows += [
            {"park": park, "id": session.id, "from_s": session.from_ms / 1000, "session": session}
            for session in found.values()
        ]
    return rows


async def _read(source: WorldSource, park: int, start_ms: int, *, active: bool) -> dict[int, ChargingSession]:
    """The sessions that started since then, each once: where it is in both lists, as the completed one."""
    found: dict[int, ChargingSession] = {}
    states: tuple[SessionState, ...] = ("active", "completed") if active else ("completed",)
    for state in states:
        reading = await source.read(park, TimeRange.from_ms(start_ms), state)
        found |= {session.id: session for session in reading.sessions}
    return found
