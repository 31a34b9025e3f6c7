"""A refusal by Smappee as an error, and remembered, so that it is not asked the same again and again."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import msgspec

from smappee_async import defaults
from smappee_async.auth.tokens import Token
from smappee_async.errors import AuthenticationError, RefreshTokenLost
from smappee_async.protocol.oauth import TOKEN_CALL, Refused
from smappee_async.secret import Opaque


class Refusals:
    """Remembers the last refusal. It ends when the store holds another pair, or when it is time to ask again.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: _Refusal | None = None

    def remember(self, error: AuthenticationError, token: Token | None, *, definite: bool) -> AuthenticationError:
        """Remember a refusal.

        :param token: the pair that the store held.
        :param definite: whether asking again with this pair cannot help. Otherwise it may be asked again after a wait
            that doubles with each refusal.
        :return: the error.
        """
        wait_s = math.inf
        if not definite:
            wait_s = defaults.REFUSAL_WAIT_S
            if self._last is not None and self._last.token == token:
                wait_s = min(self._last.wait_s * 2, defaults.REFUSAL_MAX_WAIT_S)
        self._last = _Refusal(error, token, wait_s, until=self._clock() + wait_s)
        return error

    def check(self, token: Token | None) -> None:
        """Raise the error that is remembered for this pair, if it is too early to ask again.

        :raises AuthenticationError: the error that is remembered.
        """
        last = self._last
        if last is not None and token == last.token and self._clock() < last.until:
            raise last.error

    def forget(self) -> None:
        """Forget the refusal, because there is a new token."""
        self._last = None


class _Refusal(Opaque, msgspec.Struct, frozen=True, eq=False):
    error: AuthenticationError
    token: Token | None
    wait_s: float
    until: float


def refused(outcome: Refused, what: str) -> AuthenticationError:
    """The error for a refusal.

    :param what: which of the credentials Smappee refused.
    """
    code = f" with {outcome.code}" if outcome.code else ""
    return AuthenticationError(f"Smappee refused {what}{code}", facts=attrs.evolve(TOKEN_CALL, status=outcome.status))


def lost() -> RefreshTokenLost:
    """The error where the refresh token may be spent, and there is no password."""
    return RefreshTokenLost("a refresh was sent and its response was lost", facts=TOKEN_CALL)
