"""The token that this process uses now."""

from __future__ import annotations

from smappee_async import defaults
from smappee_async.auth.lifetime import NO_LIFETIME, ClockTimes, TokenLifetime
from smappee_async.auth.tokens import Token
from smappee_async.secret import Secret


class CurrentToken:
    """The token that this process uses now, and the access tokens that Smappee refused since the last new one.

    :param jitter: between 0 and 1; with a larger one, tokens are renewed earlier.
    """

    def __init__(self, jitter: float) -> None:
        self._jitter = jitter
        self._token: Token | None = None
        self._lifetime = NO_LIFETIME
        self._rejected: set[Secret] = set()

    @property
    def access_token(self) -> Secret | None:
        """The access token, even if it has ended; ``None`` if there is none or Smappee refused it."""
        return None if self._token is None else self._token.access_token

    def is_valid(self, now: ClockTimes) -> bool:
        """Whether there is a token and it has not ended."""
        return self._lifetime.remaining_s(now) > 0

    def is_fresh(self, now: ClockTimes) -> bool:
        """Whether there is a token and it need not be renewed yet."""
        return self._lifetime.is_fresh(now)

    def reject(self, access_token: Secret) -> None:
        """Smappee refused this access token. If there is another one by now, nothing changes."""
        if self._token is None or self._token.access_token == access_token:
            self._rejected.add(access_token)
            self._token, self._lifetime = None, NO_LIFETIME

    def use(self, token: Token, life_s: float, since: ClockTimes) -> None:
        """Use a new token.

        :param life_s: how many seconds the access token is valid.
        :param since: when this time began.
        """
        self._use(token, TokenLifetime.of(life_s, since, self._jitter))

    def adopt(self, token: Token, now: ClockTimes) -> bool:
        """Use a token from the store if it need not be renewed; whether that is so."""
        if token.access_token in self._rejected:
            return False
        if token.access_token == self.access_token:
            return self.is_fresh(now)
        lifetime = TokenLifetime.of(token.expires_at.timestamp() - now.wall, now, self._jitter)
        if not lifetime.is_fresh(now) or lifetime.remaining_s(now) > defaults.MAX_TOKEN_LIFE_S:
            return False  # it ends soon, or its end was written by a clock that is far off
        self._use(token, lifetime)
        return True

    def _use(self, token: Token, lifetime: TokenLifetime) -> None:
        self._token, self._lifetime = token, lifetime
        self._rejected.clear()
