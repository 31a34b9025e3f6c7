"""A new pair of tokens goes to the store. If the store fails, the pair is kept in memory, and saving is tried again."""

from __future__ import annotations

import asyncio

from smappee_async import defaults
from smappee_async.auth.known import KnownPairs
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.errors import TokenStoreError
from smappee_async.events import ClientEvent, EventReporter, describe
from smappee_async.protocol.oauth import TOKEN_CALL


class TokenSaver:
    """Writes new pairs to the store.

    The old refresh token is spent when the new pair arrives. To lose the new pair would therefore cost a login, or the
    account where there is no password. So a pair that is not saved yet is tried again until the client is closed, and
    it comes before the pair that the store still holds.

    :ivar unsaved: the latest pair, while the store does not hold it.
    :ivar is_behind: whether the store held something older than the latest pair when it was read.
    :ivar known: the pairs that this process knows.
    """

    def __init__(self, store: TokenStore, reporter: EventReporter) -> None:
        self._store = store
        self._reporter = reporter
        self.unsaved: Token | None = None
        self.is_behind = False
        self.known = KnownPairs()
        self._retrying: asyncio.Task[None] | None = None

    async def load(self) -> StoredToken:
        """What the store holds, or the newer pair that this process has: the store failed to take it, or lost it."""
        stored = await self._load()
        self.is_behind = self.known.is_behind(stored)
        return self.known.corrected(stored)

    async def save(self, token: Token, replaced: Token | None) -> StoredToken | None:
        """Write a new pair, unless the store holds a newer one.

        :param replaced: the pair that this one comes from.
        :return: what the store holds now; ``None`` if it failed. Then saving goes on in the background.
        """
        # There is no await before these lines: if this task is cancelled from here on, the pair is saved all the same.
        self.unsaved = token
        self.known.follow(token, replaced)
        try:
            async with asyncio.timeout(defaults.TOKEN_TIMEOUT_S):
                return await self._write(token)
        except Exception as error:  # noqa: BLE001 - to lose the pair would cost more than to use it unsaved
            self.report_failure(describe(error))
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry(), name="smappee token saving")
        return None

    async def stop(self) -> None:
        """End the task in the background."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])

    async def finish(self) -> None:
        """Try a last time to save what is not saved.

        :raises TokenStoreError: the store failed again.
        """
        if (problem := await self._save_unsaved()) is not None:
            raise TokenStoreError(
                f"the latest tokens could not be saved ({problem})",
                advice="Repair the token store; the next start must log in with user name and password",
            )

    def report_failure(self, problem: str) -> None:
        """Tell the host that the store did not take a record."""
        self._reporter.tell(ClientEvent(kind="token_not_saved", facts=TOKEN_CALL, detail=problem))

    async def _load(self) -> StoredToken:
        return await self._store.load() or StoredToken()

    async def _write(self, token: Token) -> StoredToken:
        for _ in range(defaults.RENEWAL_ROUNDS):
            stored = await self._load()
            # A pair may be written only in place of one that it comes from.
            if self.known.is_behind(stored):
                new = stored.following(token)
                if not await self._store.replace(stored.generation, new):
                    continue
                stored = new
            self.known.saw(stored)
            if self.unsaved is token:
                self.unsaved = None
            return stored
        raise TokenStoreError("the token store changes at every try to write to it")

    async def _retry(self) -> None:
        wait_s = defaults.SAVE_RETRY_S
        while self.unsaved is not None:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, defaults.SAVE_RETRY_MAX_S)
            if (problem := await self._save_unsaved()) is not None:
                self.report_failure(problem)

    async def _save_unsaved(self) -> str | None:
        """Save the pair that the store failed to take; what went wrong, or ``None``."""
        if self.unsaved is None:
            return None
        try:
            async with asyncio.timeout(defaults.CLOSE_WAIT_S), self._store.lock():
                if self.unsaved is not None:  # waiting for the lock takes time
                    await self._write(self.unsaved)
        except Exception as error:  # noqa: BLE001 - a host's store may raise any exception
            return describe(error)
        return None
