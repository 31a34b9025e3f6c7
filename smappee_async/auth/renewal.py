"""One renewal at a time among all processes that share a store.

A refresh token is valid for one use: a second use, or a lost response, can lock the account out. And a process may be
killed at any point. These rules prevent the loss:

* **Renew under the store's lock.** A process that gets the lock first checks whether another one has renewed already.
  A lock that can be lost is checked before each call.
* **Mark before the call.** A process that gets the lock and finds the mark knows that a renewal was cut off, and that
  the refresh token may be spent.
* **Save before use.** A new pair goes to the store before anything uses it, and only in place of the pair that it comes
  from.
* **Only a refusal is a refusal.** A failure of the network or of the service is never reported as wrong credentials.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.auth.current import CurrentToken
from smappee_async.auth.endpoint import TokenEndpoint
from smappee_async.auth.lifetime import Clocks, ClockTimes
from smappee_async.auth.refusals import Refusals, lost, refused
from smappee_async.auth.saving import TokenSaver
from smappee_async.auth.stores import Lease, TokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.errors import SmappeeError, TokenStoreError, without_frames
from smappee_async.events import ClientEvent, EventReporter, RunningOperation, describe
from smappee_async.protocol.oauth import TOKEN_CALL, Granted, Unclear, Unspent
from smappee_async.secret import Opaque, Secret


class TokenRenewer:
    """Renews the token. Not more than one renewal at a time may be started.

    :param saver: writes new pairs to the store.
    :param current: the token that this process uses; a renewal replaces it.
    :ivar refusals: what Smappee refused.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: TokenEndpoint,
        store: TokenStore,
        saver: TokenSaver,
        current: CurrentToken,
        clocks: Clocks,
        reporter: EventReporter,
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._store = store
        self._saver = saver
        self._current = current
        self._clocks = clocks
        self._reporter = reporter
        self.refusals = Refusals(clocks.monotonic)
        # The credentials' own refresh token, until there is a token.
        self._spare = credentials.refresh_token

    async def renew(self) -> Token | SmappeeError:
        """Renew. An error is returned, not raised, because there may be no task that waits for it."""
        with self._reporter.operation("token_renewal", TOKEN_CALL) as operation:
            outcome = await self._renew(operation)
            if isinstance(outcome, SmappeeError):
                operation.note(status=outcome.facts.status)
                operation.fail(outcome)
        return outcome

    async def _renew(self, operation: RunningOperation) -> Token | SmappeeError:
        token: Token | None = None
        for _ in range(defaults.RENEWAL_ROUNDS):
            try:
                async with self._store.lock() as lease:
                    token = await self._renew_locked(_Round(lease, operation))
            except _StartOver:
                continue
            except SmappeeError as caught:
                error: SmappeeError = without_frames(caught)
            except Exception as caught:  # noqa: BLE001 - a host's store may raise any exception
                error = TokenStoreError(f"the token store failed ({describe(caught)})")
            else:
                return token
            # With a token, only releasing the lock failed.
            return error if token is None else token
        return TokenStoreError(
            "another process wrote to the token store, or its lock was lost, in the middle of every try to renew",
            facts=TOKEN_CALL,
        )

    async def _renew_locked(self, this_round: _Round) -> Token:
        stored = await self._saver.load()
        self._check_account(stored)
        if (adopted := self._adopt(stored, this_round)) is not None:
            if self._saver.is_behind:
                await self._saver.save(adopted, None)
            return adopted
        self.refusals.check(stored.token)
        refresh_token = self._credentials.refresh_token if stored.token is None else stored.token.refresh_token
        if refresh_token is None or (stored.refreshing and self._credentials.can_log_in):
            return await self._log_in(stored, this_round)
        marked = stored.following(stored.token, refreshing=True)
        try:
            is_marked = await self._store.replace(stored.generation, marked)
        except Exception as error:
            # Nothing is spent yet. Without the mark, another process could spend the refresh token again.
            if not self._credentials.can_log_in:
                raise
            self._saver.report_failure(describe(error))
            return await self._log_in(stored, this_round)
        if not is_marked:
            raise _StartOver
        return await self._refresh(marked, refresh_token, this_round, is_replay=stored.refreshing)

    def _check_account(self, stored: StoredToken) -> None:
        theirs, ours = stored.token.account if stored.token is not None else "", self._credentials.account
        if theirs and ours and theirs != ours:
            raise TokenStoreError(
                "the token store holds the tokens of another account",
                facts=TOKEN_CALL,
                advice="Give each account a file or a key of its own, or remove what is stored there",
            )

    def _adopt(self, stored: StoredToken, this_round: _Round) -> Token | None:
        """The stored token, if it need not be renewed: then another process has just done so."""
        token, before = stored.token, self._current.access_token
        if token is None or not self._current.adopt(token, self._clocks.now()):
            return None
        self._saver.known.follow(token)
        detail = "taken from the token store"
        if token.access_token != before:
            self._forget_old_failures()
            self._reporter.tell(ClientEvent(kind="token_adopted", facts=TOKEN_CALL, detail=detail))
        this_round.operation.note(detail=detail)
        return token

    def _forget_old_failures(self) -> None:
        self._spare = None
        self.refusals.forget()

    # --- the two grants -----------------------------------------------------------------------------------------------

    async def _refresh(
        self, marked: StoredToken, refresh_token: Secret, this_round: _Round, *, is_replay: bool
    ) -> Token:
        """Exchange the refresh token for a new pair.

        :param marked: what the store holds now, with the mark that a renewal has begun.
        :param is_replay: whether the refresh token may have been spent before.
        """
        while True:
            if not this_round.is_locked():
                await self._unmark(marked, is_replay=is_replay)
                raise _StartOver
            started = self._clocks.now()
            outcome = await self._endpoint.refresh(refresh_token)
            if isinstance(outcome, Unclear):
                self._saver.known.sent_without_response(refresh_token)
            is_lost = isinstance(outcome, Unclear) and not outcome.server_failed
            if not is_lost or is_replay or self._credentials.can_log_in:
                break
            # RFC 9700 section 4.14.2: a replay may revoke all tokens of this login. Without a password there is no
            # other way, and some servers allow one replay because a response can be lost.
            is_replay = True
        if isinstance(outcome, Granted):
            return await self._publish(outcome, marked, started, this_round, old_refresh_token=refresh_token)
        if isinstance(outcome, Unspent):
            await self._unmark(marked, is_replay=is_replay)
            raise outcome.error
        await self._check_unchanged(marked)
        if self._credentials.can_log_in:
            return await self._log_in(marked, this_round)
        if isinstance(outcome, Unclear):
            if outcome.server_failed:
                raise outcome.error  # the mark stays: the refresh token is still stored, and may be spent
            raise self.refusals.remember(lost(), marked.token, definite=True)
        if outcome.definite and self._spare is not None and self._spare != refresh_token:
            # The stored refresh token is dead. The credentials contain another one, perhaps to repair this.
            spare, self._spare = self._spare, None
            return await self._refresh(marked, spare, this_round, is_replay=is_replay)
        await self._unmark(marked, is_replay=is_replay)
        error = lost() if is_replay and outcome.definite else refused(outcome, "the refresh token")
        raise self.refusals.remember(error, marked.token, definite=outcome.definite)

    async def _log_in(self, stored: StoredToken, this_round: _Round) -> Token:
        """Get a new pair with user name and password, in place of the stored one."""
        if not this_round.is_locked():
            raise _StartOver
        started = self._clocks.now()
        outcome = await self._endpoint.log_in()
        if isinstance(outcome, Granted):
            return await self._publish(outcome, stored, started, this_round, old_refresh_token=None)
        if isinstance(outcome, Unspent):
            raise outcome.error
        await self._check_unchanged(stored)
        if isinstance(outcome, Unclear):
            raise outcome.error
        error = refused(outcome, "the client id, client secret, user name or password")
        raise self.refusals.remember(error, stored.token, definite=outcome.definite)

    async def _publish(
        self,
        granted: Granted,
        replaced: StoredToken,
        started: ClockTimes,
        this_round: _Round,
        *,
        old_refresh_token: Secret | None,
    ) -> Token:
        """Save the new pair, then use it.

        :param replaced: what the store held.
        :param started: when the call began. Lifetimes count from then, so that none is assumed to be longer than it is.
        :param old_refresh_token: the one that was sent; ``None`` after a login.
        """
        token = Token(
            granted.access_token,
            granted.refresh_token or old_refresh_token,
            datetime.fromtimestamp(started.wall, UTC) + timedelta(seconds=granted.expires_in_s),
            self._credentials.account or (replaced.token.account if replaced.token is not None else ""),
        )
        saved = await self._saver.save(token, replaced.token)
        if saved is not None and saved.token != token and (adopted := self._adopt(saved, this_round)) is not None:
            return adopted  # the lock was lost, and another process was faster: all use one pair
        self._current.use(token, granted.expires_in_s, started)
        self._forget_old_failures()
        this_round.operation.note(detail="by password" if old_refresh_token is None else "by refresh")
        return token

    # --- the mark -----------------------------------------------------------------------------------------------------

    async def _unmark(self, marked: StoredToken, *, is_replay: bool) -> None:
        """Remove the mark: nothing was spent. After a replay it stays, because the first call may have spent it."""
        if is_replay:
            return
        try:
            await self._store.replace(marked.generation, marked.following(marked.token))
        except Exception as error:  # noqa: BLE001 - a mark that stays costs one login, or one replay
            self._saver.report_failure(describe(error))

    async def _check_unchanged(self, expected: StoredToken) -> None:
        """Start over if another process wrote: the refusal may only mean that the other one was faster."""
        if (await self._saver.load()).generation != expected.generation:
            raise _StartOver


class _Round(Opaque, msgspec.Struct, frozen=True, eq=False):
    """One try to renew, under the lock."""

    lease: Lease
    operation: RunningOperation

    def is_locked(self) -> bool:
        """Whether the lock is certain to last for one call."""
        return self.lease.remaining_s() >= defaults.TOKEN_TIMEOUT_S


class _StartOver(Exception):
    """The lock was lost, or another process wrote without it: begin again with what the store holds now."""
