"""One call to the token endpoint, and what its response means for the refresh token that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import attrs

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.errors import (
    AuthenticationError,
    CallFacts,
    RequestError,
    ResponseTooLarge,
    ServerError,
    TransportError,
)
from smappee_async.protocol.requests import Request, password_grant, refresh_grant
from smappee_async.protocol.responses import Granted, NotNow, Refused, Response, Unclear, read_token
from smappee_async.secret import Secret

Send = Callable[[Request], Awaitable[Response]]

TOKEN_CALL = CallFacts(method="POST", route="/oauth2/token")


@attrs.frozen
class Unspent:
    """Nothing was granted and nothing was spent: asking again later is safe."""

    error: RequestError


Outcome = Granted | Refused | Unspent | Unclear


class TokenEndpoint:
    """Asks for tokens. Never asks twice by itself: that is for those who know what a second time may cost.

    :param send: makes one attempt at a request; raises :class:`TransportError` or :class:`ResponseTooLarge`.
    """

    def __init__(self, credentials: Credentials, base_url: str, send: Send) -> None:
        self._credentials = credentials
        self._base_url = base_url
        self._send = send

    async def log_in(self) -> Outcome:
        """With user name and password.

        :raises AuthenticationError: there are none.
        """
        credentials = self._credentials
        if credentials.username is None or credentials.password is None:
            raise AuthenticationError(
                "no token is stored, and there are no user name and password to log in with",
                facts=TOKEN_CALL,
                advice="Give the credentials a user name and a password, or a refresh token",
            )
        return await self._ask(
            password_grant(
                self._base_url,
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
                username=credentials.username,
                password=credentials.password,
            )
        )

    async def refresh(self, refresh_token: Secret) -> Outcome:
        """With a refresh token, which is spent by that if it is granted."""
        return await self._ask(
            refresh_grant(
                self._base_url,
                client_id=self._credentials.client_id,
                client_secret=self._credentials.client_secret,
                refresh_token=refresh_token,
            )
        )

    async def _ask(self, request: Request) -> Outcome:
        try:
            async with asyncio.timeout(defaults.TOKEN_TIMEOUT_S):
                response = await self._send(request)
        except TimeoutError:
            return Unclear(reason=f"the token endpoint took longer than {defaults.TOKEN_TIMEOUT_S:g} s", status=None)
        except TransportError as error:
            return Unclear(reason=error.reason, status=None) if error.sent else Unspent(error)
        except ResponseTooLarge as error:
            return Unclear(reason=error.reason, status=error.facts.status)
        outcome = read_token(response)
        return Unspent(outcome.error.with_facts(TOKEN_CALL)) if isinstance(outcome, NotNow) else outcome


def server_failed(outcome: Unclear) -> bool:
    """Whether the server said that it failed, rather than that its response did not arrive."""
    return outcome.status is not None and outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def not_through(outcome: Unclear) -> RequestError:
    """The error for a call whose outcome is unknown. It says nothing about the credentials."""
    failed = ServerError if server_failed(outcome) else TransportError
    return failed(outcome.reason, facts=attrs.evolve(TOKEN_CALL, status=outcome.status))
