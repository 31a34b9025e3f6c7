"""One connection to PostgreSQL, for one piece of work at a time, opened again when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from smappee_async.errors import SyncStoreError, unwrap
from smappee_async.secret import Secret
from smappee_async.sync.stores.postgresql_errors import told

ResultT = TypeVar("ResultT")
Connection = AsyncConnection[tuple[Any, ...]]
Work = Callable[[Connection], Awaitable[ResultT]]

#: What holds if the URL does not say otherwise. A server that is gone is noticed within half a minute.
_DEFAULTS: Final[dict[str, str | int]] = {
    "connect_timeout": 10,
    "fallback_application_name": "smappee-async",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Between the attempts to do a piece of work. A server that is about to end may accept one more connection.
_AGAIN_WAITS_S: Final = (0.0, 0.5)
#: Between the attempts to open it again: a server that starts, or its replica that takes over, needs some seconds.
_REOPEN_WAITS_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)


class OneConnection:
    """The connection of a store.

    An error is **returned** up to :meth:`run`, which raises it without frames, because these hold the password and
    sessions. Work that is cancelled or fails leaves no transaction open: what cannot be rolled back is closed, which
    makes the server roll back.
    """

    def __init__(self, conninfo: Secret) -> None:
        self._conninfo = conninfo
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._is_open = False

    async def open(self, prepare: Work[None]) -> None:
        """Open it, and do what comes first.

        :raises SyncStoreError: it could not be opened.
        """
        self._is_open = True
        try:
            unwrap(await self._outcome(prepare, is_patient=False))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close it. This waits for nothing."""
        self._is_open = False
        await self._drop()

    async def run(self, work: Work[ResultT]) -> ResultT:
        """Do a piece of work. If the connection is lost, it is done again, on a new one.

        :raises SyncStoreError: the database failed, or was not reached.
        """
        return unwrap(await self._outcome(work, is_patient=True))

    async def _outcome(self, work: Work[ResultT], *, is_patient: bool) -> ResultT | BaseException:
        try:
            async with self._turn:
                return await self._repeated(work, is_patient=is_patient)
        except (SyncStoreError, asyncio.CancelledError) as error:
            return error
        except psycopg.Error as error:
            return told(error)

    async def _repeated(self, work: Work[ResultT], *, is_patient: bool) -> ResultT:
        if not self._is_open:
            raise SyncStoreError("the store is not open", advice="Use it with 'async with'")
        reopen_waits_s = _REOPEN_WAITS_S if is_patient else ()
        for wait_s in _AGAIN_WAITS_S if is_patient else ():
            try:
                return await self._attempt(work, reopen_waits_s)
            except psycopg.Error:
                if self._connection is not None:
                    raise
            await asyncio.sleep(wait_s)
        return await self._attempt(work, reopen_waits_s)

    async def _attempt(self, work: Work[ResultT], waits_s: tuple[float, ...]) -> ResultT:
        try:
            return await work(await self._connected(waits_s))
        finally:
            connection = self._connection
            if connection is not None and connection.pgconn.transaction_status != TransactionStatus.IDLE:
                await self._drop()

    async def _connected(self, waits_s: tuple[float, ...]) -> Connection:
        for wait_s in waits_s:
            if self._connection is not None:
                break
            try:
                await self._connect()
            except psycopg.OperationalError:
                await asyncio.sleep(wait_s)
        if self._connection is None:
            try:
                await self._connect()
            except psycopg.Error as error:
                raise told(error) from None
        assert self._connection is not None
        return self._connection

    async def _connect(self) -> None:
        self._connection = await connect(self._conninfo)
        await self._connection.set_isolation_level(IsolationLevel.READ_COMMITTED)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def connect(conninfo: Secret) -> Connection:
    """A new connection.

    :raises psycopg.Error: it could not be opened; the frames of this error hold the password.
    """
    settings: dict[str, Any] = {**_DEFAULTS, **conninfo_to_dict(conninfo.reveal())}
    # Poolers give each transaction another connection of the server, which knows no prepared statements.
    return await AsyncConnection.connect(make_conninfo(**settings), autocommit=True, prepare_threshold=None)
