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
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

import anyio

from smappee_async.errors import SyncStoreError
from smappee_async.sync.events import SessionEvent, session_event
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import SessionChange
from smappee_async.sync.stores.base import Commit, Saved, VerifiedMonth
from smappee_async.sync.stores.rows import row_json, session_of, to_ms, to_row
from smappee_async.sync.stores.sqlite_schema import LAST_EVENT, SELECT, UPSERT, prepare
from smappee_async.sync.visit import Known
from smappee_async.tables.text import instant_text
from smappee_async.timerange import TimeRange

ResultT = TypeVar("ResultT")

_BUSY_S: Final = 30.0
_CACHE_KIB: Final = 64 * 1024
#: SQLite allows 32,766 variables in a statement.
_IDS_AT_ONCE: Final = 10_000


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

    async def parks(self) -> Sequence[int]:
        """See :class:`SyncStore`."""
        return await self._run(self._parks)

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

    async def events(self, after: int, *, limit: int, service_location_id: int | None = None) -> Sequence[SessionEvent]:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._events(after, limit, service_location_id))

    async def last_event(self) -> int:
        """See :class:`SyncStore`."""
        return await self._run(self._last_event)

    async def position(self, consumer: str) -> int:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._position(consumer))

    async def acknowledge(self, consumer: str, number: int) -> None:
        """See :class:`SyncStore`."""
        statement = "UPDATE smappee_events SET number = max(number, ?) WHERE consumer = ?"
        await self._run(lambda: self._opened().execute(statement, (number, consumer)))

    async def verified(self, service_location_id: int, time_range: TimeRange) -> VerifiedMonth | None:
        """See :class:`SyncStore`."""
        return await self._run(lambda: self._verified(service_location_id, time_range))

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
                prepare(connection, self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SyncStoreError("the store is not open", advice="Use it with 'async with'")
        return self._connection

    def _parks(self) -> list[int]:
        rows = self._opened().execute("SELECT service_location_id FROM smappee_sync ORDER BY 1")
        return [park for (park,) in rows]

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
            f"{select} AND started_at >= ? AND started_at < ?", (park, instant_text(start_ms), instant_text(end_ms))
        ).fetchall()
        found = {row[0] for row in rows}
        others = [number for number in ids if number not in found]
        for first in range(0, len(others), _IDS_AT_ONCE):
            some = others[first : first + _IDS_AT_ONCE]
            rows += connection.execute(f"{select} AND id IN ({', '.join('?' * len(some))})", (park, *some)).fetchall()
        return {number: Known(to_ms(started), mark, bool(gone)) for number, started, mark, gone in rows}

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
            if commit.verified is not None:
                self._note(connection, park, commit.verified)
        return True

    @staticmethod
    def _note(connection: sqlite3.Connection, park: int, month: VerifiedMonth) -> None:
        (number,) = connection.execute(LAST_EVENT).fetchone()
        connection.execute(
            "INSERT OR REPLACE INTO verified_months VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                park,
                *_bounds(month.time_range),
                instant_text(month.at_ms),
                len(month.ids),
                month.digest,
                json.dumps(list(month.ids)),
                number,
            ),
        )

    def _verified(self, park: int, time_range: TimeRange) -> VerifiedMonth | None:
        row = (
            self._opened()
            .execute(
                "SELECT verified_at, ids, digest, change_number FROM verified_months"
                " WHERE service_location_id = ? AND starts_at = ? AND ends_at = ?",
                (park, *_bounds(time_range)),
            )
            .fetchone()
        )
        if row is None:
            return None
        at, ids, digest, number = row
        return VerifiedMonth(
            time_range=time_range, at_ms=to_ms(at), ids=json.loads(ids), digest=digest, change_number=number
        )

    def _events(self, after: int, limit: int, park: int | None) -> list[SessionEvent]:
        rows = self._opened().execute(
            "SELECT number, kind, changed_at, before, after FROM session_changes WHERE number > ?"
            " AND (? IS NULL OR service_location_id = ?) ORDER BY number LIMIT ?",
            (after, park, park, limit),
        )
        return [
            session_event(
                kind,
                number=number,
                at_ms=to_ms(at),
                before=None if old is None else session_of(json.loads(old)),
                after=None if new is None else session_of(json.loads(new)),
            )
            for number, kind, at, old, new in rows
        ]

    def _last_event(self) -> int:
        (number,) = self._opened().execute(LAST_EVENT).fetchone()
        return int(number)

    def _position(self, consumer: str) -> int:
        connection = self._opened()
        with _Transaction(connection):
            connection.execute(f"INSERT OR IGNORE INTO smappee_events SELECT ?, ({LAST_EVENT})", (consumer,))
            found = connection.execute("SELECT number FROM smappee_events WHERE consumer = ?", (consumer,)).fetchone()
        return int(found[0])

    @staticmethod
    def _write(connection: sqlite3.Connection, change: SessionChange, *, is_logged: bool) -> None:
        key, at = (change.service_location_id, change.id), instant_text(change.at_ms)
        after = None if change.after is None else to_row(change.after)
        if is_logged:
            before = connection.execute(SELECT, key).fetchone()
            connection.execute(
                "INSERT INTO session_changes (service_location_id, id, kind, changed_at, before, after)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*key, change.kind, at, row_json(before), row_json(after)),
            )
        if change.after is None or after is None:
            connection.execute(
                "UPDATE sessions SET vanished_at = ? WHERE service_location_id = ? AND id = ?", (at, *key)
            )
        else:
            connection.execute(UPSERT, (*after, fingerprint(change.after), at, at))


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


def _bounds(time_range: TimeRange) -> tuple[str, str]:
    assert time_range.end_ms is not None
    return instant_text(time_range.start_ms), instant_text(time_range.end_ms)


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
