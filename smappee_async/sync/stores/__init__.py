"""Where copies are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smappee_async.errors import ConfigurationError
from smappee_async.sync.stores.base import SyncStore
from smappee_async.sync.stores.sqlite import SqliteStore

_SQLITE = "sqlite:///"


@asynccontextmanager
async def open_store(to: str | SyncStore) -> AsyncIterator[SyncStore]:
    """The store that a URL names, opened and closed; a store object is open already, and stays so.

    :raises ConfigurationError: no such store is known.
    """
    if not isinstance(to, str):
        yield to
        return
    async with _named(to) as store:
        yield store


def _named(url: str) -> SyncStore:
    path = url.removeprefix(_SQLITE)
    if path and path != url:
        return SqliteStore(path)
    raise ConfigurationError(
        "a copy is kept in a store that is named by a URL",
        advice="Use sqlite:///sessions.db for a file beside the program, or sqlite:////var/lib/sessions.db",
    )
