"""Where a copy is kept: what a sync needs of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import attrs

from smappee_async.models import JsonValue
from smappee_async.sync.report import SessionChange
from smappee_async.sync.visit import Known


@attrs.frozen
class Saved:
    """What a store holds of one park's state.

    :param generation: how often it was written; 0 if it never was.
    """

    generation: int = 0
    state: Mapping[str, JsonValue] | None = None


@attrs.frozen(kw_only=True)
class Commit:
    """What is written of one park, in one transaction.

    :param generation: that of the state that the visit began with. If the store holds another one, nothing is written.
    :param changes: the sessions that differ; each is written, and noted in the log of changes.
    :param is_logged: whether the changes go into the log; the first reading of a park is no change.
    """

    service_location_id: int
    generation: int
    state: Mapping[str, JsonValue]
    changes: Sequence[SessionChange] = ()
    is_logged: bool = True


class SyncStore(Protocol):
    """A store. Each method either does all that it says, or nothing and raises :class:`SyncStoreError`."""

    async def __aenter__(self) -> Self:
        """Open it, and make what is missing in it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    async def load(self, service_location_id: int) -> Saved:
        """The state of one park."""
        ...

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """What the copy has: the sessions that started in a half-open range, and those with these ids."""
        ...

    async def commit(self, commit: Commit) -> bool:
        """Write in one transaction; false if another sync wrote in between, then nothing is written."""
        ...
