"""A log of requests and responses, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .routing import RouteName


@attrs.define
class RequestLog:
    """One request and its response; filled in while the request is served."""

    index: int
    """Position in order of arrival, from 0."""
    at_s: float
    """The event loop's time at arrival."""
    method: str
    path: str
    route: RouteName
    service_location_id: int | None = None
    serial_number: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    active: bool | None = None
    status: int = 0
    """HTTP status that was sent; 0 until then, and always 0 if the connection broke before."""
    sessions: int = 0
    """Session records in the response; 0 if the response was not sent whole."""
    fault: str | None = None
    """Kind of the fault that struck; several are joined with ``+``."""
    body_bytes: int = 0
    """Bytes of the body as sent, with its content encoding."""


class Journal:
    """The latest requests, and how many there were of each route since the last reset."""

    def __init__(self, limit: int) -> None:
        self._entries: deque[RequestLog] = deque(maxlen=limit)
        self._hits: Counter[RouteName] = Counter()
        self._arrived = 0

    def open(self, at_s: float, method: str, path: str, route: RouteName) -> RequestLog:
        """Add an entry and count it."""
        entry = RequestLog(self._arrived, at_s, method, path, route)
        self._arrived += 1
        self._hits[route] += 1
        self._entries.append(entry)
        return entry

    def entries(self) -> list[RequestLog]:
        """The latest requests, oldest first."""
        return list(self._entries)

    def hits(self, route: RouteName | None = None) -> int:
        """The number of requests since the last reset, of one route or of all; not limited as the entries are."""
        return self._hits.total() if route is None else self._hits[route]

    def reset(self) -> None:
        """Forget everything and count from 0 again."""
        self._entries.clear()
        self._hits.clear()
        self._arrived = 0
