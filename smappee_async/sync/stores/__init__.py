"""Where copies are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smappee_async.errors import ConfigurationError
from smappee_async.sync.stores.base import SyncStore
from smappee_async.sync.stores.callback import CallbackStore, SaveCallback
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


@asynccontextmanager
async def open_copy(to: str | SyncStore | SaveCallback, state: str | SyncStore | None) -> AsyncIterator[SyncStore]:
    """The store of a sync: as :func:`open_store`, or a coroutine function with the store of what is remembered.

    :raises ConfigurationError: no such store is known, or the one is given without the other.
    """
    if callable(to):
        if state is None:
            raise ConfigurationError(
                "a coroutine function does not keep what a sync remembers of each park",
                advice='Give state="sqlite:///state.db" as well',
            )
        async with open_store(state) as kept:
            yield CallbackStore(to, kept)
        return
    if state is not None:
        raise ConfigurationError(
            "state= belongs to a coroutine function as to=; a store keeps it itself", advice="Leave state= out"
        )
    async with open_store(to) as store:
        yield store


def _named(url: str) -> SyncStore:
    path = url.removeprefix(_SQLITE)
    if path and path != url:
        return SqliteStore(path)
    raise ConfigurationError(
        "a copy is kept in a store that is named by a URL",
        advice="Use sqlite:///sessions.db for a file beside the program, or sqlite:////var/lib/sessions.db",
    )
