"""What the command ``summary`` prints: the sums, and what they are of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import attrs

from smappee_async.report import SessionSummary, local_days
from smappee_async.timerange import TimeRange


@attrs.frozen(kw_only=True)
class SummedPark:
    """A park that was summed up.

    :param zone: in which its days and hours are.
    :param synced_until: how far a copy has it; ``None`` for a park of the service.
    """

    service_location_id: int
    zone: str
    time_range: TimeRange
    synced_until: datetime | None = None


@attrs.frozen(kw_only=True)
class SummedUp:
    """The sums, and what they are of.

    :param missing: a line for each thing that could not be read; empty if nothing is missing.
    :param now: when the command was run: days that are still to come are left out.
    :param is_copy: whether a copy was read.
    """

    summary: SessionSummary
    parks: Sequence[SummedPark]
    now: datetime
    missing: Sequence[str] = ()
    is_copy: bool = False

    def days(self) -> tuple[date, date] | None:
        """The first and the last day; with an open end, the last one that has a session. ``None`` if there is none."""
        first: list[date] = []
        last: list[date] = list(self.summary.days)
        for park in self.parks:
            begin, end = local_days(park.time_range, ZoneInfo(park.zone))
            first.append(begin)
            if end is not None:
                last.append(max(begin, min(end, self.now.astimezone(ZoneInfo(park.zone)).date())))
        return (min(first), max(last)) if first and last else None
