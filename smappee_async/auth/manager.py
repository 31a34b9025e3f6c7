"""Gives each task an access token, with one renewal at a time in this process.

Many tasks may want the same token renewed at the same moment, and any of them may be cancelled. So a renewal runs in a
task of its own. A task that waits for it may be cancelled; the renewal continues, and the other tasks get its outcome.
"""

from __future__ import annotations

import asyncio
import copy
import time

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.auth.current import CurrentToken
from smappee_async.auth.endpoint import Send, TokenEndpoint
from smappee_async.auth.lifetime import Clocks
from smappee_async.auth.renewal import TokenRenewer
from smappee_async.auth.saving import TokenSaver
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.tokens import Token
from smappee_async.errors import AuthenticationError, ClientClosed, SmappeeError
from smappee_async.events import EventReporter
from smappee_async.protocol.oauth import TOKEN_CALL
from smappee_async.secret import Secret


class TokenManager:
    """Gives access tokens, and has them renewed.

    :param store: where the tokens are stored.
    :param base_url: without a trailing slash.
    :param send: sends a request once; raises :class:`TransportError` or :class:`ResponseTooLarge`.
    :param reporter: is told about renewals.
    :param jitter: between 0 and 1, drawn once for each manager. It spreads the renewals of many processes over time.
    :param clocks: for tests.
    """

    def __init__(
        self,
        credentials: Credentials,
        store: TokenStore,
        base_url: str,
        send: Send,
        *,
        reporter: EventReporter,
        jitter: float,
        clocks: Clocks | None = None,
    ) -> None:
        self._clocks = clocks or Clocks(time.time, asyncio.get_running_loop().time)
        self._current = CurrentToken(jitter)
        self._saver = TokenSaver(store, reporter)
        endpoint = TokenEndpoint(credentials, base_url, send)
        self._renewer = TokenRenewer(credentials, endpoint, store, self._saver, self._current, self._clocks, reporter)
        self._renewal: asyncio.Task[Token | SmappeeError] | None = None
        self._quiet_until = float("-inf")  # monotonic: no early renewal before this
        self._closed = False

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """An access token that is valid now. It is renewed first if necessary.

        :param rejected: a token that Smappee refused. It is renewed only if it is still the current one.
        :raises AuthenticationError: Smappee refuses the credentials.
        :raises RequestError: the token call failed; this says nothing about the credentials.
        :raises TokenStoreError: the store failed.
        """
        if self._closed:
            raise ClientClosed("the client is closed")
        if rejected is not None:
            self._current.reject(rejected)
        if (at_hand := self._at_hand()) is not None:
            return at_hand
        for _ in range(2):  # the first renewal may be one that was about to end with the rejected token
            renewal = self._renew()
            # The task is waited for and not awaited: a waiter that is cancelled does not cancel the renewal.
            await asyncio.wait([renewal])
            if renewal.cancelled():
                raise ClientClosed("the client was closed while a token was being renewed")
            outcome = renewal.result()
            if isinstance(outcome, SmappeeError):
                # A copy for each waiter, because each adds its own traceback and facts to its exception.
                raise copy.copy(outcome)
            if outcome.access_token != rejected:
                return outcome.access_token
        raise AuthenticationError("Smappee refuses the access token that it just gave", facts=TOKEN_CALL)

    async def aclose(self) -> None:
        """Let a renewal that is under way end, and save what is not saved yet. Closing twice does nothing.

        :raises TokenStoreError: the latest tokens could not be saved; the next start must log in anew.
        """
        self._closed = True
        try:
            if self._renewal is not None:
                await asyncio.wait([self._renewal], timeout=defaults.CLOSE_WAIT_S)
        finally:
            try:
                if self._renewal is not None:  # perhaps another one by now, which a waiter has begun
                    self._renewal.cancel()
                    await asyncio.wait([self._renewal])
            finally:
                await self._saver.stop()
        await self._saver.finish()

    def _at_hand(self) -> Secret | None:
        """The current token while it is valid. Shortly before it ends, a renewal begins in the background."""
        now = self._clocks.now()
        if not self._current.is_fresh(now):
            if not self._current.is_valid(now):
                return None
            if now.monotonic >= self._quiet_until:
                self._renew()
        return self._current.access_token

    def _renew(self) -> asyncio.Task[Token | SmappeeError]:
        """The renewal that is under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._run_renewal(), name="smappee token renewal")
        return self._renewal

    async def _run_renewal(self) -> Token | SmappeeError:
        outcome = await self._renewer.renew()
        failed = isinstance(outcome, SmappeeError)
        self._quiet_until = self._clocks.monotonic() + defaults.REFRESH_RETRY_S if failed else float("-inf")
        return outcome
