"""When a token is renewed, who does it, and what happens when that fails.

Many tasks, and several processes, may want the same token renewed at the same moment, and any of them may be cancelled
or killed at any point. A refresh token is good for one use: a second use, or a lost response, can lock the account out.
What prevents it:

* **One renewal at a time in a process,** in a task of its own. Whoever waits for it may be cancelled; it goes on.
* **One renewal at a time among processes,** under the store's lock. Who gets the lock looks first whether another
  process has renewed already. A lock that can be lost is looked at before each call.
* **A mark before the call.** Who gets the lock and finds the mark knows that somebody died in the middle, and that the
  refresh token may be spent.
* **Kept before used.** A new pair goes to the store, and only in place of the pair that it came from, before anybody
  gets it. If the store fails, the pair serves from memory, and saving goes on until the client is closed.
* **Only a refusal is a refusal.** Trouble on the network or in the service is never told as wrong credentials.
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from datetime import UTC, datetime, timedelta

import attrs

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials, TokenProvider
from smappee_async.auth.endpoint import TOKEN_CALL, Send, TokenEndpoint, Unspent, not_through, server_failed
from smappee_async.auth.lifetime import Clocks, ClockTimes, TokenLifetime
from smappee_async.auth.stores import Lease, TokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.errors import (
    AuthenticationError,
    ClientClosed,
    RefreshTokenLost,
    SmappeeError,
    TokenStoreError,
)
from smappee_async.events import ClientEvent, EventKind, OnEvent, tell
from smappee_async.protocol.responses import Granted, Refused, Unclear
from smappee_async.secret import Secret

#: How often a renewal starts over because its lock was lost or somebody else wrote. Twice in a row is already strange.
_ROUNDS = 3


class TokenManager:
    """Gives access tokens, and renews them.

    :param send: makes one attempt at a request; raises :class:`TransportError` or :class:`ResponseTooLarge`.
    :param jitter: between 0 and 1: how early to renew within the jitter that spreads a fleet of processes out.
    """

    def __init__(
        self,
        credentials: Credentials,
        store: TokenStore,
        base_url: str,
        send: Send,
        *,
        on_event: OnEvent | None = None,
        clocks: Clocks | None = None,
        jitter: float | None = None,
    ) -> None:
        self._credentials = credentials
        self._endpoint = TokenEndpoint(credentials, base_url, send)
        self._store = store
        self._on_event = on_event
        self._clocks = clocks or Clocks(time.time, asyncio.get_running_loop().time)
        self._jitter = random.random() if jitter is None else jitter
        self._current: _Current | None = None
        self._rejected: set[Secret] = set()  # access tokens that Smappee refused, until there is another
        self._spare = credentials.refresh_token  # until the first token of this life
        self._refusal: _Refusal | None = None
        self._renewal: asyncio.Task[Token | SmappeeError] | None = None
        self._quiet_until = float("-inf")  # monotonic: no early renewal before this
        self._unsaved: _NewPair | None = None
        self._saving: asyncio.Task[None] | None = None
        self._closed = False

    # --- for the callers ----------------------------------------------------------------------------------------------

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """An access token that is good now; renewed first where need be.

        :param rejected: a token that Smappee refused. Only if it is still the current one is it renewed.
        :raises AuthenticationError: Smappee refuses the credentials.
        :raises RequestError: the token call did not get through; says nothing about the credentials.
        :raises TokenStoreError: the store failed.
        """
        if self._closed:
            raise ClientClosed("the client is closed")
        if rejected is not None and (self._current is None or self._current.token.access_token == rejected):
            self._rejected.add(rejected)
            self._current = None
        if (at_hand := self._at_hand()) is not None:
            return at_hand.access_token
        for _ in range(2):  # the first may be a renewal that was about to end with the rejected token
            renewal = self._renew_soon()
            # Waiting on the task, not awaiting it: a cancelled waiter leaves the renewal and the other waiters alone.
            await asyncio.wait([renewal])
            if renewal.cancelled():
                raise ClientClosed("the client was closed while a token was being renewed")
            outcome = renewal.result()
            if isinstance(outcome, SmappeeError):
                # A copy for each waiter: an exception collects the traceback and the facts of whoever raises it.
                raise copy.copy(outcome)
            if outcome.access_token != rejected:
                return outcome.access_token
        raise AuthenticationError("Smappee refuses the access token that it just gave", facts=TOKEN_CALL)

    async def aclose(self) -> None:
        """Let a renewal that is under way come to its end, and save what is not saved yet.

        :raises TokenStoreError: the latest tokens could not be saved; the next start must log in anew.
        """
        self._closed = True
        try:
            if self._renewal is not None:
                await asyncio.wait([self._renewal], timeout=defaults.CLOSE_WAIT_S)
        finally:
            tasks = [task for task in (self._renewal, self._saving) if task is not None]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        if (problem := await self._save_unsaved()) is not None:
            raise TokenStoreError(
                f"the latest tokens could not be saved ({problem})",
                advice="Mend the token store; the next start must log in with user name and password",
            )

    def _at_hand(self) -> Token | None:
        """The current token while it serves; when its end comes near, a renewal begins in the background."""
        if self._current is None:
            return None
        now = self._clocks.now()
        life = self._current.life
        if not life.is_fresh(now):
            if life.left_s(now) <= 0:
                return None
            if now.monotonic >= self._quiet_until:
                self._renew_soon()
        return self._current.token

    # --- one renewal at a time ----------------------------------------------------------------------------------------

    def _renew_soon(self) -> asyncio.Task[Token | SmappeeError]:
        """The renewal that is under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="smappee token renewal")
        return self._renewal

    async def _renew(self) -> Token | SmappeeError:
        """Renew. An error is returned, not raised, for perhaps nobody is waiting."""
        token: Token | None = None
        error: SmappeeError = TokenStoreError(
            "another process wrote to the token store, or its lock was lost, in the middle of every try to renew",
            facts=TOKEN_CALL,
        )
        try:
            for _ in range(_ROUNDS):
                try:
                    async with self._store.lock() as lease:
                        token = await self._renew_locked(lease)
                    return token  # noqa: RET504 - giving back the lock may fail in between
                except _StartOver:
                    continue
        except SmappeeError as caught:
            error = copy.copy(caught)  # without its traceback and context
        except Exception as caught:  # noqa: BLE001 - a host's store may raise anything
            error = TokenStoreError(f"the token store failed ({_name(caught)})")
        if token is not None:
            return token  # only giving back the lock failed
        self._quiet_until = self._clocks.monotonic() + defaults.REFRESH_RETRY_S
        return error

    async def _renew_locked(self, lease: Lease) -> Token:
        stored = await self._store.load() or StoredToken()
        self._check_account(stored)
        if self._unsaved is not None and self._unsaved.may_replace(stored):
            # Newer than what is kept, for the store failed to take it.
            stored = attrs.evolve(stored, token=self._unsaved.token, refreshing=False)
        if (adopted := self._adopt(stored)) is not None:
            return adopted
        if self._refusal is not None:
            self._refusal.check(stored.token, self._clocks.monotonic())
        refresh_token = self._credentials.refresh_token if stored.token is None else stored.token.refresh_token
        if refresh_token is None or (stored.refreshing and self._credentials.can_log_in):
            return await self._log_in(stored, lease)
        marked = stored.following(stored.token, refreshing=True)
        try:
            is_marked = await self._store.replace(stored.generation, marked)
        except Exception as error:
            # Nothing is spent yet. Without the mark, others could spend the refresh token again.
            if not self._credentials.can_log_in:
                raise
            self._tell_not_saved(_name(error))
            return await self._log_in(stored, lease)
        if not is_marked:
            raise _StartOver
        return await self._refresh(marked, refresh_token, lease, is_replay=stored.refreshing)

    def _check_account(self, stored: StoredToken) -> None:
        whose, ours = stored.token.account if stored.token is not None else "", self._credentials.account
        if whose and ours and whose != ours:
            raise TokenStoreError(
                "the token store holds the tokens of another account",
                facts=TOKEN_CALL,
                advice="Give each account a file or a key of its own, or remove what is kept there",
            )

    def _adopt(self, stored: StoredToken) -> Token | None:
        """The stored token, if it need not be renewed: then another process has just done so."""
        token, current, now = stored.token, self._current, self._clocks.now()
        if token is None or token.access_token in self._rejected:
            return None
        if current is not None and token.access_token == current.token.access_token:
            return token if current.life.is_fresh(now) else None
        life = TokenLifetime.of(token.expires_at.timestamp() - now.wall, now, self._jitter)
        if not life.is_fresh(now) or life.left_s(now) > defaults.MAX_TOKEN_LIFE_S:
            return None  # it ends, or its end was written by a clock that is far off
        self._use(token, life)
        self._tell("token_adopted", "taken from the token store")
        return token

    def _use(self, token: Token, life: TokenLifetime) -> None:
        self._current = _Current(token, life)
        self._rejected.clear()
        self._spare = None
        self._refusal = None
        self._quiet_until = float("-inf")

    # --- the two grants -----------------------------------------------------------------------------------------------

    async def _refresh(self, marked: StoredToken, refresh_token: Secret, lease: Lease, *, is_replay: bool) -> Token:
        """Trade the refresh token for a new pair.

        :param marked: what is kept now, with the mark that this is under way.
        :param is_replay: whether the refresh token may have been spent before.
        """
        while True:
            if not _is_held(lease):
                await self._unmark(marked, is_replay=is_replay)
                raise _StartOver
            started = self._clocks.now()
            outcome = await self._endpoint.refresh(refresh_token)
            is_lost = isinstance(outcome, Unclear) and not server_failed(outcome)
            if not is_lost or is_replay or self._credentials.can_log_in:
                break
            # RFC 9700 section 4.14.2: a replay may revoke all tokens of this login. Without a password there is nothing
            # better, and some servers allow it for exactly this case; once.
            is_replay = True
        if isinstance(outcome, Granted):
            return await self._publish(outcome, marked, started, refresh_token, "refresh")
        if isinstance(outcome, Unspent):
            await self._unmark(marked, is_replay=is_replay)
            raise outcome.error
        await self._check_unchanged(marked)
        if self._credentials.can_log_in:
            return await self._log_in(marked, lease)
        if isinstance(outcome, Refused):
            if outcome.definite and self._spare is not None and self._spare != refresh_token:
                # What the store held is dead, and the credentials brought another: perhaps to mend just that.
                spare, self._spare = self._spare, None
                return await self._refresh(marked, spare, lease, is_replay=is_replay)
            await self._unmark(marked, is_replay=is_replay)
            lost = is_replay and outcome.definite
            error = _lost() if lost else _refused(outcome, "the refresh token")
            raise self._refuse(error, marked.token, definite=outcome.definite)
        if server_failed(outcome):
            raise not_through(outcome)  # the mark stays: the refresh token is kept, and may be spent
        raise self._refuse(_lost(), marked.token, definite=True)

    async def _log_in(self, stored: StoredToken, lease: Lease) -> Token:
        """Get a new pair for user name and password, in place of the one that is kept."""
        if not _is_held(lease):
            raise _StartOver
        started = self._clocks.now()
        outcome = await self._endpoint.log_in()
        if isinstance(outcome, Granted):
            return await self._publish(outcome, stored, started, None, "password")
        if isinstance(outcome, Unspent):
            raise outcome.error
        await self._check_unchanged(stored)
        if isinstance(outcome, Unclear):
            raise not_through(outcome)
        error = _refused(outcome, "the client id, client secret, user name or password")
        raise self._refuse(error, stored.token, definite=outcome.definite)

    def _refuse(self, error: AuthenticationError, token: Token | None, *, definite: bool) -> AuthenticationError:
        """Remember a refusal: while the store holds the same pair, Smappee is asked later, or not at all."""
        wait_s = float("inf")
        if not definite:
            before = self._refusal
            wait_s = defaults.REFUSAL_WAIT_S
            if before is not None and before.token == token:
                wait_s = min(before.wait_s * 2, defaults.REFUSAL_MAX_WAIT_S)
        self._refusal = _Refusal(error, token, wait_s, until=self._clocks.monotonic() + wait_s)
        return error

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def _publish(
        self, granted: Granted, replaced: StoredToken, started: ClockTimes, old_refresh: Secret | None, how: str
    ) -> Token:
        """Keep the new pair, then use it."""
        token = Token(
            granted.access_token,
            granted.refresh_token or old_refresh,
            # Counted from before the call, so that the token is never thought to live longer than it does.
            datetime.fromtimestamp(started.wall, UTC) + timedelta(seconds=granted.expires_in_s),
            self._credentials.account or (replaced.token.account if replaced.token is not None else ""),
        )
        before = self._unsaved
        # From this line on, whatever happens to this task, the pair is known and will be saved.
        self._unsaved = pair = _NewPair(token, (replaced.token, *(before.replaces if before is not None else ())))
        kept: StoredToken | None = None
        try:
            async with asyncio.timeout(defaults.TOKEN_TIMEOUT_S):
                kept = await self._keep(pair)
        except Exception as error:  # noqa: BLE001 - losing the pair would cost more than using it unsaved
            self._tell_not_saved(_name(error))
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._keep_saving(), name="smappee token saving")
        if kept is not None and kept.token != token and (adopted := self._adopt(kept)) is not None:
            return adopted  # the lock was lost on the way, and somebody else was quicker: one pair for all
        self._use(token, TokenLifetime.of(granted.expires_in_s, started, self._jitter))
        self._tell("token_renewed", f"by {how}")
        return token

    async def _keep(self, pair: _NewPair) -> StoredToken:
        """Write a new pair, unless the store holds a newer one; what is kept then."""
        for _ in range(_ROUNDS):
            stored = await self._store.load() or StoredToken()
            kept = stored.following(pair.token)
            if not pair.may_replace(stored):
                kept = stored
            elif not await self._store.replace(stored.generation, kept):
                continue
            if self._unsaved is pair:
                self._unsaved = None
            return kept
        raise TokenStoreError("the token store changes at every try to write to it")

    async def _keep_saving(self) -> None:
        wait_s = defaults.SAVE_RETRY_S
        while self._unsaved is not None:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, defaults.SAVE_RETRY_MAX_S)
            if (problem := await self._save_unsaved()) is not None:
                self._tell_not_saved(problem)

    async def _save_unsaved(self) -> str | None:
        """Save the pair that the store failed to take; what went wrong, if anything."""
        if self._unsaved is None:
            return None
        try:
            async with asyncio.timeout(defaults.CLOSE_WAIT_S), self._store.lock():
                if self._unsaved is not None:
                    await self._keep(self._unsaved)
        except Exception as error:  # noqa: BLE001 - a host's store may raise anything
            return _name(error)
        return None

    async def _unmark(self, marked: StoredToken, *, is_replay: bool) -> None:
        """Take the mark back: nothing was spent. After a replay it stays, for what came before it may have been."""
        if is_replay:
            return
        try:
            await self._store.replace(marked.generation, marked.following(marked.token))
        except Exception as error:  # noqa: BLE001 - the mark that is left costs one login, or one replay
            self._tell_not_saved(_name(error))

    async def _check_unchanged(self, expected: StoredToken) -> None:
        """Start over if somebody else wrote: a refusal may only mean that they were quicker."""
        stored = await self._store.load() or StoredToken()
        if stored.generation != expected.generation:
            raise _StartOver

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell_not_saved(self, problem: str) -> None:
        self._tell("token_not_saved", problem)

    def _tell(self, kind: EventKind, detail: str) -> None:
        tell(self._on_event, ClientEvent(kind=kind, facts=TOKEN_CALL, detail=detail))


