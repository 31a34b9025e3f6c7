"""A copy of sessions that stays right.

::

    from smappee_async.sync import sync

    report = await sync(smappee, [1001, 1002], to="sqlite:///sessions.db", since=datetime(2025, 1, 1, tzinfo=UTC))

The service selects sessions by their start and does not say what changed since, so a program that remembers how far it
read loses sessions: those that end days later, come late or are corrected. How this is avoided, and what is promised,
is said at :func:`sync`.
"""

from smappee_async.sync.report import ChangeKind, ParkFailure, SessionChange, SyncReport
from smappee_async.sync.run import SyncProgress, sync
from smappee_async.sync.stores.base import SyncStore
from smappee_async.sync.stores.sqlite import SqliteStore
from smappee_async.sync.tiers import DEFAULT_TIERS, Tier

__all__ = [
    "DEFAULT_TIERS",
    "ChangeKind",
    "ParkFailure",
    "SessionChange",
    "SqliteStore",
    "SyncProgress",
    "SyncReport",
    "SyncStore",
    "Tier",
    "sync",
]
