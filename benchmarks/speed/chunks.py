"""The chunks that everybody asks the invented service for: one park and one time range each."""

from __future__ import annotations

import attrs

from benchmarks.speed.world import BEGIN_MS, DAY_MS
from smappee_async import TimeRange


@attrs.frozen
class Chunk:
    """One park and one range: what one request asks for."""

    park: int
    time_range: TimeRange

    @property
    def path(self) -> str:
        """The request's path and query, below the base URL."""
        start_ms, end_ms = self.time_range.start_ms, self.time_range.end_ms
        bounds = f"{start_ms}" if end_ms is None else f"{start_ms},{end_ms}"
        return f"/chargingparks/{self.park}/sessions?active=false&range={bounds}"


def first_days(days: float) -> TimeRange:
    """So many days from where the invented time begins."""
    return TimeRange.from_ms(BEGIN_MS, BEGIN_MS + int(days * DAY_MS))
