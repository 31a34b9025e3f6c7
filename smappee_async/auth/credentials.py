"""Who logs in: credentials, or a host program that owns the login."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import NoReturn, Protocol, Self, runtime_checkable

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.secret import Secret, to_optional_secret, to_secret


@attrs.frozen
class Credentials:
    """What Smappee gave out for API access, and the account to log in with ("Smappee API" overview).

    :param client_id: from support@smappee.com.
    :param client_secret: comes with the client id.
    :param username: the account's user name, which is not its e-mail address.
    :param password: the account's password.
    :param refresh_token: may stand in for user name and password. With both, the password is the way back when the
        refresh token is lost.
    :raises ConfigurationError: something needed is missing.
    """

    client_id: Secret = attrs.field(converter=to_secret)
    client_secret: Secret = attrs.field(converter=to_secret)
    username: Secret | None = attrs.field(default=None, converter=to_optional_secret)
    password: Secret | None = attrs.field(default=None, converter=to_optional_secret)
    refresh_token: Secret | None = attrs.field(default=None, converter=to_optional_secret)

    def __attrs_post_init__(self) -> None:
        if not self.client_id or not self.client_secret:
            raise ConfigurationError(
                "client id and client secret are needed", advice="support@smappee.com gives them out"
            )
        if not self.can_log_in and not self.refresh_token:
            raise ConfigurationError("user name and password, or a refresh token, are needed to log in")

    @property
    def can_log_in(self) -> bool:
        """Whether there are a user name and a password."""
        return bool(self.username) and bool(self.password)

    @property
    def account(self) -> str:
        """A name for this login that tells nothing of it; empty where the user name is not known.

        Tokens are kept with it, so that one account never gets another's.
        """
        if not self.username:
            return ""
        login = f"{self.client_id.reveal()}\n{self.username.reveal()}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(login).hexdigest()[:16]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """From ``SMAPPEE_CLIENT_ID``, ``SMAPPEE_CLIENT_SECRET``, ``SMAPPEE_USERNAME`` and ``SMAPPEE_PASSWORD``.

        ``SMAPPEE_REFRESH_TOKEN`` may stand in for the last two.

        :raises ConfigurationError: names the variables that are not set.
        """
        environ = os.environ if environ is None else environ
        names = ["SMAPPEE_CLIENT_ID", "SMAPPEE_CLIENT_SECRET"]
        if not environ.get("SMAPPEE_REFRESH_TOKEN"):
            names += ["SMAPPEE_USERNAME", "SMAPPEE_PASSWORD"]
        if missing := [name for name in names if not environ.get(name)]:
            raise ConfigurationError(f"not set in the environment: {', '.join(missing)}")
        return cls(
            environ["SMAPPEE_CLIENT_ID"],
            environ["SMAPPEE_CLIENT_SECRET"],
            environ.get("SMAPPEE_USERNAME") or None,
            environ.get("SMAPPEE_PASSWORD") or None,
            environ.get("SMAPPEE_REFRESH_TOKEN") or None,
        )

    def __getstate__(self) -> NoReturn:
        raise TypeError("credentials are not pickled or copied; read them from the environment in each process")


@runtime_checkable
class TokenProvider(Protocol):
    """A host program that owns the login gives access tokens itself, in place of :class:`Credentials`."""

    async def access_token(self, rejected: str | None) -> str:
        """An access token that is good now.

        :param rejected: the token that Smappee just refused, so that it is not given again; usually ``None``.
        """
        ...
