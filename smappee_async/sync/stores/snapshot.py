"""What reading a copy needs of a database: the copy as it was at one moment, whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol, Self

from smappee_async.errors import SyncStoreError
from smappee_async.models import ChargingSession, JsonValue
from smappee_async.sync.stores.rows import NAMES

#: How many sessions a copy has of each park.
COUNTS: Final = "SELECT service_location_id, count(*) FROM sessions WHERE vanished_at IS NULL GROUP BY 1"
_ADVICE: Final = "Give the place that 'smappee-async sync --to' or sync(…, to=…) writes to"


class Snapshot(Protocol):
    """A copy at one moment, opened for reading only: nothing in the database is made, changed or migrated.

    Each method raises :class:`SyncStoreError` if the database fails.
    """

    async def __aenter__(self) -> Self:
        """Open it.

        :raises SyncStoreError: there is no copy, or a newer version of this package wrote it.
        """
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    async def states(self) -> Sequence[tuple[int, Mapping[str, JsonValue]]]:
        """Each park with what a sync remembers of it, by ascending id."""
        ...

    async def counts(self) -> Sequence[tuple[int, int]]:
        """Each park that has sessions with how many, without those that vanished."""
        ...

    async def select(
        self, service_location_id: int, start_ms: int, end_ms: int | None, *, include_vanished: bool
    ) -> None:
        """Begin with the sessions of a park that started in a half-open range, by start and id."""
        ...

    async def fetch(self, limit: int) -> Sequence[tuple[Any, ...]]:
        """The next rows of what was selected; fewer than ``limit`` are the last."""
        ...

    def session(self, row: tuple[Any, ...]) -> ChargingSession:
        """The session of a row."""
        ...


def no_copy(where: str) -> SyncStoreError:
    """The error for a database that exists and holds something else."""
    return SyncStoreError(f"{where} is not a copy of sessions", advice=_ADVICE)


def check_version(version: int | None, newest: int, where: str) -> None:
    """See that the copy is one, and not newer than this package.

    :param version: that of its tables; ``None`` if it notes none.
    :param where: the database, as errors name it.
    :raises SyncStoreError: it is not.
    """
    if version is None:
        raise no_copy(where)
    if version > newest:
        raise SyncStoreError(
            f"{where} was written by a newer version of this package", advice="Install that version, or a newer one"
        )


def columns_of(there: Collection[str]) -> list[tuple[str, bool]]:
    """The columns to read, and whether the table has each: a copy that is older lacks those that are newer."""
    return [(name, name in there) for name in NAMES]
