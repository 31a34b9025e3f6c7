"""The calendar days of a time range."""

from __future__ import annotations

from datetime import date, tzinfo

from smappee_async.timerange import TimeRange, from_ms


def local_days(time_range: TimeRange, zone: tzinfo) -> tuple[date, date | None]:
    """The first and the last day of which a range has a part, in a zone; no last day where the end is open."""
    first = time_range.start.astimezone(zone).date()
    if time_range.end_ms is None:
        return first, None
    return first, from_ms(time_range.end_ms - 1).astimezone(zone).date()
