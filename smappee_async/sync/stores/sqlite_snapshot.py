"""A copy in an SQLite file, opened for reading only, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import anyio

from smappee_async.errors import SyncStoreError
from smappee_async.models import ChargingSession, JsonValue
from smappee_async.sync.stores.rows import NAMES, session_of
from smappee_async.sync.stores.snapshot import COUNTS, check_version, columns_of, no_copy
from smappee_async.sync.stores.sqlite_schema import VERSION
from smappee_async.tables.text import instant_text

ResultT = TypeVar("ResultT")

_BUSY_S: Final = 30.0
_HAS_VERSION: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'smappee_version'"


class SqliteSnapshot:
    """See :class:`Snapshot`. One read transaction, which does not hinder a sync that writes.

    :param path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smappee sqlite read")
        self._connection: sqlite3.Connection | None = None
        self._found: sqlite3.Cursor | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # Shielded, so that the thread has ended when a cancelled scope is left.
        with anyio.CancelScope(shield=True):
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def states(self) -> Sequence[tuple[int, Mapping[str, JsonValue]]]:
        """See :class:`Snapshot`."""
        statement = "SELECT service_location_id, state FROM smappee_sync ORDER BY 1"
        rows = await self._run(lambda: self._opened().execute(statement).fetchall())
        return [(park, json.loads(state)) for park, state in rows]

    async def counts(self) -> Sequence[tuple[int, int]]:
        """See :class:`Snapshot`."""
        return await self._run(lambda: self._opened().execute(COUNTS).fetchall())

    async def select(
        self, service_location_id: int, start_ms: int, end_ms: int | None, *, include_vanished: bool
    ) -> None:
        """See :class:`Snapshot`."""
        await self._run(lambda: self._select(service_location_id, start_ms, end_ms, include_vanished))

    async def fetch(self, limit: int) -> Sequence[tuple[Any, ...]]:
        """See :class:`Snapshot`."""
        found = self._found
        assert found is not None
        return await self._run(lambda: found.fetchmany(limit))

    def session(self, row: tuple[Any, ...]) -> ChargingSession:
        """See :class:`Snapshot`."""
        return session_of(dict(zip(NAMES, row, strict=True)))

    # --- in the thread ------------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run a piece of work in the thread. If the caller is cancelled, the work still ends."""

        def guarded() -> ResultT | SyncStoreError:
            try:
                return work()
            except sqlite3.Error as error:
                return _told(error, self._path)
            except SyncStoreError as error:
                return error

        outcome = await asyncio.get_running_loop().run_in_executor(self._thread, guarded)
        if isinstance(outcome, SyncStoreError):
            raise outcome
        return outcome

    def _open(self) -> None:
        if not self._path.is_file():
            raise SyncStoreError(f"there is no copy in {self._path}", advice="Check the path, or run a sync first")
        place = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        connection = sqlite3.connect(place, uri=True, timeout=_BUSY_S, isolation_level=None)
        self._connection = connection
        connection.execute("BEGIN")
        found = connection.execute(_HAS_VERSION).fetchone()
        version = connection.execute("SELECT version FROM smappee_version").fetchone() if found[0] else None
        check_version(None if version is None else version[0], VERSION, f"the file {self._path}")

    def _close(self) -> None:
        self._found = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _select(self, park: int, start_ms: int, end_ms: int | None, include_vanished: bool) -> None:
        connection = self._opened()
        there = {column[0] for column in connection.execute("SELECT * FROM sessions LIMIT 0").description}
        columns = ", ".join(name if is_there else f"NULL AS {name}" for name, is_there in columns_of(there))
        end = "" if end_ms is None else " AND started_at < :end"
        vanished = "" if include_vanished else " AND vanished_at IS NULL"
        self._found = connection.execute(
            f"SELECT {columns} FROM sessions WHERE service_location_id = :park AND started_at >= :start{end}{vanished}"  # noqa: S608 - the names are those of this package
            " ORDER BY started_at, id",
            {
                "park": park,
                "start": instant_text(start_ms),
                **({} if end_ms is None else {"end": instant_text(end_ms)}),
            },
        )


def _told(error: sqlite3.Error, path: Path) -> SyncStoreError:
    text = str(error)
    if "not a database" in text or "no such table" in text:
        return no_copy(f"the file {path}")
    advice = "Look at the file and its directory"
    if "locked" in text:
        advice = f"Another program has held it for more than {_BUSY_S:g} s"
    elif "unable to open" in text or "readonly" in text:
        advice = (
            "SQLite makes small files beside a copy, also to read it: let this user write in its directory, or read"
            " a duplicate"
        )
    return SyncStoreError(f"the copy in {path} could not be read: {text}", advice=advice)
