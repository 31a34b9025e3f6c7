"""One call to the token endpoint, and what it means for the refresh token that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.errors import AuthenticationError, ResponseTooLarge, TransportError, without_frames
from smappee_async.protocol.oauth import (
    TOKEN_CALL,
    TokenOutcome,
    Unclear,
    Unspent,
    password_grant,
    read_token,
    refresh_grant,
)
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret

Send = Callable[[Request], Awaitable[Response]]
"""Sends a request once; raises :class:`TransportError` or :class:`ResponseTooLarge`."""


class TokenEndpoint:
    """Sends token calls. Never repeats one by itself: only the caller knows what a repetition may cost.

    :param base_url: without a trailing slash.
    :param send: sends a request once.
    """

    def __init__(self, credentials: Credentials, base_url: str, send: Send) -> None:
        self._credentials = credentials
        self._base_url = base_url
        self._send = send

    async def log_in(self) -> TokenOutcome:
        """Ask for a new pair with user name and password.

        :raises AuthenticationError: the credentials contain no user name or no password.
        """
        credentials = self._credentials
        if credentials.username is None or credentials.password is None:
            raise AuthenticationError(
                "no token is stored, and there are no user name and password to log in with",
                facts=TOKEN_CALL,
                advice="Give the credentials a user name and a password, or a refresh token",
            )
        return await self._call(
            password_grant(
                self._base_url,
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
                username=credentials.username,
                password=credentials.password,
            )
        )

    async def refresh(self, refresh_token: Secret) -> TokenOutcome:
        """Ask for a new pair with a refresh token. If the server grants it, the refresh token is spent."""
        return await self._call(
            refresh_grant(
                self._base_url,
                client_id=self._credentials.client_id,
                client_secret=self._credentials.client_secret,
                refresh_token=refresh_token,
            )
        )

    async def _call(self, request: Request) -> TokenOutcome:
        try:
            async with asyncio.timeout(defaults.TOKEN_TIMEOUT_S):
                return read_token(await self._send(request))
        except TimeoutError:
            return Unclear.because(f"the token endpoint took longer than {defaults.TOKEN_TIMEOUT_S:g} s")
        except TransportError as error:
            # A new error, because a flag such as timed_out would be taken for a flag of the call that needs the token.
            return Unclear.because(error.reason) if error.sent else Unspent(error=without_frames(error))
        except ResponseTooLarge as error:
            return Unclear.because(error.reason, error.facts.status)