class _StartOver(Exception):
    """The lock was lost, or somebody wrote without it: begin again with what is kept now."""


@attrs.frozen
class _Current:
    """The token that this process uses now."""

    token: Token
    life: TokenLifetime


@attrs.frozen
class _NewPair:
    """A pair that is not saved yet, and the pairs it came from: only in their place may it be written."""

    token: Token
    replaces: tuple[Token | None, ...]

    def may_replace(self, stored: StoredToken) -> bool:
        """Whether what is kept is nobody else's newer pair."""
        return stored.token is None or stored.token in self.replaces


@attrs.frozen
class _Refusal:
    """Smappee said no; it is not asked the same again and again."""

    error: AuthenticationError
    token: Token | None
    wait_s: float
    until: float

    def check(self, token: Token | None, now: float) -> None:
        """Raise what was remembered, unless the store holds another pair now or it is time to ask again."""
        if token == self.token and now < self.until:
            raise copy.copy(self.error)


def _is_held(lease: Lease) -> bool:
    """Whether the lock is sure to last for one call."""
    return lease.remaining_s() >= defaults.TOKEN_TIMEOUT_S


def _refused(refused: Refused, what: str) -> AuthenticationError:
    code = f" with {refused.code}" if refused.code else ""
    return AuthenticationError(f"Smappee refused {what}{code}", facts=attrs.evolve(TOKEN_CALL, status=refused.status))


