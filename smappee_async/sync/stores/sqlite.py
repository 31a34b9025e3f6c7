"""A copy in an SQLite file, with the standard library's driver in one thread.

A whole transaction is one function in that thread, so a cancelled coroutine leaves no transaction open. The file is in
WAL mode with ``synchronous=NORMAL``: after a power loss the last transactions may be missing, but data and state fall
back together, and the next sync reads what is missing again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Self, TypeVar

import anyio

from smappee_async.errors import SyncStoreError
from smappee_async.models import ChargingSession
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import SessionChange
from smappee_async.sync.stores.base import Commit, Saved
from smappee_async.sync.visit import Known
from smappee_async.tables.columns import COLUMNS, Column, Kind
from smappee_async.timerange import from_ms

ResultT = TypeVar("ResultT")

_VERSION: Final = 1
_BUSY_S: Final = 30.0
_CACHE_KIB: Final = 64 * 1024
#: SQLite allows 32,766 variables in a statement.
_IDS_AT_ONCE: Final = 10_000

_TYPES: Final[Mapping[Kind, str]] = {
    "integer": "INTEGER",
    "text": "TEXT",
    "instant": "TEXT",
    "energy": "REAL",
    "number": "REAL",
    "boolean": "INTEGER",
    "json": "TEXT",
}
_KEY: Final = frozenset({"service_location_id", "id"})
_NAMES: Final = [column.name for column in COLUMNS]
_STAMPS: Final = ("fingerprint", "first_seen_at", "changed_at", "vanished_at")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS smappee_version (version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sessions ("
    + ", ".join(
        f"{column.name} {_TYPES[column.kind]}{' NOT NULL' if column.name in _KEY else ''}" for column in COLUMNS
    )
    + ", fingerprint BLOB NOT NULL, first_seen_at TEXT NOT NULL, changed_at TEXT NOT NULL, vanished_at TEXT,"
    " PRIMARY KEY (service_location_id, id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS sessions_by_start ON sessions (service_location_id, started_at)",
    (
        "CREATE TABLE IF NOT EXISTS session_changes (number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " service_location_id INTEGER NOT NULL, id INTEGER NOT NULL, kind TEXT NOT NULL, changed_at TEXT NOT NULL,"
        " before TEXT, after TEXT)"
    ),
    "CREATE INDEX IF NOT EXISTS session_changes_by_session ON session_changes (service_location_id, id)",
    (
        "CREATE TABLE IF NOT EXISTS smappee_sync (service_location_id INTEGER PRIMARY KEY, generation INTEGER NOT NULL,"
        " state TEXT NOT NULL)"
    ),
)
_UPSERT: Final = (
    f"INSERT INTO sessions ({', '.join([*_NAMES, *_STAMPS])})"  # noqa: S608 - the names are those of this package
    f" VALUES ({', '.join('?' * (len(_NAMES) + 3))}, NULL) ON CONFLICT (service_location_id, id) DO UPDATE SET "
    + ", ".join(
        f"{name} = excluded.{name}" for name in [*_NAMES, *_STAMPS] if name not in _KEY and name != "first_seen_at"
    )
)
_SELECT: Final = f"SELECT {', '.join(_NAMES)} FROM sessions WHERE service_location_id = ? AND id = ?"  # noqa: S608


class SqliteStore:
    """A copy in an SQLite file.

    :param path: the file; it is made if it does not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smappee sqlite")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        await self._run(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Shielded, so that the thread has ended when a cancelled scope is left.
        with anyio.CancelScope(shield=True):
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def load(self, service_location_id: int) -> Saved:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._load(service_location_id))

    async def known(
        self, service_location_id: int, start_ms: int, end_ms: int, ids: Iterable[int]
    ) -> Mapping[int, Known]:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._known(service_location_id, start_ms, end_ms, list(ids)))

    async def commit(self, commit: Commit) -> bool:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._commit(commit))

    # --- in the thread ------------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run a whole piece of work in the thread. If the caller is cancelled, the work still ends."""

        def guarded() -> ResultT | SyncStoreError:
            try:
                return work()
            except sqlite3.Error as error:
                return _store_error(error, self._path)

        outcome = await asyncio.get_running_loop().run_in_executor(self._thread, guarded)
        if isinstance(outcome, SyncStoreError):
            raise outcome
        return outcome

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            with _Transaction(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
                self._check_version(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT version FROM smappee_version").fetchone()
        if found is None:
            connection.execute("INSERT INTO smappee_version VALUES (?)", (_VERSION,))
        elif found[0] > _VERSION:
            raise SyncStoreError(
                f"the copy in {self._path} was written by a newer version of this package",
                advice="Install that version, or a newer one",
            )

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SyncStoreError("the store is not open", advice="Use it with 'async with'")
        return self._connection

    def _load(self, park: int) -> Saved:
        found = self._opened().execute(
            "SELECT generation, state FROM smappee_sync WHERE service_location_id = ?", (park,)
        )
        row = found.fetchone()
        return Saved() if row is None else Saved(row[0], json.loads(row[1]))

    def _known(self, park: int, start_ms: int, end_ms: int, ids: list[int]) -> dict[int, Known]:
        select = (
            "SELECT id, started_at, fingerprint, vanished_at IS NOT NULL FROM sessions WHERE service_location_id = ?"
        )
        connection = self._opened()
        rows = connection.execute(
            f"{select} AND started_at >= ? AND started_at < ?", (park, _instant(start_ms), _instant(end_ms))
        ).fetchall()
        for first in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[first : first + _IDS_AT_ONCE]
            rows += connection.execute(f"{select} AND id IN ({', '.join('?' * len(some))})", (park, *some)).fetchall()
        return {number: Known(_to_ms(started), mark, bool(gone)) for number, started, mark, gone in rows}

    def _commit(self, commit: Commit) -> bool:
        connection, park = self._opened(), commit.service_location_id
        with _Transaction(connection):
            if self._load(park).generation != commit.generation:
                return False
            for change in commit.changes:
                self._write(connection, change, is_logged=commit.is_logged)
            connection.execute(
                "INSERT INTO smappee_sync VALUES (?, ?, ?) ON CONFLICT (service_location_id) DO UPDATE SET"
                " generation = excluded.generation, state = excluded.state",
                (park, commit.generation + 1, json.dumps(commit.state)),
            )
        return True

    @staticmethod
    def _write(connection: sqlite3.Connection, change: SessionChange, *, is_logged: bool) -> None:
        key, at = (change.service_location_id, change.id), _instant(change.at_ms)
        after = None if change.after is None else _row(change.after)
        if is_logged:
            before = connection.execute(_SELECT, key).fetchone()
            connection.execute(
                "INSERT INTO session_changes (service_location_id, id, kind, changed_at, before, after)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*key, change.kind, at, _json(before), _json(after)),
            )
        if change.after is None or after is None:
            connection.execute(
                "UPDATE sessions SET vanished_at = ? WHERE service_location_id = ? AND id = ?", (at, *key)
            )
        else:
            connection.execute(_UPSERT, (*after, fingerprint(change.after), at, at))


class _Transaction:
    """One transaction, which writes from its first statement on, so that two processes do not wait for each other."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            self._connection.execute("ROLLBACK")


def _row(session: ChargingSession) -> tuple[object, ...]:
    return tuple(_value(column, session) for column in COLUMNS)


def _value(column: Column, session: ChargingSession) -> object:
    value = column.of(session)
    if column.kind == "instant":
        return None if value is None else _instant(int(value))
    return float(value) if isinstance(value, Decimal) else value


def _json(row: tuple[object, ...] | None) -> str | None:
    return None if row is None else json.dumps(dict(zip(_NAMES, row, strict=True)))


def _instant(instant_ms: int) -> str:
    """A text that sorts by time."""
    return from_ms(instant_ms).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _to_ms(instant: str) -> int:
    return (datetime.fromisoformat(instant) - from_ms(0)) // timedelta(milliseconds=1)


def _store_error(error: sqlite3.Error, path: Path) -> SyncStoreError:
    text = str(error)
    advice = "Look at the file and its directory"
    if "locked" in text:
        advice = f"Another program has held it for more than {_BUSY_S:g} s"
    elif "readonly" in text or "unable to open" in text:
        advice = "Give a path that this user may write to"
    elif "full" in text:
        advice = "Make room on the disk; the copy is as it was before"
    return SyncStoreError(f"the copy in {path} could not be used: {text}", advice=advice)
