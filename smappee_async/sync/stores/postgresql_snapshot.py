"""A copy in PostgreSQL, opened for reading only: one transaction, and a cursor of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg import IsolationLevel

from smappee_async.errors import SyncStoreError, unwrap
from smappee_async.models import ChargingSession, JsonValue
from smappee_async.secret import Secret
from smappee_async.sync.stores.postgresql_connection import Connection, connect
from smappee_async.sync.stores.postgresql_errors import told
from smappee_async.sync.stores.postgresql_rows import loaded, original
from smappee_async.sync.stores.postgresql_schema import VERSION, as_text
from smappee_async.sync.stores.rows import NAMES, session_of
from smappee_async.sync.stores.snapshot import COUNTS, check_version, columns_of
from smappee_async.tables.columns import COLUMNS
from smappee_async.tables.text import instant_text

ResultT = TypeVar("ResultT")

_WHERE: Final = "the database in PostgreSQL"
_INSTANTS: Final = frozenset(column.name for column in COLUMNS if column.kind == "instant")


class PostgresqlSnapshot:
    """See :class:`Snapshot`. It has a connection of its own.

    An error is returned, and raised outside the frames that hold the password and sessions.
    """

    def __init__(self, conninfo: Secret) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None
        self._has_cursor = False

    async def __aenter__(self) -> Self:
        try:
            unwrap(await _outcome(self._open()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # The server rolls back and forgets the cursor; nothing was written, and nothing is waited for.
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def states(self) -> Sequence[tuple[int, Mapping[str, JsonValue]]]:
        """See :class:`Snapshot`."""
        return unwrap(await _outcome(self._states()))

    async def counts(self) -> Sequence[tuple[int, int]]:
        """See :class:`Snapshot`."""
        return unwrap(await _outcome(self._counts()))

    async def select(
        self, service_location_id: int, start_ms: int, end_ms: int | None, *, include_vanished: bool
    ) -> None:
        """See :class:`Snapshot`."""
        unwrap(await _outcome(self._select(service_location_id, start_ms, end_ms, include_vanished)))

    async def fetch(self, limit: int) -> Sequence[tuple[Any, ...]]:
        """See :class:`Snapshot`."""
        return unwrap(await _outcome(self._fetch(limit)))

    def session(self, row: tuple[Any, ...]) -> ChargingSession:
        """See :class:`Snapshot`."""
        return session_of({name: original(value) for name, value in zip(NAMES, row, strict=True)})

    # --- with the driver ----------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        connection = self._connection = await connect(self._conninfo)
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        await connection.set_autocommit(False)
        # In a database that is read only, or by a user who may only read, this is all that is needed.
        found = await (await connection.execute("SELECT to_regclass('smappee_version') IS NOT NULL")).fetchone()
        version = None
        if found is not None and found[0]:
            version = await (await connection.execute("SELECT version FROM smappee_version")).fetchone()
        check_version(None if version is None else version[0], VERSION, _WHERE)

    def _opened(self) -> Connection:
        assert self._connection is not None
        return self._connection

    async def _states(self) -> list[tuple[int, Mapping[str, JsonValue]]]:
        statement = "SELECT service_location_id, state::text FROM smappee_sync ORDER BY 1"
        rows = await (await self._opened().execute(statement)).fetchall()
        return [(park, loaded(state)) for park, state in rows]

    async def _counts(self) -> list[tuple[int, int]]:
        return await (await self._opened().execute(COUNTS)).fetchall()

    async def _select(self, park: int, start_ms: int, end_ms: int | None, include_vanished: bool) -> None:
        connection = self._opened()
        if self._has_cursor:
            await connection.execute("CLOSE smappee_sessions")
        table = (await connection.execute("SELECT * FROM sessions LIMIT 0")).description or ()
        columns = ", ".join(
            "NULL" if not is_there else as_text(name) if name in _INSTANTS else name
            for name, is_there in columns_of({column.name for column in table})
        )
        end = "" if end_ms is None else " AND started_at < %(end)s::timestamptz"
        vanished = "" if include_vanished else " AND vanished_at IS NULL"
        statement = (
            # Not psycopg's cursor, which must be closed over the connection, also when this is lost.
            f"DECLARE smappee_sessions NO SCROLL CURSOR FOR SELECT {columns} FROM sessions"  # noqa: S608 - the names are those of this package
            " WHERE service_location_id = %(park)s"
            f" AND started_at >= %(start)s::timestamptz{end}{vanished} ORDER BY started_at, id"
        )
        parameters = {
            "park": park,
            "start": instant_text(start_ms),
            "end": None if end_ms is None else instant_text(end_ms),
        }
        await connection.execute(statement.encode(), parameters)
        self._has_cursor = True

    async def _fetch(self, limit: int) -> list[tuple[Any, ...]]:
        return await (await self._opened().execute(f"FETCH {limit:d} FROM smappee_sessions".encode())).fetchall()


async def _outcome(work: Awaitable[ResultT]) -> ResultT | BaseException:
    try:
        return await work
    except (SyncStoreError, asyncio.CancelledError) as error:
        return error
    except psycopg.Error as error:
        return told(error)
