"""A pair of tokens, and the record in which it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Self

import attrs

from smappee_async.secret import Secret, to_optional_secret, to_secret

#: The year 5138. A larger number of seconds since 1970 is in fact milliseconds, or wrong.
_LATEST_S: Final = 1e11


@attrs.frozen
class Token:
    """An access token, the refresh token that renews it, and when it ends.

    :param access_token: sent with every call.
    :param refresh_token: valid for one renewal, which gives the next one; ``None`` if the service gave none.
    :param expires_at: when the access token ends, an aware datetime.
    :param account: whose tokens these are, see :attr:`Credentials.account`; empty if that is not known.
    """

    access_token: Secret = attrs.field(converter=to_secret)
    refresh_token: Secret | None = attrs.field(converter=to_optional_secret)
    expires_at: datetime
    account: str = ""

    def to_dict(self) -> dict[str, str | float | None]:
        """Plain JSON, **with the secrets in clear text**: only for a safe place that the host program owns."""
        return {
            "access_token": self.access_token.reveal(),
            "refresh_token": None if self.refresh_token is None else self.refresh_token.reveal(),
            "expires_at": self.expires_at.timestamp(),
            "account": self.account,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The pair that :meth:`to_dict` was called on.

        :raises ValueError: the data is not of this form; the message contains none of it.
        """
        access, refresh, expires_at = (data.get(name) for name in ("access_token", "refresh_token", "expires_at"))
        account = data.get("account", "")
        if not isinstance(account, str):
            account = ""
        if not isinstance(access, str) or not access or not (refresh is None or isinstance(refresh, str)):
            raise ValueError("not a stored token: its tokens are not text")
        if isinstance(expires_at, bool) or not isinstance(expires_at, (int, float)) or not 0 <= expires_at < _LATEST_S:
            raise ValueError("not a stored token: expires_at is not seconds since 1970")
        return cls(access, refresh or None, datetime.fromtimestamp(expires_at, UTC), account)


@attrs.frozen(kw_only=True)
class StoredToken:
    """The record in a store, always written and read as a whole.

    :param generation: counts the writes, so that a writer can tell whether another process wrote since it read.
    :param token: the pair; ``None`` before the first login.
    :param refreshing: the mark that a refresh has begun. A process that holds the lock and finds the mark knows that
        the refresh was cut off, and that the refresh token may be spent.
    """

    generation: int = 0
    token: Token | None = None
    refreshing: bool = False

    def following(self, token: Token | None, *, refreshing: bool = False) -> StoredToken:
        """The record of the next generation."""
        return StoredToken(generation=self.generation + 1, token=token, refreshing=refreshing)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, **with the secrets in clear text**."""
        return {
            "version": 1,
            "generation": self.generation,
            "refreshing": self.refreshing,
            "token": None if self.token is None else self.token.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The record that :meth:`to_dict` was called on.

        :raises ValueError: the data is not of this form; the message contains none of it.
        """
        generation, refreshing, token = (data.get(name) for name in ("generation", "refreshing", "token"))
        if isinstance(generation, bool) or not isinstance(generation, int) or generation < 0:
            raise ValueError("not a stored token: no generation")
        if not isinstance(refreshing, bool) or not (token is None or isinstance(token, dict)):
            raise ValueError("not a stored token: wrong types")
        return cls(
            generation=generation, token=None if token is None else Token.from_dict(token), refreshing=refreshing
        )
