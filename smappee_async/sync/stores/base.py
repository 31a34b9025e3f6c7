"""Where a copy is kept: what a sync needs of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import attrs

from smappee_async.models import JsonValue
from smappee_async.sync.events import SessionEvent
from smappee_async.sync.report import SessionChange
from smappee_async.sync.visit import Known
from smappee_async.timerange import TimeRange


@attrs.frozen
class Saved:
    """What a store holds of one park's state.

    :param generation: how often it was written; 0 if it never was.
    """

    generation: int = 0
    state: Mapping[str, JsonValue] | None = None


@attrs.frozen(kw_only=True)
class VerifiedMonth:
    """A month of one park that was read whole.

    :param at_ms: when, by the clock of the service, milliseconds since 1970.
    :param ids: the sessions that started in it, in ascending order.
    :param digest: a hash over the ids and what the sessions were, in hexadecimal.
    :param change_number: the number of the copy's last event when it was verified; set by the store.
    """

    time_range: TimeRange
    at_ms: int
    ids: Sequence[int]
    digest: str
    change_number: int = 0


@attrs.frozen(kw_only=True)
class Commit:
    """What is written of one park, in one transaction.

    :param generation: that of the state that the visit began with. If the store holds another one, nothing is written.
    :param changes: the sessions that differ; each is written, and noted in the log of changes.
    :param is_logged: whether the changes go into the log; the first reading of a park is no change.
    :param verified: a month that was read whole with this visit.
    """

    service_location_id: int
    generation: int
    state: Mapping[str, JsonValue]
    changes: Sequence[SessionChange] = ()
    is_logged: bool = True
    verified: VerifiedMonth | None = None


class VisitStore(Protocol):
    """What a visit needs of a store. Each method does all it says, or nothing and raises :class:`SyncStoreError`."""

    async def load(self, service_location_id: int) -> Saved:
        """The state of one park."""
        ...

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """What the copy has: the sessions that started in a half-open range, and those with these ids."""
        ...

    async def commit(self, commit: Commit) -> bool:
        """Write in one transaction; false if another sync wrote in between, then nothing is written.

        Events get ascending numbers, in the order in which they can be seen: when an event can be read, no event with
        a lower number appears later.
        """
        ...


class SyncStore(VisitStore, Protocol):
    """A store of a whole copy, with its events and its verified months."""

    async def __aenter__(self) -> Self:
        """Open it, and make what is missing in it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    async def parks(self) -> Sequence[int]:
        """The parks that the copy has, in ascending order."""
        ...

    # --- what a consumer of events reads and writes -------------------------------------------------------------------

    async def events(self, after: int, *, limit: int, service_location_id: int | None = None) -> Sequence[SessionEvent]:
        """The first events with a higher number than ``after``, in their order; of one park only, if one is given."""
        ...

    async def last_event(self) -> int:
        """The number of the last event; 0 if there is none."""
        ...

    async def position(self, consumer: str) -> int:
        """How far a consumer has come. A new one is noted, and begins at the last event that there is."""
        ...

    async def acknowledge(self, consumer: str, number: int) -> None:
        """Note that a consumer is done with the events up to ``number``."""
        ...

    # --- months -------------------------------------------------------------------------------------------------------

    async def verified(self, service_location_id: int, time_range: TimeRange) -> VerifiedMonth | None:
        """What was noted when a month was last verified."""
        ...
