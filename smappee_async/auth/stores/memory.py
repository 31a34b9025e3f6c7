"""Tokens kept in memory: gone with the process, shared by every client that is given the same store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from smappee_async.auth.stores import EndlessLease
from smappee_async.auth.tokens import StoredToken, Token


class MemoryTokenStore:
    """Keeps tokens in memory.

    :param token: the pair to start with, kept by the host program from an earlier life.
    :param on_token: awaited with each new pair *before* it is used, so that a host program can keep it: the refresh
        token inside replaces the one before it. An error that it raises is told as an event and it is tried again.
    """

    def __init__(
        self, token: Token | None = None, *, on_token: Callable[[Token], Awaitable[None]] | None = None
    ) -> None:
        self._stored = None if token is None else StoredToken(generation=1, token=token)
        self._on_token = on_token
        self._told = token
        self._lock = anyio.Lock()
        # The hook takes its time, and nothing may be written meanwhile, not even without the lock.
        self._writing = anyio.Lock()

    def __repr__(self) -> str:
        return "MemoryTokenStore()"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[EndlessLease]:
        """Wait for the lock; clients of one event loop take turns."""
        async with self._lock:
            yield EndlessLease()

    async def load(self) -> StoredToken | None:
        """What is kept now."""
        return self._stored

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Keep ``new`` if what is kept is of that generation; the hook, if there is one, hears of a new pair first."""
        async with self._writing:
            if expected_generation != (0 if self._stored is None else self._stored.generation):
                return False
            # A mark is no news, and neither is taking it back.
            if self._on_token is not None and not new.refreshing and new.token is not None and new.token != self._told:
                await self._on_token(new.token)
                self._told = new.token
            self._stored = new
            return True
