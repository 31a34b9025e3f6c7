"""When a token is renewed, who does it, and what happens when that fails.

One renewal at a time, in a task of its own: whoever needs a token waits for it and may be cancelled without harm to
the others or to the new refresh token. What is new is kept in the store *before* it is used.
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import attrs

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials, TokenProvider
from smappee_async.auth.stores import Lease, TokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.errors import (
    AuthenticationError,
    CallFacts,
    RefreshTokenLost,
    ResponseTooLarge,
    SmappeeError,
    TokenStoreError,
    TransportError,
)
from smappee_async.events import Event, OnEvent, tell
from smappee_async.protocol.requests import Request, password_grant, refresh_grant
from smappee_async.protocol.responses import (
    Answer,
    Granted,
    NotNow,
    Refused,
    TokenOutcome,
    Unclear,
    read_token,
)
from smappee_async.secret import Secret

Send = Callable[[Request], Awaitable[Answer]]

_FACTS = CallFacts(method="POST", route="/oauth2/token")


@attrs.frozen
class Clocks:
    """Time as the token's life needs it: neither clock is enough alone.

    :param wall: seconds since 1970. Goes on while the machine sleeps, but may jump.
    :param monotonic: seconds. Never jumps, but may stand still while the machine sleeps.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]

    def reading(self) -> tuple[float, float]:
        """Both at once."""
        return self.wall(), self.monotonic()


@attrs.frozen
class Life:
    """How long a token is good, by both clocks; the one that says less is believed."""

    ends_wall: float
    ends_monotonic: float
    margin_s: float

    @classmethod
    def of(cls, life_s: float, reading: tuple[float, float], jitter: float) -> Life:
        """A token's life that begins now.

        :param jitter: between 0 and 1, drawn once per process.
        """
        share_s = life_s * defaults.REFRESH_MARGIN_SHARE
        margin_s = min(defaults.REFRESH_MARGIN_S, share_s) + jitter * min(defaults.REFRESH_JITTER_S, share_s)
        return cls(reading[0] + life_s, reading[1] + life_s, margin_s)

    def left_s(self, reading: tuple[float, float]) -> float:
        """Seconds left."""
        return min(self.ends_wall - reading[0], self.ends_monotonic - reading[1])

    def is_good(self, reading: tuple[float, float]) -> bool:
        """It still serves."""
        return self.left_s(reading) > 0

    def is_fresh(self, reading: tuple[float, float]) -> bool:
        """It serves, and need not be renewed yet."""
        return self.left_s(reading) > self.margin_s


@attrs.frozen
class _Current:
    """The token that this process uses now."""

    token: Token
    life: Life
    generation: int


