"""Everything that can go wrong, as one tree.

::

    SmappeeError
    ├── ConfigurationError        what was passed in cannot work; also a ValueError
    ├── ClientClosed              used before it was opened, after it was closed, on another loop, or after a fork
    ├── TokenStoreError           the place where tokens are kept failed, or is not safe to use
    ├── RateLimiterError          the place where a shared rate is kept failed
    ├── SyncStoreError            the place where a copy is kept failed, or belongs to a newer version
    ├── ExportError               a file of sessions could not be written
    ├── AuthenticationError       Smappee refused the credentials or the tokens; a person must act
    │   └── RefreshTokenLost      the refresh token may be spent and there is no password to log in again
    ├── DeadlineExceeded          the time that the caller allowed ran out; also a TimeoutError
    └── RequestError              one call to Smappee did not succeed
        ├── TransportError        no complete response: connect, TLS, time-out, disconnect
        ├── ApiError              a response with a status that is not a success
        │   ├── BadRequest            400 and other 4xx
        │   ├── PermissionDenied      403
        │   ├── NotFound              404
        │   ├── RateLimited           429
        │   └── ServerError           5xx
        ├── ResponseDecodeError   a response that cannot be read, or a record in it
        └── ResponseTooLarge      a response beyond the body limit

Each carries :class:`CallFacts`: method, route template, park, range, status, attempts and seconds. None carries a
token, a password, a user name, a query string or an RFID. All of them pickle, so that they cross process borders
(Celery, Airflow, multiprocessing), and two errors that say the same compare equal.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol, Self, TypeVar

import attrs

ResultT = TypeVar("ResultT")
ErrorT = TypeVar("ErrorT", bound=BaseException)


class RangeBounds(Protocol):
    """The time range that a call asked for: a :class:`~smappee_async.TimeRange`."""

    @property
    def start_ms(self) -> int:
        """Its first instant, milliseconds since 1970."""
        ...

    @property
    def end_ms(self) -> int | None:
        """The first instant after it; ``None`` for an open end."""
        ...


@attrs.frozen(kw_only=True)
class CallFacts:
    """What a failed call was about. Unknown facts are ``None``.

    :param method: HTTP method.
    :param route: the route *template*, such as ``/chargingparks/{service_location_id}/sessions``; never the URL.
    :param service_location_id: the charging park that was asked, or the service location.
    :param serial_number: the charging station that was asked.
    :param time_range: the time range that was asked.
    :param status: the HTTP status of the last response.
    :param attempts: how many times the request was sent.
    :param elapsed_s: seconds from the first attempt's queueing to the error.
    """

    method: str | None = None
    route: str | None = None
    service_location_id: int | None = None
    serial_number: str | None = None
    time_range: RangeBounds | None = None
    status: int | None = None
    attempts: int | None = None
    elapsed_s: float | None = None

    def __str__(self) -> str:
        about = " ".join(part for part in (self.method, self.route) if part)
        if self.service_location_id is not None:
            about += f" for service location {self.service_location_id}"
        if self.serial_number is not None:
            about += f" for charging station {self.serial_number}"
        if self.time_range is not None:
            about += f" from {self.time_range}"
        tries = []
        if self.status is not None:
            tries.append(f"status {self.status}")
        if self.attempts is not None:
            tries.append(f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}")
        if self.elapsed_s is not None:
            tries.append(f"{self.elapsed_s:.1f} s")
        return ", ".join(part for part in (about.strip(), *tries) if part)


_FACTS = tuple(field.name for field in attrs.fields(CallFacts))


class SmappeeError(Exception):
    """The root of everything that this package raises on purpose.

    :ivar reason: what happened, in one sentence without its facts.
    :ivar facts: to which call, park and range it happened.
    :ivar advice: what to do about it.
    """

    advice: str = ""

    def __init__(self, reason: str, *, facts: CallFacts | None = None, advice: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts if facts is not None else CallFacts()
        if advice is not None:
            self.advice = advice

    def with_facts(self, facts: CallFacts) -> Self:
        """Add facts that were unknown where the error was raised; known ones stay."""
        known = {name: value for name in _FACTS if (value := getattr(self.facts, name)) is not None}
        self.facts = attrs.evolve(facts, **known)
        return self

    def __str__(self) -> str:
        facts = str(self.facts)
        text = f"{self.reason} ({facts})" if facts else self.reason
        return f"{text}. {self.advice}" if self.advice else text

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.args == other.args and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.reason, self.facts))


def unwrap(outcome: ResultT | BaseException | ResponseDecodeError) -> ResultT:  # pyright does not match a subclass
    """Return a result, or raise the error that was returned in its place, without the frames that it has been through.

    The secret-safe raise: a function that handles a token, a password or a response body *returns* its error, and its
    caller, whose frames hold none of these, passes what came back to this function. So neither the traceback nor the
    context of the error leads to a frame that holds a secret: a crash reporter that shows local variables shows none.

    A cancellation goes the same way. It stays the same exception, because time-outs and cancel scopes look at it.
    """
    if isinstance(outcome, BaseException):
        raise without_frames(outcome)
    return outcome


def without_frames(error: ErrorT) -> ErrorT:
    """The same error without its traceback, its cause and its context, whose frames may hold secrets."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