def _lost() -> RefreshTokenLost:
    return RefreshTokenLost("a refresh was sent and its response was lost", facts=TOKEN_CALL)


def _name(error: Exception) -> str:
    """What may be told of any exception: only our own are known to hold no secret."""
    return error.reason if isinstance(error, SmappeeError) else type(error).__name__


class ProvidedTokens:
    """Access tokens from a host program that owns the login.

    The provider is asked before each call, by as many tasks as are calling: it keeps its token at hand and sees to it
    that it is renewed once.
    """

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """The provider's token.

        :raises AuthenticationError: it gave none that can be used, or again the one that Smappee had refused.
        """
        token = _checked(await self._provider.access_token(None if rejected is None else rejected.reveal()))
        if token is None:
            raise AuthenticationError(
                "the token provider gave no usable access token",
                advice="A TokenProvider must return the token itself: a text without spaces, and without 'Bearer'",
            )
        if token == rejected:
            raise AuthenticationError(
                "the token provider gave the access token again that Smappee had refused",
                advice="A TokenProvider must renew when it is told which token was rejected",
            )
        return token

    async def aclose(self) -> None:
        """Nothing to do: the host owns the login."""


def _checked(token: object) -> Secret | None:
    """A token that can go into a header and cannot end it."""
    is_usable = isinstance(token, str) and token and token.isascii() and token.isprintable() and " " not in token
    return Secret(token) if isinstance(token, str) and is_usable else None
