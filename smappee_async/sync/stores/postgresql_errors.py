"""What PostgreSQL says when it fails, as a sentence with advice.

What the driver raises is only looked at: its text may contain the address, the user's name, and values of a session.
"""

from __future__ import annotations

from typing import Final

import psycopg

from smappee_async.errors import SyncStoreError

#: How long a transaction waits for another one.
LOCK_TIMEOUT_S: Final = 30

#: By the beginning of the code that the server gave. What says more comes before what says less.
_SENTENCES: Final = (
    ("28", "refused the user or the password", "Check both; a password may also stand in ~/.pgpass or PGPASSWORD"),
    ("3D000", "does not have this database", "Create it with createdb, or check its name"),
    ("25006", "takes no writes here", "Connect to the primary, as a user whose transactions are not read-only"),
    ("42501", "does not allow its user to do this", "Give the user CREATE on the schema once, and the tables after it"),
    ("3F000", "has no schema to make tables in", "Create it, or set search_path in the URL"),
    (
        "55P03",
        "waited in vain for another transaction",
        f"Another program has held it for more than {LOCK_TIMEOUT_S} s",
    ),
    ("53100", "has a full disk", "Make room on its disk; the copy is as it was before"),
    ("53", "has no room for another connection, or no memory", "Raise max_connections, or use PgBouncer"),
    ("57014", "cancelled a statement", "Another program cancelled it, or statement_timeout is too short"),
    ("22P05", "cannot store every character", "Use a database with the encoding UTF8"),
    ("42", "does not have the tables as this package makes them", "Look at what was changed, or use another schema"),
)


def told(error: psycopg.Error) -> SyncStoreError:
    """The error of the store for an error of the driver."""
    kind, code = type(error).__name__, error.sqlstate or ""
    for begin, what, advice in _SENTENCES:
        if code.startswith(begin):
            return SyncStoreError(f"PostgreSQL, which keeps the copy, {what} ({kind}, {code})", advice=advice)
    if isinstance(error, psycopg.OperationalError):
        # The driver gives no code for a login that failed; its text is looked at, and not shown.
        if any(word in str(error) for word in ("password", "authentication", "role ")):
            return _of("28", kind)
        if "database" in str(error) and "does not exist" in str(error):
            return _of("3D000", kind)
        return SyncStoreError(
            f"PostgreSQL, which keeps the copy, could not be reached, or the connection was lost ({kind})",
            advice="Check that it runs, and that host, port and sslmode are right",
        )
    if isinstance(error, psycopg.InterfaceError):
        return SyncStoreError(
            f"the driver of PostgreSQL cannot work here ({kind})",
            advice="On Windows, use asyncio.WindowsSelectorEventLoopPolicy",
        )
    if isinstance(error, psycopg.ProgrammingError) and not code:
        return SyncStoreError(
            "the URL of the copy cannot be read", advice="Use postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        )
    return SyncStoreError(f"PostgreSQL, which keeps the copy, failed ({kind}, {code or 'no code'})")


def _of(code: str, kind: str) -> SyncStoreError:
    what, advice = next((what, advice) for begin, what, advice in _SENTENCES if begin == code)
    return SyncStoreError(f"PostgreSQL, which keeps the copy, {what} ({kind})", advice=advice)
