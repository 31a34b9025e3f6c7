"""Hands what a sync found to a coroutine function; what is remembered of each park is kept in another store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Self, TypeAlias

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.sync.events import SessionEvent
from smappee_async.sync.stores.base import Commit, Saved, SyncStore, VerifiedMonth
from smappee_async.sync.visit import Known
from smappee_async.timerange import TimeRange

SaveCallback: TypeAlias = Callable[[Commit], Awaitable[None]]
"""Takes what a sync found of one park, and keeps it."""


class CallbackStore:
    """A copy that a coroutine function keeps, at least once.

    :param save: called with each commit that has changes, before the other store notes them. If it raises, or if the
        program ends before they are noted, they are handed over again.
    :param state: an open store, which is a copy itself: what was handed over is found by comparing with it.
    """

    def __init__(self, save: SaveCallback, state: SyncStore) -> None:
        self._save = save
        self._state = state
        #: By how much the generation of a park was raised here since it was loaded.
        self._raised: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """See :class:`SyncStore`. The other store stays open."""

    async def parks(self) -> Sequence[int]:
        """See :class:`SyncStore`."""
        return await self._state.parks()

    async def load(self, service_location_id: int) -> Saved:
        """See :class:`SyncStore`."""
        self._raised[service_location_id] = 0
        return await self._state.load(service_location_id)

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """See :class:`SyncStore`."""
        return await self._state.known(service_location_id, start_ms, end_ms, ids)

    async def commit(self, commit: Commit) -> bool:
        """See :class:`SyncStore`.

        The generation is raised before anything is handed over. So what another sync has superseded is not handed
        over, and of two commits that are handed over the one that was read later has the higher generation.
        """
        park = commit.service_location_id
        raised = self._raised.setdefault(park, 0)
        commit = attrs.evolve(commit, generation=commit.generation + raised)
        if not commit.changes:
            return await self._state.commit(commit)
        before = await self._state.load(park)
        # A park that is new remembers what it begins with; what runs is read again by whoever goes on with it.
        claim = Commit(service_location_id=park, generation=commit.generation, state=before.state or commit.state)
        if before.generation != commit.generation or not await self._state.commit(claim):
            return False
        self._raised[park] = raised + 1
        commit = attrs.evolve(commit, generation=commit.generation + 1)
        saving = self._save(commit)
        if not isawaitable(saving):
            raise ConfigurationError("to= is not a coroutine function", advice="Define it with 'async def'")
        await saving
        return await self._state.commit(commit)

    # --- what a sync does not use, as the other store does it ---------------------------------------------------------

    async def events(self, after: int, *, limit: int, service_location_id: int | None = None) -> Sequence[SessionEvent]:
        """See :class:`SyncStore`."""
        return await self._state.events(after, limit=limit, service_location_id=service_location_id)

    async def last_event(self) -> int:
        """See :class:`SyncStore`."""
        return await self._state.last_event()

    async def position(self, consumer: str) -> int:
        """See :class:`SyncStore`."""
        return await self._state.position(consumer)

    async def acknowledge(self, consumer: str, number: int) -> None:
        """See :class:`SyncStore`."""
        await self._state.acknowledge(consumer, number)

    async def verified(self, service_location_id: int, time_range: TimeRange) -> VerifiedMonth | None:
        """See :class:`SyncStore`."""
        return await self._state.verified(service_location_id, time_range)
