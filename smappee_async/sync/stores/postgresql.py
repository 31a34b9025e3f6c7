"""A copy in PostgreSQL, with psycopg 3.

A commit is one transaction. Its first statement compares the generation and writes the next one, which locks the row
of the park; what a session was is read by the statement that replaces it.

If the connection is lost during ``COMMIT``, nobody knows whether it was done. The number of the transaction tells: on a
new connection the server is asked what became of it. If it was rolled back, it is done once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from psycopg import AsyncCursor

from smappee_async.errors import SyncStoreError
from smappee_async.secret import Secret
from smappee_async.sync.events import SessionEvent, session_event
from smappee_async.sync.stores import postgresql_schema as schema
from smappee_async.sync.stores.base import Commit, Saved, VerifiedMonth
from smappee_async.sync.stores.postgresql_connection import Connection, OneConnection
from smappee_async.sync.stores.postgresql_errors import LOCK_TIMEOUT_S
from smappee_async.sync.stores.postgresql_rows import changes_json, loaded, session_from, state_json, storable
from smappee_async.sync.visit import Known
from smappee_async.tables.text import instant_text
from smappee_async.timerange import TimeRange

ResultT = TypeVar("ResultT")

#: So few that making their JSON does not hold the event loop for long.
_CHANGES_AT_ONCE: Final = 200
_ROWS_AT_ONCE: Final = 200
_SETTLE_WAITS_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0)


class PostgresqlStore:
    """A copy in a PostgreSQL database, version 12 or newer, with the encoding UTF8.

    It holds one connection, which works behind PgBouncer too, and belongs to one event loop. The tables are made in the
    first schema of the ``search_path``. PostgreSQL has no NUL character: in texts and in ``extra`` it is stored as
    ``␚0000``, and the sign ``␚`` as ``␚241a``; events have the original.

    :param url_or_conninfo: such as ``postgresql://user:password@host:5432/database``, or what else libpq understands.
        What it does not say comes from the variables ``PGHOST``, ``PGPASSWORD`` and so on, and from ``~/.pgpass``.
    """

    def __init__(self, url_or_conninfo: str) -> None:
        self._connection = OneConnection(Secret(url_or_conninfo))

    def __repr__(self) -> str:
        return "PostgresqlStore('***')"

    async def __aenter__(self) -> Self:
        await self._connection.open(schema.prepare)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def parks(self) -> Sequence[int]:
        """See :class:`SyncStore`."""
        rows = await self._select("SELECT service_location_id FROM smappee_sync ORDER BY 1", {}, tuple)
        return [park for (park,) in rows]

    async def load(self, service_location_id: int) -> Saved:
        """See :class:`SyncStore`."""
        statement = "SELECT generation, state::text FROM smappee_sync WHERE service_location_id = %(park)s"
        rows = await self._select(statement, {"park": service_location_id}, tuple)
        return Saved(rows[0][0], loaded(rows[0][1])) if rows else Saved()

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """See :class:`SyncStore`."""
        wanted = {
            "park": service_location_id,
            "start": instant_text(start_ms),
            "end": instant_text(end_ms),
            "ids": list(ids),
        }
        return dict(await self._select(schema.KNOWN, wanted, lambda row: (row[0], Known(*row[1:]))))

    async def commit(self, commit: Commit) -> bool:
        """See :class:`SyncStore`."""
        transactions: list[int] = []
        return await self._connection.run(lambda connection: _commit(connection, commit, transactions))

    async def events(self, after: int, *, limit: int, service_location_id: int | None = None) -> Sequence[SessionEvent]:
        """See :class:`SyncStore`."""
        return await self._select(schema.EVENTS, {"after": after, "park": service_location_id, "limit": limit}, _event)

    async def last_event(self) -> int:
        """See :class:`SyncStore`."""
        (row,) = await self._select(schema.LAST_EVENT, {}, tuple)
        return int(row[0])

    async def position(self, consumer: str) -> int:
        """See :class:`SyncStore`."""
        named = {"consumer": storable(consumer)}

        async def work(connection: Connection) -> int:
            await connection.execute(
                f"INSERT INTO smappee_events SELECT %(consumer)s, ({schema.LAST_EVENT}) ON CONFLICT DO NOTHING",
                named,
            )
            found = await connection.execute("SELECT number FROM smappee_events WHERE consumer = %(consumer)s", named)
            return int((await _rows(found, tuple))[0][0])

        return await self._connection.run(work)

    async def acknowledge(self, consumer: str, number: int) -> None:
        """See :class:`SyncStore`."""
        statement = "UPDATE smappee_events SET number = greatest(number, %s) WHERE consumer = %s"
        await self._connection.run(lambda connection: connection.execute(statement, (number, storable(consumer))))

    async def verified(self, service_location_id: int, time_range: TimeRange) -> VerifiedMonth | None:
        """See :class:`SyncStore`."""
        rows = await self._select(schema.VERIFIED, {"park": service_location_id, **_bounds(time_range)}, tuple)
        if not rows:
            return None
        at_ms, ids, digest, number = rows[0]
        return VerifiedMonth(time_range=time_range, at_ms=at_ms, ids=ids, digest=digest, change_number=number)

    async def _select(
        self, statement: str, parameters: Mapping[str, object], make: Callable[[tuple[Any, ...]], ResultT]
    ) -> list[ResultT]:
        async def work(connection: Connection) -> list[ResultT]:
            return await _rows(await connection.execute(statement.encode(), parameters), make)

        return await self._connection.run(work)


async def _rows(cursor: AsyncCursor[tuple[Any, ...]], make: Callable[[tuple[Any, ...]], ResultT]) -> list[ResultT]:
    """All rows, some at a time, so that the event loop is not held."""
    found: list[ResultT] = []
    while some := await cursor.fetchmany(_ROWS_AT_ONCE):
        found += map(make, some)
        await asyncio.sleep(0)
    return found


def _event(row: tuple[Any, ...]) -> SessionEvent:
    number, kind, at_ms, before, after = row
    return session_event(kind, number=number, at_ms=at_ms, before=session_from(before), after=session_from(after))


async def _commit(connection: Connection, commit: Commit, transactions: list[int]) -> bool:
    """Write in one transaction.

    :param transactions: those that have begun for this commit, on connections that were lost.
    """
    if transactions and await _was_committed(connection, transactions[-1]):
        return True
    park = {"park": commit.service_location_id}
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'".encode())
        statement = schema.NEXT_STATE if commit.generation else schema.FIRST_STATE
        state = {"generation": commit.generation, "state": state_json(commit.state)}
        begun = await (await connection.execute(statement.encode(), park | state)).fetchone()
        if begun is None:
            return False
        transactions.append(begun[0])
        if commit.is_logged and commit.changes:
            await connection.execute(schema.LOCK_NUMBERS)
        for first in range(0, len(commit.changes), _CHANGES_AT_ONCE):
            changes = changes_json(commit.changes[first : first + _CHANGES_AT_ONCE])
            await connection.execute(schema.WRITE.encode(), {"changes": changes, "is_logged": commit.is_logged})
        if commit.verified is not None:
            await connection.execute(schema.NOTE.encode(), park | _noted(commit.verified))
    return True


async def _was_committed(connection: Connection, transaction: int) -> bool:
    """What became of a transaction whose connection was lost."""
    for wait_s in _SETTLE_WAITS_S:
        found = await (await connection.execute("SELECT txid_status(%s)", (transaction,))).fetchone()
        status = None if found is None else found[0]
        if status in ("committed", "aborted"):
            return bool(status == "committed")
        await asyncio.sleep(wait_s)
    raise SyncStoreError(
        "the connection to PostgreSQL was lost, and it is not known whether the last transaction was written",
        advice="Sync again: what is in the copy is right in both cases",
    )


def _bounds(time_range: TimeRange) -> dict[str, str]:
    assert time_range.end_ms is not None
    return {"start": instant_text(time_range.start_ms), "end": instant_text(time_range.end_ms)}


def _noted(month: VerifiedMonth) -> dict[str, object]:
    return {
        **_bounds(month.time_range),
        "at": instant_text(month.at_ms),
        "sessions": len(month.ids),
        "digest": month.digest,
        "ids": state_json(list(month.ids)),
    }