class ConfigurationError(SmappeeError, ValueError):
    """What was passed in cannot work. Raised before anything is sent."""


class ClientClosed(SmappeeError):
    """The client was used before it was opened, after it was closed, on another event loop, or after a fork."""

    advice = "Open one client per event loop with 'async with SmappeeClient(...)' and use it inside that block"


class TokenStoreError(SmappeeError):
    """The place where tokens are kept failed, or is not safe to use."""


class RateLimiterError(SmappeeError):
    """The place where a rate is kept that several processes share failed, or may not be used.

    :ivar transient: whether it may pass by itself: the place is down, starting, full, or takes no writes.
    """

    transient: bool = False


class SyncStoreError(SmappeeError):
    """The place where a copy of sessions is kept failed, or was written by a newer version of this package."""


class ExportError(SmappeeError):
    """A file of sessions could not be written."""

    advice = "Choose another place or another format, or ask for fewer sessions"


class AuthenticationError(SmappeeError):
    """Smappee refused the credentials or the tokens. Trying again does not help; a person must act."""

    advice = "Check client id, client secret, user name (it is not the e-mail address) and password, then log in again"


class RefreshTokenLost(AuthenticationError):
    """A refresh was sent, its response never came, and no password is configured to log in again."""

    advice = "Log in again: the refresh token was probably spent by the call whose response was lost"


class DeadlineExceeded(SmappeeError, TimeoutError):
    """The time that the caller allowed ran out: queueing, tokens, attempts and waiting between them all count."""

    advice = "Allow more time, ask for a shorter range, or resume from the stream's checkpoint"


class RequestError(SmappeeError):
    """One call to Smappee did not succeed, after all the attempts that the retry policy allows.

    :ivar retry_budget_exhausted: whether it was given up early because too many calls were failing.
    """

    retry_budget_exhausted: bool = False


class TransportError(RequestError):
    """No complete response came: connecting, TLS, a time-out or a lost connection.

    :ivar sent: whether (a part of) the request may have reached the server.
    :ivar timed_out: whether the request was sent and its response took too long.
    :ivar untrusted: whether the server's certificate is not trusted, which trying again does not change.
    :ivar refused_by_proxy: whether a proxy refused to pass the request on, which trying again does not change.
    """

    advice = "Check the network and https://status.smappee.net, then try again"

    def __init__(
        self,
        reason: str,
        *,
        sent: bool = True,
        timed_out: bool = False,
        untrusted: bool = False,
        refused_by_proxy: bool = False,
        facts: CallFacts | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(reason, facts=facts, advice=advice)
        self.sent = sent
        self.timed_out = timed_out
        self.untrusted = untrusted
        self.refused_by_proxy = refused_by_proxy


class ApiError(RequestError):
    """Smappee answered with a status that is not a success.

    :ivar retry_after_s: the wait that the server asked for, in seconds, if any.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: float | None = None,
        facts: CallFacts | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(reason, facts=facts, advice=advice)
        self.retry_after_s = retry_after_s


class BadRequest(ApiError):
    """400, or another 4xx without a class of its own: the request itself is not acceptable."""


class PermissionDenied(ApiError):
    """403: this account may not see that service location."""

    advice = "Check that the account has access to this service location, and that its id is right"


class NotFound(ApiError):
    """404: no such service location or charging station."""

    advice = (
        "Check the id: a charging park's is its service location id; 'smappee-async parks' lists what the account sees"
    )


class RateLimited(ApiError):
    """429: too many requests, and the wait asked for is longer than the retry policy allows."""

    advice = "Wait for retry_after_s seconds, or lower Limits.concurrency or Limits.rate"


class ServerError(ApiError):
    """5xx: the service failed or is under maintenance."""

    advice = "See https://status.smappee.net, then try again"


class ResponseDecodeError(RequestError):
    """A response cannot be read as what was asked for, or one record in it cannot.

    :ivar index: position of the record in the response, from 0; ``None`` where the response as a whole is unreadable.
    :ivar json_path: where in the record, such as ``$.from``.
    """

    def __init__(
        self,
        reason: str,
        *,
        index: int | None = None,
        json_path: str | None = None,
        facts: CallFacts | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(reason, facts=facts, advice=advice)
        self.index = index
        self.json_path = json_path

    def __str__(self) -> str:
        record = None if self.index is None else f"record {self.index}"
        where = ", ".join(part for part in (record, self.json_path) if part)
        return f"{super().__str__()} [{where}]" if where else super().__str__()


class ResponseTooLarge(RequestError):
    """A response was larger than ``Limits.max_body_bytes``, as sent or as unpacked."""

    advice = "Ask for a shorter range or raise Limits.max_body_bytes"


_BY_STATUS: dict[int, type[ApiError]] = {
    HTTPStatus.FORBIDDEN: PermissionDenied,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
}


def error_class(status: int) -> type[ApiError]:
    """The error for an HTTP status that is not a success."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError
    if status >= HTTPStatus.BAD_REQUEST:
        return BadRequest
    return ApiError
