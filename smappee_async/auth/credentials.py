"""Who logs in: credentials, or a host program that owns the login."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import NoReturn, Protocol, Self, runtime_checkable

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.secret import Secret, to_optional_secret, to_secret


@attrs.frozen(init=False)
class Credentials:
    """What Smappee gave you for API access, and the account to log in with ("Smappee API" overview).

    :param client_id: support@smappee.com sends it.
    :param client_secret: comes with the client id.
    :param username: the account's user name. It is not the e-mail address.
    :param password: the account's password.
    :param refresh_token: replaces user name and password. With both, the client logs in with the password if the
        refresh token is lost.
    :raises ConfigurationError: a value that is required is missing.
    """

    client_id: Secret
    client_secret: Secret
    username: Secret | None
    password: Secret | None
    refresh_token: Secret | None

    def __init__(
        self,
        client_id: str | Secret,
        client_secret: str | Secret,
        username: str | Secret | None = None,
        password: str | Secret | None = None,
        refresh_token: str | Secret | None = None,
    ) -> None:
        # The parameters are replaced, because an error would show this frame.
        client_id, client_secret = to_secret(client_id), to_secret(client_secret)
        username, password = to_optional_secret(username), to_optional_secret(password)
        refresh_token = to_optional_secret(refresh_token)
        self.__attrs_init__(client_id, client_secret, username, password, refresh_token)  # pyright: ignore[reportAttributeAccessIssue]

    def __attrs_post_init__(self) -> None:
        if not self.client_id or not self.client_secret:
            raise ConfigurationError(
                "client id and client secret are required", advice="Ask support@smappee.com for them"
            )
        if not self.can_log_in and not self.refresh_token:
            raise ConfigurationError("user name and password, or a refresh token, are required to log in")

    @property
    def can_log_in(self) -> bool:
        """Whether there are a user name and a password."""
        return bool(self.username) and bool(self.password)

    @property
    def account(self) -> str:
        """A hash of this login; empty if the user name is not known.

        It is stored with the tokens, so that no account uses the tokens of another one.
        """
        if not self.username:
            return ""
        login = f"{self.client_id.reveal()}\n{self.username.reveal()}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(login).hexdigest()[:16]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``SMAPPEE_CLIENT_ID``, ``SMAPPEE_CLIENT_SECRET``, ``SMAPPEE_USERNAME`` and ``SMAPPEE_PASSWORD``.

        ``SMAPPEE_REFRESH_TOKEN`` may replace the last two.

        :param environ: the variables; those of the process if ``None``.
        :raises ConfigurationError: some of them are not set; the error names them.
        """
        environ = os.environ if environ is None else environ
        names = ["SMAPPEE_CLIENT_ID", "SMAPPEE_CLIENT_SECRET"]
        if not environ.get("SMAPPEE_REFRESH_TOKEN"):
            names += ["SMAPPEE_USERNAME", "SMAPPEE_PASSWORD"]
        if missing := [name for name in names if not environ.get(name)]:
            del environ  # an error would show this frame
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
    """Gives access tokens from a host program that owns the login, in place of :class:`Credentials`."""

    async def access_token(self, rejected: str | None) -> str:
        """An access token that is valid now. Called before each call to Smappee, by several tasks at the same time.

        :param rejected: the token that Smappee just refused; it must not be returned again. Usually ``None``.
        """
        ...
