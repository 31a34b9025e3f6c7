"""A copy of sessions that stays right.

::

    from smappee_async.sync import sync

    report = await sync(smappee, [1001, 1002], to="sqlite:///sessions.db", since=datetime(2025, 1, 1, tzinfo=UTC))

The service selects sessions by their start and does not say what changed since, so a program that remembers how far it
read loses sessions: those that end days later, come late or are corrected. How this is avoided, and what is promised,
is said at :func:`sync`.
"""

from typing import TYPE_CHECKING

from smappee_async.rfid import HashedRfid, RfidChoice
from smappee_async.sync.events import Corrected, Ended, Returned, SessionEvent, Started, Updated, Vanished
from smappee_async.sync.reader import CopiedPark, CopiedSessions, SessionsCopy, open_copy
from smappee_async.sync.report import ChangeKind, ParkFailure, SessionChange, SyncReport
from smappee_async.sync.run import SyncProgress, sync
from smappee_async.sync.stores.base import Commit, Saved, SyncStore, VerifiedMonth
from smappee_async.sync.stores.callback import SaveCallback
from smappee_async.sync.stores.memory import MemoryStore
from smappee_async.sync.stores.sqlite import SqliteStore
from smappee_async.sync.tiers import DEFAULT_TIERS, Tier
from smappee_async.sync.verifier import ParkVerification, VerifyReport, verify
from smappee_async.sync.visit import Known
from smappee_async.sync.watcher import WATCH_TIERS, SessionWatch, watch

if TYPE_CHECKING:
    from smappee_async.sync.stores.postgresql import PostgresqlStore

__all__ = [
    "DEFAULT_TIERS",
    "WATCH_TIERS",
    "ChangeKind",
    "Commit",
    "CopiedPark",
    "CopiedSessions",
    "Corrected",
    "Ended",
    "HashedRfid",
    "Known",
    "MemoryStore",
    "ParkFailure",
    "ParkVerification",
    "PostgresqlStore",
    "Returned",
    "RfidChoice",
    "SaveCallback",
    "Saved",
    "SessionChange",
    "SessionEvent",
    "SessionWatch",
    "SessionsCopy",
    "SqliteStore",
    "Started",
    "SyncProgress",
    "SyncReport",
    "SyncStore",
    "Tier",
    "Updated",
    "Vanished",
    "VerifiedMonth",
    "VerifyReport",
    "open_copy",
    "sync",
    "verify",
    "watch",
]


def _load(name: str) -> object:
    if name != "PostgresqlStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # Only when it is used, because it needs an extra.
        from smappee_async.sync.stores.postgresql import PostgresqlStore  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("PostgresqlStore needs an extra: pip install 'smappee-async[postgresql]'") from error
    return PostgresqlStore


if not TYPE_CHECKING:  # type checkers must find a name that does not exist
    __getattr__ = _load
