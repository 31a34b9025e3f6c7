"""From the path and the query of a request to values, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

RouteName: TypeAlias = Literal[
    "token", "authorize", "servicelocations", "info", "park_sessions", "station_sessions", "unsupported", "other"
]
ROUTE_NAMES: Final[tuple[RouteName, ...]] = (
    "token",
    "authorize",
    "servicelocations",
    "info",
    "park_sessions",
    "station_sessions",
    "unsupported",
    "other",
)
SESSION_ROUTES: Final[frozenset[RouteName]] = frozenset({"park_sessions", "station_sessions"})
DATA_ROUTES: Final[frozenset[RouteName]] = frozenset({"park_sessions", "station_sessions", "servicelocations", "info"})

_LONGEST_NUMBER: Final = 17
"""The most digits of a number in a request: enough for any timestamp, and few enough to parse at once."""

_SAFE: Final = "/?:@!$&'()*+,;=~-._%"
"""What stands in a path or a query as it is."""


@attrs.frozen
class Route:
    """One call of the API, with the number its path names."""

    name: RouteName
    service_location_id: int | None = None
    serial_number: int | None = None
    version: int = 3


@attrs.frozen
class SessionQuery:
    """What a request for sessions asks for: a park (or one station of it), a range of starts, and a state."""

    service_location_id: int
    serial_number: int | None
    start_ms: int
    end_ms: int | None
    active: bool | None


class BadQueryError(ValueError):
    """A query parameter that the service refuses; the text gives the reason."""


class MissingRangeError(BadQueryError):
    """There is no ``range``; the service may refuse this in its own way."""


_OTHER: Final = Route("other")
_UNSUPPORTED: Final = Route("unsupported")


def find_route(path: str) -> Route:
    """The route of a path.

    The token URL is documented with v1 in the prose and v3 in its example, and both work; pysmappee, smappy and others
    use v1 to v3 for logins and locations [C]. The calls for sessions exist in v3 only [D: service.md#park-sessions].
    """
    match path.split("/"):
        case ["", "dev", "v1" | "v2" | "v3", "oauth2", "token"]:
            return Route("token")
        case ["", "dev", "v1" | "v3", "oauth2", "authorize"]:
            return Route("authorize")
        case ["", "dev", "v1" | "v2" | "v3" as version, "servicelocation"]:
            return Route("servicelocations", version=int(version[1:]))
        case ["", "dev", "v1" | "v2" | "v3", "servicelocation", number, "info"]:
            return _OTHER if (value := _number(number)) is None else Route("info", value)
        case ["", "dev", "v3", "chargingparks", number, "sessions"]:
            return _OTHER if (value := _number(number)) is None else Route("park_sessions", value)
        case ["", "dev", "v3", "chargingstations", number, "sessions"]:
            value = _number(number)
            return _OTHER if value is None else Route("station_sessions", serial_number=value)
        case ["", "dev", "v1" | "v2", "chargingparks" | "chargingstations", _, "sessions"]:
            return _UNSUPPORTED
        case _:
            return _OTHER


def with_code(redirect_uri: str, code: str, state: str | None) -> str | None:
    """Where the login page sends the browser back to; ``None`` if that is no address of the web."""
    try:
        address = urlsplit(redirect_uri)
    except ValueError:
        return None
    if address.scheme not in {"http", "https"} or not address.hostname or not redirect_uri.isascii():
        return None
    given = {"code": code} if state is None else {"code": code, "state": state}
    query = "&".join(part for part in (address.query, urlencode(given)) if part)
    return urlunsplit(address._replace(query=quote(query, safe=_SAFE), path=quote(address.path, safe=_SAFE)))


def parse_range(query: Mapping[str, str]) -> tuple[int, int | None]:
    """``range=startMs[,endMs]`` in epoch milliseconds, the end exclusive and optional [D]."""
    text = query.get("range")
    if text is None:
        raise MissingRangeError("Required parameter 'range' is not present")
    first, comma, last = text.partition(",")
    start_ms = _number(first)
    end_ms = _number(last) if comma else None
    if start_ms is None or (comma and end_ms is None):
        raise BadQueryError("Parameter 'range' must be start[,end] in milliseconds")
    if end_ms is not None and end_ms < start_ms:
        raise BadQueryError("Parameter 'range' ends before it starts")
    return start_ms, end_ms


def parse_active(query: Mapping[str, str]) -> bool | None:
    """``active``, or ``None`` where it is left to the service."""
    match query.get("active"):
        case None:
            return None
        case "true":
            return True
        case "false":
            return False
        case _:
            raise BadQueryError("Parameter 'active' must be true or false")


def _number(text: str) -> int | None:
    # isdigit alone would accept the digits of other scripts.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None