class TokenManager:
    """Gives access tokens, and renews them.

    :param send: makes one attempt at a request; raises :class:`TransportError` or :class:`ResponseTooLarge`.
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
    ) -> None:
        self._credentials = credentials
        self._store = store
        self._base_url = base_url
        self._send = send
        self._on_event = on_event
        self._clocks = clocks or Clocks(time.time, asyncio.get_running_loop().time)
        self._jitter = random.random()
        self._current: _Current | None = None
        self._renewal: asyncio.Task[Token | SmappeeError] | None = None
        self._quiet_until = 0.0  # monotonic: no early renewal before this
        self._refusal = _Refusal()
        self._unsaved: StoredToken | None = None
        self._saving: asyncio.Task[None] | None = None

    # --- for the callers ----------------------------------------------------------------------------------------------

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """An access token that is good now; renewed first where need be.

        :param rejected: a token that Smappee refused. Only if it is still the current one is it renewed.
        :raises AuthenticationError: Smappee refuses the credentials.
        :raises RequestError: the token call did not get through; says nothing about the credentials.
        :raises TokenStoreError: the store failed.
        """
        current = self._current
        if current is not None and current.token.access_token != rejected:
            reading = self._clocks.reading()
            if current.life.is_fresh(reading):
                return current.token.access_token
            if current.life.is_good(reading):
                if reading[1] >= self._quiet_until:
                    self._renew_soon(rejected)
                return current.token.access_token
        for _ in range(2):
            # Waiting on the task, not awaiting it: a cancelled waiter leaves the renewal and the other waiters alone.
            await asyncio.wait([self._renew_soon(rejected)])
            token = self._outcome
            if isinstance(token, SmappeeError):
                # A copy for each waiter: an exception collects the traceback and the facts of whoever raises it.
                raise copy.copy(token)
            if token.access_token != rejected:
                return token.access_token
        raise AuthenticationError("Smappee refuses the access token that it just gave", facts=_FACTS)

    async def aclose(self) -> None:
        """Let a renewal that is under way come to its end, and save what is not saved yet.

        :raises TokenStoreError: the latest tokens could not be saved; the next start must log in anew.
        """
        if self._renewal is not None and not self._renewal.done():
            await asyncio.wait([self._renewal], timeout=defaults.CLOSE_WAIT_S)
        for task in (self._renewal, self._saving):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        if self._unsaved is not None:
            await self._save_again()

    # --- one renewal at a time ----------------------------------------------------------------------------------------

    def _renew_soon(self, rejected: Secret | None) -> asyncio.Task[Token | SmappeeError]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(rejected), name="smappee token renewal")
        return self._renewal

    @property
    def _outcome(self) -> Token | SmappeeError:
        """How the latest renewal ended."""
        assert self._renewal is not None
        if self._renewal.cancelled():
            return TransportError("the token renewal was stopped, for the client is closing", facts=_FACTS)
        return self._renewal.result()

    async def _renew(self, rejected: Secret | None) -> Token | SmappeeError:
        """Renew; an error is returned, so that nobody waits for an exception that nobody takes."""
        try:
            for _ in range(3):
                async with self._store.lock() as lease:
                    token = await self._renew_alone(rejected, lease)
                if token is not None:
                    return token
            return TokenStoreError("the token store keeps changing under its lock; does something else write to it?")
        except SmappeeError as error:
            self._quiet_until = self._clocks.monotonic() + defaults.REFRESH_RETRY_S
            return error.with_traceback(None)
        except OSError as error:
            return TokenStoreError(f"the token store failed: {error.strerror or type(error).__name__}")

    async def _renew_alone(self, rejected: Secret | None, lease: Lease) -> Token | None:
        """The renewal, under the store's lock; ``None`` if the lock turned out to be lost and it must start over."""
        stored = await self._store.load() or StoredToken()
        if self._unsaved is not None and self._unsaved.generation > stored.generation:
            # This process knows a newer pair than the store, which failed to take it.
            stored = attrs.evolve(self._unsaved, generation=stored.generation)
        if adopted := self._adopt(stored, rejected):
            return adopted
        self._refusal.check(stored.generation, self._clocks.monotonic())
        if lease.remaining_s() < defaults.TOKEN_TIMEOUT_S:
            return None
        refresh_token = stored.token.refresh_token if stored.token is not None else self._credentials.refresh_token
        if refresh_token is None or (stored.refreshing and self._credentials.can_log_in):
            # A mark without its end: somebody died in the middle of a refresh, and the refresh token may be spent.
            return await self._log_in(stored)
        marked = stored.following(stored.token, refreshing=True)
        if not await self._mark(stored, marked):
            return None
        return await self._refresh(marked, refresh_token, is_replay=stored.refreshing)

    def _adopt(self, stored: StoredToken, rejected: Secret | None) -> Token | None:
        """The stored token, if another process has already renewed it."""
        token = stored.token
        if token is None or token.access_token == rejected:
            return None
        reading = self._clocks.reading()
        life = Life.of(token.expires_at.timestamp() - reading[0], reading, self._jitter)
        if self._current is not None and token.access_token == self._current.token.access_token:
            life = self._current.life
        elif life.left_s(reading) > defaults.MAX_TOKEN_LIFE_S:
            return None  # written by a clock that was far off
        if not life.is_fresh(reading):
            return None
        if self._current is None or token.access_token != self._current.token.access_token:
            tell(self._on_event, Event(kind="token_adopted", facts=_FACTS, detail="another process had renewed it"))
        self._current = _Current(token, life, stored.generation)
        return token

    async def _mark(self, stored: StoredToken, marked: StoredToken) -> bool:
        """Write ahead that a refresh is under way, so that whoever follows after a crash does not trust the old token."""
        try:
            return await self._store.replace(stored.generation, marked)
        except Exception as error:
            # Without the mark a crash costs one more login; without the refresh nothing works at all.
            self._tell_not_saved(error)
            return True

    # --- the two grants -----------------------------------------------------------------------------------------------

    async def _refresh(self, marked: StoredToken, refresh_token: Secret, *, is_replay: bool) -> Token:
        request = refresh_grant(
            self._base_url,
            client_id=self._credentials.client_id,
            client_secret=self._credentials.client_secret,
            refresh_token=refresh_token,
        )
        started = self._clocks.reading()
        outcome = await self._ask(request)
        if isinstance(outcome, Unclear) and not self._credentials.can_log_in and not is_replay:
            # RFC 9700 section 4.14.2: a replay may revoke the whole family. Without a password there is nothing to lose.
            is_replay = True
            started = self._clocks.reading()
            outcome = await self._ask(request)
        if isinstance(outcome, Granted):
            return await self._publish(outcome, marked, started, refresh_token, "refresh")
        if isinstance(outcome, NotNow):
            if not is_replay:
                await self._unmark(marked)
            raise outcome.error.with_facts(_FACTS)
        if isinstance(outcome, TransportError):
            await self._unmark(marked)
            raise outcome
        if self._credentials.can_log_in:
            return await self._log_in(marked)
        if isinstance(outcome, Unclear) or is_replay:
            raise self._refusal.final(
                RefreshTokenLost("a refresh was sent and its answer was lost", facts=_FACTS), marked.generation
            )
        await self._unmark(marked)
        raise self._refused(outcome, "the refresh token", marked.generation + 1)

    async def _log_in(self, stored: StoredToken) -> Token:
        credentials = self._credentials
        if credentials.username is None or credentials.password is None:
            raise AuthenticationError(
                "no token is stored, and there are no user name and password to log in with",
                facts=_FACTS,
                advice="Give the credentials a user name and a password, or a refresh token",
            )
        request = password_grant(
            self._base_url,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            username=credentials.username,
            password=credentials.password,
        )
        started = self._clocks.reading()
        outcome = await self._ask(request)
        if isinstance(outcome, Granted):
            return await self._publish(outcome, stored, started, None, "password")
        if isinstance(outcome, Refused):
            raise self._refused(outcome, "the client id, client secret, user name or password", stored.generation)
        if isinstance(outcome, NotNow):
            raise outcome.error.with_facts(_FACTS)
        if isinstance(outcome, Unclear):
            raise TransportError(outcome.reason, facts=attrs.evolve(_FACTS, status=outcome.status))
        raise outcome

    async def _ask(self, request: Request) -> TokenOutcome | TransportError:
        """One token call. A :class:`TransportError` comes back only if nothing of it was sent."""
        try:
            async with asyncio.timeout(defaults.TOKEN_TIMEOUT_S):
                answer = await self._send(request)
        except TimeoutError:
            return Unclear(reason=f"the token endpoint took longer than {defaults.TOKEN_TIMEOUT_S:g} s", status=None)
        except TransportError as error:
            return Unclear(reason=error.reason, status=None) if error.sent else error.with_traceback(None)
        except ResponseTooLarge as error:
            return Unclear(reason=error.reason, status=error.facts.status)
        return read_token(answer)

    def _refused(self, refused: Refused, what: str, generation: int) -> AuthenticationError:
        code = f" with {refused.code}" if refused.code else ""
        error = AuthenticationError(
            f"Smappee refused {what}{code}", facts=attrs.evolve(_FACTS, status=refused.status)
        )
        if refused.definite:
            return self._refusal.final(error, generation)
        return self._refusal.for_now(error, generation, self._clocks.monotonic())

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def _publish(
        self, granted: Granted, stored: StoredToken, started: tuple[float, float], old_refresh: Secret | None, how: str
    ) -> Token:
        """Keep the new pair, then use it."""
        # Counted from before the call, so that the token is never thought to live longer than it does.
        token = Token(
            granted.access_token,
            granted.refresh_token or old_refresh,
            datetime.fromtimestamp(started[0], UTC) + timedelta(seconds=granted.expires_in_s),
        )
        new = stored.following(token)
        try:
            saved = await self._store.replace(stored.generation, new)
            self._unsaved = None
        except Exception as error:
            # Losing the pair would cost more than using it unsaved.
            saved = True
            self._tell_not_saved(error)
            self._unsaved = new
            self._save_soon()
        if not saved and (newer := await self._store.load()) is not None and (adopted := self._adopt(newer, None)):
            # The lock was lost on the way, and somebody else was quicker: one pair for all.
            return adopted
        self._refusal = _Refusal()
        self._quiet_until = 0.0
        self._current = _Current(token, Life.of(granted.expires_in_s, started, self._jitter), new.generation)
        tell(self._on_event, Event(kind="token_renewed", facts=_FACTS, detail=f"by {how}"))
        return token

    async def _unmark(self, marked: StoredToken) -> None:
        try:
            await self._store.replace(marked.generation, marked.following(marked.token))
        except Exception as error:
            self._tell_not_saved(error)

    def _save_soon(self) -> None:
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._keep_saving(), name="smappee token saving")

    async def _keep_saving(self) -> None:
        wait_s = defaults.SAVE_RETRY_S
        while self._unsaved is not None:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, defaults.SAVE_RETRY_MAX_S)
            try:
                async with self._store.lock():
                    await self._save_again()
            except Exception as error:
                self._tell_not_saved(error)

    async def _save_again(self) -> None:
        unsaved = self._unsaved
        if unsaved is None:
            return
        stored = await self._store.load() or StoredToken()
        if stored.generation < unsaved.generation or stored.refreshing:
            await self._store.replace(stored.generation, attrs.evolve(unsaved, generation=stored.generation + 1))
        self._unsaved = None

    def _tell_not_saved(self, error: Exception) -> None:
        detail = str(error) if isinstance(error, SmappeeError) else type(error).__name__
        tell(self._on_event, Event(kind="token_not_saved", facts=_FACTS, detail=detail))


