"""Tokens stored in memory: lost when the process ends, shared by all clients that have the same store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from smappee_async.auth.stores import EndlessLease
from smappee_async.auth.stores.turns import Turns, check_process
from smappee_async.auth.tokens import StoredToken, Token


class MemoryTokenStore:
    """Stores tokens in memory. Clients on several threads and event loops may share it; processes may not.

    :param token: the pair to start with, which the host program stored at an earlier start.
    :param on_token: awaited with each new pair *before* it is used, so that a host program can store it: its refresh
        token replaces the one before. If it raises an error, the client reports the event ``token_not_saved`` and calls
        it again later.
    """

    def __init__(
        self, token: Token | None = None, *, on_token: Callable[[Token], Awaitable[None]] | None = None
    ) -> None:
        self._stored = None if token is None else StoredToken(generation=1, token=token)
        self._on_token = on_token
        self._reported = token
        self._lock = Turns()
        # The hook takes time. Meanwhile nothing may be written, even by a caller that does not hold the lock.
        self._writing = Turns()
        self._process = os.getpid()

    def __repr__(self) -> str:
        return "MemoryTokenStore()"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[EndlessLease]:
        """Wait for the lock.

        :raises TokenStoreError: the tokens were copied by a fork.
        """
        self._check()
        async with self._lock.take():
            yield EndlessLease()

    async def load(self) -> StoredToken | None:
        """The record; ``None`` if there is none.

        :raises TokenStoreError: the tokens were copied by a fork.
        """
        self._check()
        return self._stored

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if the record is of this generation. The hook, if there is one, gets a new pair first.

        :raises TokenStoreError: the tokens were copied by a fork.
        """
        self._check()
        async with self._writing.take():
            if expected_generation != (0 if self._stored is None else self._stored.generation):
                return False
            # The hook gets new pairs only: not a mark, and not the record without the mark.
            if (
                self._on_token is not None
                and not new.refreshing
                and new.token is not None
                and new.token != self._reported
            ):
                await self._on_token(new.token)
                self._reported = new.token
            self._stored = new
            return True

    def _check(self) -> None:
        """Two processes with one refresh token would spend it twice. An empty store serves each process on its own."""
        if self._stored is not None:
            check_process(self._process)
        else:
            self._process = os.getpid()
