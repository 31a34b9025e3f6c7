"""What the ``Date`` header says: the clock of the service (RFC 9110 sections 5.6.7 and 6.6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def http_date_s(text: str) -> float | None:
    """An HTTP date as seconds since 1970; ``None`` if it is no date."""
    try:
        moment = parsedate_to_datetime(text)
        # An HTTP date is in GMT, also if it does not name a zone.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None


class ServerClock:
    """Reads the ``Date`` of responses. It remembers the last one, because many responses have the same."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._date_ms: int | None = None

    def read_ms(self, headers: Mapping[str, str]) -> int | None:
        """When a response was made, by the clock of the service; ``None`` if it does not say."""
        text = headers.get("date")
        if text != self._text:
            date_s = None if text is None else http_date_s(text)
            self._text, self._date_ms = text, None if date_s is None else int(date_s * 1000)
        return self._date_ms
