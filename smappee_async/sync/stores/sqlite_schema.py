"""The tables of a copy in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from smappee_async.errors import SyncStoreError
from smappee_async.sync.stores.rows import NAMES
from smappee_async.tables.columns import COLUMNS, Kind

#: Of the tables.
VERSION: Final = 1

_TYPES: Final[Mapping[Kind, str]] = {
    "integer": "INTEGER",
    "text": "TEXT",
    "instant": "TEXT",
    "energy": "REAL",
    "number": "REAL",
    "boolean": "INTEGER",
    "numbers": "TEXT",
    "json": "TEXT",
}
_KEY: Final = frozenset({"service_location_id", "id"})
_STAMPS: Final = ("fingerprint", "first_seen_at", "changed_at", "vanished_at")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS smappee_version (version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sessions ("
    + ", ".join(
        f"{column.name} {_TYPES[column.kind]}{' NOT NULL' if column.name in _KEY else ''}" for column in COLUMNS
    )
    + ", fingerprint BLOB NOT NULL, first_seen_at TEXT NOT NULL, changed_at TEXT NOT NULL, vanished_at TEXT,"
    " PRIMARY KEY (service_location_id, id)) WITHOUT ROWID",
    # With all that is asked for of sessions that are compared, so that their rows are not read.
    (
        "CREATE INDEX IF NOT EXISTS sessions_by_start"
        " ON sessions (service_location_id, started_at, fingerprint, vanished_at)"
    ),
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
    "CREATE TABLE IF NOT EXISTS smappee_events (consumer TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS verified_months (service_location_id INTEGER NOT NULL, starts_at TEXT NOT NULL,"
        " ends_at TEXT NOT NULL, verified_at TEXT NOT NULL, sessions INTEGER NOT NULL, digest TEXT NOT NULL,"
        " ids TEXT NOT NULL, change_number INTEGER NOT NULL, PRIMARY KEY (service_location_id, starts_at, ends_at))"
        " WITHOUT ROWID"
    ),
)
UPSERT: Final = (
    f"INSERT INTO sessions ({', '.join([*NAMES, *_STAMPS])})"  # noqa: S608 - the names are those of this package
    f" VALUES ({', '.join('?' * (len(NAMES) + 3))}, NULL) ON CONFLICT (service_location_id, id) DO UPDATE SET "
    + ", ".join(
        f"{name} = excluded.{name}" for name in [*NAMES, *_STAMPS] if name not in _KEY and name != "first_seen_at"
    )
)
SELECT: Final = f"SELECT {', '.join(NAMES)} FROM sessions WHERE service_location_id = ? AND id = ?"  # noqa: S608
LAST_EVENT: Final = "SELECT coalesce(max(number), 0) FROM session_changes"


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make what is missing in a database, or bring an older one to this version. Nothing is changed or removed.

    :raises SyncStoreError: a newer version of this package wrote it.
    """
    for statement in _SCHEMA:
        connection.execute(statement)
    found = connection.execute("SELECT version FROM smappee_version").fetchone()
    if found is not None and found[0] > VERSION:
        raise SyncStoreError(
            f"the copy in {path} was written by a newer version of this package",
            advice="Install that version, or a newer one",
        )
    if found is None:
        connection.execute("INSERT INTO smappee_version VALUES (?)", (VERSION,))
    elif found[0] < VERSION:
        there = {row[1] for row in connection.execute("PRAGMA table_info(sessions)")}
        for column in COLUMNS:
            if column.name not in there:
                connection.execute(f"ALTER TABLE sessions ADD COLUMN {column.name} {_TYPES[column.kind]}")
        connection.execute("UPDATE smappee_version SET version = ?", (VERSION,))
