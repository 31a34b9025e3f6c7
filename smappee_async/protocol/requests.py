"""What is sent: every call to Smappee as a value."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import msgspec

from smappee_async.errors import CallFacts, ConfigurationError
from smappee_async.secret import Secret
from smappee_async.timerange import TimeRange

#: Plain http is for a simulator or a proxy on this machine. Anywhere else it would show the tokens to the network.
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
_SERIAL_NUMBER: Final = r"[A-Za-z0-9_-]{1,64}"
_LARGEST_ID: Final = 2**63 - 1


class Request(msgspec.Struct, kw_only=True, frozen=True, eq=False):
    """One HTTP request.

    :param url: the whole URL, already percent-encoded. ``repr`` does not show it, because its query may be personal.
    :param route: the template of the URL's path, for errors and logs.
    :param service_location_id: what is asked, like the two that follow.
    :param form: a form body; holds the secrets of a token call.
    :param replayable: whether it may be sent again although the server may have received it. A grant may not: a
        refresh token is good for one use.
    """

    method: Literal["GET", "POST"]
    url: str
    route: str
    service_location_id: int | None = None
    serial_number: str | None = None
    time_range: TimeRange | None = None
    form: Secret | None = None
    replayable: bool = True

    @property
    def facts(self) -> CallFacts:
        """What to say about the call in errors and logs. Made when it is needed, because most calls need it never."""
        return CallFacts(
            method=self.method,
            route=self.route,
            service_location_id=self.service_location_id,
            serial_number=self.serial_number,
            time_range=self.time_range,
        )

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.route}>"


def check_base_url(base_url: object) -> str:
    """The base URL without a trailing slash.

    :raises ConfigurationError: unless it is ``https://host[:port]/path``, or ``http`` on this machine. What follows is
        sent a password, so a text that only looks like a host is refused.
    """
    advice = "Use https://app1pub.smappee.net/dev/v3, or http://127.0.0.1:PORT/dev/v3 for the simulator"
    if not isinstance(base_url, str) or not base_url.isascii() or not base_url.isprintable() or "\\" in base_url:
        raise ConfigurationError("base_url must be a plain ASCII text", advice=advice)
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = parts = None
    if parts is None or not host:
        raise ConfigurationError("base_url has no host, or a port that is not a number", advice=advice)
    name = parts.netloc if parts.port is None else parts.netloc.rpartition(":")[0]
    if "@" in parts.netloc or not re.fullmatch(_HOST, name):
        raise ConfigurationError("base_url has an unusable host name, or a user name", advice=advice)
    if parts.query or parts.fragment or "?" in base_url or "#" in base_url or " " in base_url or "%" in base_url:
        raise ConfigurationError(
            "base_url must not carry a query, a fragment, a space or a percent sign", advice=advice
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ConfigurationError("base_url must be https (or http on this machine)", advice=advice)
    if any(step in (".", "..") for step in parts.path.split("/")):
        raise ConfigurationError("base_url must not contain '.' or '..' as a part of its path", advice=advice)
    return base_url.rstrip("/")


def check_service_location_id(value: object) -> int:
    """A service location id, as a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST_ID:
        raise ConfigurationError(
            f"a service location id is a positive whole number, not {_shown(value)}",
            advice="'smappee-async parks' lists the ids that the account sees",
        )
    return value


def check_serial_number(value: object) -> str:
    """A charging station's serial number, as text."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID
    text = str(value) if is_number else value
    if not isinstance(text, str) or not re.fullmatch(_SERIAL_NUMBER, text):
        raise ConfigurationError(
            f"a charging station's serial number is letters and digits, not {_shown(value)}",
            advice="It is printed on the station and usually is ten digits that start with 6",
        )
    return text


def _shown(value: object) -> str:
    # Python refuses to convert a number of thousands of digits to text.
    return "a number that large" if isinstance(value, int) and abs(value) > _LARGEST_ID else repr(value)


# service.md#park-sessions and service.md#station-sessions: in version 3 only.
def park_sessions(base_url: str, service_location_id: int, time_range: TimeRange, *, active: bool) -> Request:
    """Charging sessions of all stations of a charging park."""
    return Request(
        method="GET",
        url=f"{base_url}/chargingparks/{service_location_id}/sessions?{_query_string(time_range, active=active)}",
        route="/chargingparks/{service_location_id}/sessions",
        service_location_id=service_location_id,
        time_range=time_range,
    )


def station_sessions(base_url: str, serial_number: str, time_range: TimeRange, *, active: bool) -> Request:
    """Charging sessions of one charging station."""
    station = quote(serial_number, safe="")
    return Request(
        method="GET",
        url=f"{base_url}/chargingstations/{station}/sessions?{_query_string(time_range, active=active)}",
        route="/chargingstations/{serial_number}/sessions",
        serial_number=serial_number,
        time_range=time_range,
    )


def _query_string(time_range: TimeRange, *, active: bool) -> str:
    # The comma is not percent-encoded: all clients known to work send it like this, and %2C was never tried.
    bounds = str(time_range.start_ms) if time_range.end_ms is None else f"{time_range.start_ms},{time_range.end_ms}"
    # Always sent, because the documentation and public clients disagree about its default.
    return f"active={'true' if active else 'false'}&range={bounds}"


def service_locations(base_url: str) -> Request:
    """The service locations that the account can see ("Get Servicelocations")."""
    return Request(method="GET", url=f"{base_url}/servicelocation", route="/servicelocation")


# service.md#service-location-info
def service_location_info(base_url: str, service_location_id: int) -> Request:
    """One service location in detail."""
    return Request(
        method="GET",
        url=f"{base_url}/servicelocation/{service_location_id}/info",
        route="/servicelocation/{service_location_id}/info",
        service_location_id=service_location_id,
    )