class _Refusal:
    """Remembers that Smappee said no, so that it is not asked the same again and again."""

    def __init__(self) -> None:
        self._error: AuthenticationError | None = None
        self._generation = -1
        self._until = 0.0
        self._wait_s = defaults.REFUSAL_WAIT_S

    def final(self, error: AuthenticationError, generation: int) -> AuthenticationError:
        """Not to be asked again with the same credentials and tokens."""
        self._error, self._generation, self._until = error, generation, float("inf")
        return error

    def for_now(self, error: AuthenticationError, generation: int, now: float) -> AuthenticationError:
        """The answer was too vague to be final: ask again, each time later."""
        self._error, self._generation, self._until = error, generation, now + self._wait_s
        self._wait_s = min(self._wait_s * 2, defaults.REFUSAL_MAX_WAIT_S)
        return error

    def check(self, generation: int, now: float) -> None:
        """Raise what was remembered, unless the store holds something newer or it is time to ask again."""
        if self._error is not None and generation <= self._generation and now < self._until:
            raise copy.copy(self._error)


class ProvidedTokens:
    """Access tokens from a host program that owns the login."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """The provider's token.

        :raises AuthenticationError: it gave again what Smappee had refused.
        """
        token = Secret(await self._provider.access_token(None if rejected is None else rejected.reveal()))
        if token == rejected:
            raise AuthenticationError(
                "the token provider gave the access token again that Smappee had refused",
                advice="A TokenProvider must renew when it is told which token was rejected",
            )
        return token

    async def aclose(self) -> None:
        """Nothing to do: the host owns the login."""
