"""The token calls: what is sent, and what a response of the token endpoint means.

Get token, service.md#get-token; Refresh token, service.md#refresh-token; RFC 6749.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlencode

import attrs
import msgspec

from smappee_async.defaults import FALLBACK_TOKEN_LIFE_S, MAX_TOKEN_CHARACTERS, MAX_TOKEN_LIFE_S
from smappee_async.errors import CallFacts, ConfigurationError, RequestError, ServerError, TransportError, unwrap
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response, status_error
from smappee_async.secret import Secret

#: What errors and events say about a token call.
TOKEN_CALL: Final = CallFacts(method="POST", route="/oauth2/token")

_NUMBER: Final = r"[0-9]{1,18}(\.[0-9]{1,9})?"
_ERROR_CODE: Final = r"[a-z_]{1,40}"
_DEFINITE: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type"})


# --- requests ---------------------------------------------------------------------------------------------------------


def password_grant(
    base_url: str, *, client_id: Secret, client_secret: Secret, username: Secret, password: Secret
) -> Request:
    """Log in with user name and password."""
    return _token_request(
        base_url,
        {
            "grant_type": Secret("password"),
            "client_id": client_id,
            "client_secret": client_secret,
            "username": username,
            "password": password,
        },
    )


def refresh_grant(base_url: str, *, client_id: Secret, client_secret: Secret, refresh_token: Secret) -> Request:
    """Exchange a refresh token for a new pair of tokens."""
    return _token_request(
        base_url,
        {
            "grant_type": Secret("refresh_token"),
            "refresh_token": refresh_token,
            "client_id": client_id,
            "client_secret": client_secret,
        },
    )


def _token_request(base_url: str, form: Mapping[str, Secret]) -> Request:
    return Request(
        method="POST",
        url=f"{base_url}/oauth2/token",
        route="/oauth2/token",
        form=unwrap(_encode(form)),
        replayable=False,
    )


def _encode(form: Mapping[str, Secret]) -> Secret | ConfigurationError:
    try:
        return Secret(urlencode({name: value.reveal() for name, value in form.items()}))
    except UnicodeEncodeError:
        return ConfigurationError(
            "a credential contains a character that UTF-8 cannot encode",
            advice="Check the encoding of the place from which the credentials were read",
        )


# --- outcomes ---------------------------------------------------------------------------------------------------------


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """The server gave new tokens.

    :param refresh_token: ``None`` if the old one stays valid (RFC 6749 section 6).
    :param expires_in_s: how many seconds the access token is valid.
    """

    access_token: Secret
    refresh_token: Secret | None
    expires_in_s: float


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The server refused the grant.

    :param code: the OAuth error code (RFC 6749 section 5.2); ``None`` if the body contains none that is known.
    :param definite: whether the response is an OAuth error that the same request would cause again. A 400 without
        such an error is not: for some days in January 2024, users with good credentials got it.
    """

    status: int
    code: str | None
    definite: bool


class Unspent(msgspec.Struct, frozen=True, kw_only=True):
    """The server granted nothing, so no refresh token is spent: the same request can be sent again later."""

    error: RequestError


class Unclear(msgspec.Struct, frozen=True, kw_only=True):
    """The server may have granted new tokens, but they did not arrive: a refresh token may be spent."""

    error: RequestError

    @classmethod
    def because(cls, reason: str, status: int | None = None) -> Self:
        """An outcome that is not known.

        :param reason: what happened, in one sentence.
        :param status: of the response, if there was one.
        """
        failed = ServerError if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR else TransportError
        return cls(error=failed(reason, facts=attrs.evolve(TOKEN_CALL, status=status)))

    @property
    def server_failed(self) -> bool:
        """Whether the server answered that it failed; otherwise its response was lost."""
        return isinstance(self.error, ServerError)


TokenOutcome = Granted | Refused | Unspent | Unclear
"""What became of a token call. Only :class:`Refused` says something about the credentials."""


# --- responses --------------------------------------------------------------------------------------------------------


def read_token(response: Response) -> TokenOutcome:
    """What a response of the token endpoint means (RFC 6749 sections 5.1 and 5.2)."""
    fields = _json_object(response.body)
    status = response.status
    if status == HTTPStatus.OK:
        return _granted(fields) if fields is not None else Unclear.because("the token response is not JSON", status)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
        code = fields.get("error") if fields is not None else None
        code = code if isinstance(code, str) and re.fullmatch(_ERROR_CODE, code, re.ASCII) else None
        return Refused(status=status, code=code, definite=code in _DEFINITE)
    error = status_error(response).with_facts(TOKEN_CALL)
    # A 503 with a reason is the service's own; a 503 without one may come from a proxy that gave up waiting for it.
    gives_reason = status == HTTPStatus.SERVICE_UNAVAILABLE and (
        fields is not None or "retry-after" in response.headers
    )
    is_failure = status >= HTTPStatus.INTERNAL_SERVER_ERROR and not gives_reason
    if is_failure or status < HTTPStatus.MULTIPLE_CHOICES:
        return Unclear.because(error.reason, status)
    return Unspent(error=error)


def _json_object(body: bytes | bytearray) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _granted(fields: Mapping[str, Any]) -> TokenOutcome:
    access_token = usable_token(fields.get("access_token"))
    if access_token is None:
        return Unclear.because("the token response contains no usable access token", HTTPStatus.OK)
    kind = fields.get("token_type")
    if kind is not None and not (isinstance(kind, str) and kind.lower() == "bearer"):
        return Unclear.because("the token in the response is not a bearer token", HTTPStatus.OK)
    return Granted(
        access_token=access_token,
        refresh_token=usable_token(fields.get("refresh_token")),
        expires_in_s=token_life_s(fields.get("expires_in")),
    )


def usable_token(value: object) -> Secret | None:
    """The token, if it is text that can be sent in a header; ``None`` otherwise.

    A token must not be able to end its header (RFC 6750 section 2.1 allows fewer characters than this function).
    """
    is_usable = (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TOKEN_CHARACTERS
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )
    return Secret(value) if isinstance(value, str) and is_usable else None


def token_life_s(expires_in: object) -> float:
    """How many seconds a token is valid, for each value that ``expires_in`` can have.

    =====================================================  ======================================================
    a number above 0, up to 30 days                        taken as it is (36000 is documented, 86400 was seen)
    the same as text, such as ``"36000"``                  read as the number
    more than 30 days                                      30 days: no token is assumed to be valid for ever
    0, negative, not a number, missing, anything else      10 minutes: short enough to be safe, and no renewal loop
    =====================================================  ======================================================
    """
    if isinstance(expires_in, str) and re.fullmatch(_NUMBER, expires_in, re.ASCII):
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float)) or not expires_in > 0:
        return FALLBACK_TOKEN_LIFE_S
    return float(min(expires_in, MAX_TOKEN_LIFE_S))
