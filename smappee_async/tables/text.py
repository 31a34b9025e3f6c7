"""Values of columns as text, alike in every table that has no type for them."""

from __future__ import annotations

from decimal import Decimal

from smappee_async.timerange import from_ms


def instant_text(instant_ms: int) -> str:
    """Milliseconds since 1970 as a text that sorts by time, such as ``2026-10-01T08:15:00.000Z``."""
    return from_ms(instant_ms).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def decimal_text(number: Decimal) -> str:
    """All digits; never with an exponent, because spreadsheets and parsers differ in how they read it."""
    return f"{number:f}"
