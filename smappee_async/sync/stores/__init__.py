"""Where copies are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from smappee_async.errors import ConfigurationError, unwrap
from smappee_async.secret import Secret
from smappee_async.sync.stores.base import SyncStore
from smappee_async.sync.stores.callback import CallbackStore, SaveCallback
from smappee_async.sync.stores.snapshot import Snapshot
from smappee_async.sync.stores.sqlite import SqliteStore
from smappee_async.sync.stores.sqlite_snapshot import SqliteSnapshot

_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = ("postgresql://", "postgres://")


def open_store(to: str | SyncStore) -> AbstractAsyncContextManager[SyncStore]:
    """The store that a URL names, opened and closed; a store object is open already, and stays so.

    Where no such store is known, or it needs an extra, opening it raises :class:`ConfigurationError`.
    """
    if not isinstance(to, str):
        return _as_it_is(to)
    url = Secret(to)
    del to  # a URL may contain a password, and an error would show this frame
    if url.reveal().startswith(_POSTGRESQL):
        return _in_postgresql(url)
    path = _sqlite_path(url)
    if path is None:
        return _unknown()
    return SqliteStore(path)


def open_destination(
    to: str | SyncStore | SaveCallback, state: str | SyncStore | None
) -> AbstractAsyncContextManager[SyncStore]:
    """The store of a sync: as :func:`open_store`, or a coroutine function with the store of what is remembered.

    :raises ConfigurationError: no such store is known, or the one is given without the other.
    """
    if callable(to):
        if state is None:
            raise ConfigurationError(
                "a coroutine function does not keep what a sync remembers of each park",
                advice='Give state="sqlite:///state.db" as well',
            )
        opening = open_store(state)
        del state
        return _with_callback(to, opening)
    if state is not None:
        del to, state
        raise ConfigurationError(
            "state= belongs to a coroutine function as to=; a store keeps it itself", advice="Leave state= out"
        )
    return open_store(to)


async def snapshots_of(copy: Secret) -> Callable[[], Snapshot]:
    """What makes snapshots of the copy that a URL names; each is to be opened and closed.

    :raises ConfigurationError: no such store is known, or it needs an extra.
    """
    path = _sqlite_path(copy)
    if path is not None:
        return lambda: SqliteSnapshot(path)
    if not copy.reveal().startswith(_POSTGRESQL):
        raise _unknown_url()
    # In a thread, because loading the driver would hold the event loop.
    kind = unwrap(await asyncio.to_thread(_postgresql_snapshot))
    return lambda: kind(copy)


def _sqlite_path(url: Secret) -> str | None:
    return (url.reveal().removeprefix(_SQLITE) or None) if url.reveal().startswith(_SQLITE) else None


@asynccontextmanager
async def _with_callback(
    save: SaveCallback, opening: AbstractAsyncContextManager[SyncStore]
) -> AsyncIterator[SyncStore]:
    async with opening as kept:
        yield CallbackStore(save, kept)


@asynccontextmanager
async def _as_it_is(store: SyncStore) -> AsyncIterator[SyncStore]:
    yield store


@asynccontextmanager
async def _unknown() -> AsyncIterator[SyncStore]:
    raise _unknown_url()
    yield


def _unknown_url() -> ConfigurationError:
    return ConfigurationError(
        "a copy is kept in a store that is named by a URL",
        advice="Use sqlite:///sessions.db for a file beside the program, sqlite:////var/lib/sessions.db, or"
        " postgresql://user:password@host/database",
    )


@asynccontextmanager
async def _in_postgresql(url: Secret) -> AsyncIterator[SyncStore]:
    # In a thread, because loading the driver would hold the event loop.
    async with unwrap(await asyncio.to_thread(_postgresql, url)) as store:
        yield store


def _postgresql(url: Secret) -> SyncStore | BaseException:
    try:
        from smappee_async.sync.stores.postgresql import PostgresqlStore  # noqa: PLC0415 - needs an extra
    except ImportError:
        return _no_driver()
    return PostgresqlStore(url.reveal())


def _postgresql_snapshot() -> Callable[[Secret], Snapshot] | BaseException:
    try:
        from smappee_async.sync.stores.postgresql_snapshot import PostgresqlSnapshot  # noqa: PLC0415 - needs an extra
    except ImportError:
        return _no_driver()
    return PostgresqlSnapshot


def _no_driver() -> ConfigurationError:
    return ConfigurationError("a copy in PostgreSQL needs an extra", advice="pip install 'smappee-async[postgresql]'")
