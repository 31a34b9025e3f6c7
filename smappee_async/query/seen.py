"""What is known of targets before a query: how many sessions were seen in how much time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import ChargingSession
from smappee_async.protocol.requests import check_service_location_id
from smappee_async.timerange import TimeRange

if TYPE_CHECKING:
    import pyarrow as pa

_MS: Final = timedelta(milliseconds=1)


@attrs.frozen
class Seen:
    """How many sessions of a park, or a station, were seen in how much time.

    :param sessions: how many started in that time; zero says that the park is quiet.
    :param during: the time that was read, gaps without sessions included. Less than a day says nothing, and is ignored.
    :raises ConfigurationError: ``sessions`` is no number from zero on, or ``during`` is no positive time.
    """

    sessions: int
    during: timedelta

    def __attrs_post_init__(self) -> None:
        if type(self.sessions) is not int or self.sessions < 0:
            raise ConfigurationError(f"sessions must be a whole number, zero or more, not {self.sessions!r}")
        if type(self.during) is not timedelta or self.during < _MS:
            raise ConfigurationError(
                f"during must be a positive timedelta, not {self.during!r}", advice="Use timedelta(days=365)"
            )

    @property
    def during_ms(self) -> int:
        """The time in milliseconds."""
        return self.during // _MS


def seen_in(
    sessions: pa.Table | Iterable[ChargingSession], time_range: TimeRange, *, parks: Iterable[int] = ()
) -> dict[int, Seen]:
    """What was seen of each park in an earlier result, as the option ``seen`` of the next query.

    :param sessions: a table of ``stream.table()``, of which the columns ``service_location_id`` and ``started_at`` are
        enough; or any sessions.
    :param time_range: what was read. Sessions outside of it are not counted.
    :param parks: the parks that were read whole. Those without sessions are in the result too, as quiet ones.
    :raises ConfigurationError: the range has an open end, or a park cannot be.
    """
    if time_range.end_ms is None:
        raise ConfigurationError(
            "seen_in() needs a range with an end", advice="Use TimeRange(start, end) with the moment of asking as end"
        )
    start_ms, end_ms = time_range.start_ms, time_range.end_ms
    counts = dict.fromkeys(map(check_service_location_id, parks), 0)
    if isinstance(sessions, Iterable):
        counts |= Counter(
            session.service_location_id
            for session in sessions
            if session.service_location_id is not None and start_ms <= session.from_ms < end_ms
        )
    else:
        counts |= _in_table(sessions, start_ms, end_ms)
    during = (end_ms - start_ms) * _MS
    return {park: Seen(count, during) for park, count in counts.items()}


def _in_table(table: pa.Table, start_ms: int, end_ms: int) -> dict[int, int]:
    # It imports pyarrow, which whoever has a table has imported.
    from smappee_async.tables.schema import INSTANT, pa, pc  # noqa: PLC0415

    started, park = table.column("started_at").cast(INSTANT), table.column("service_location_id")
    is_in = pc.and_(
        pc.greater_equal(started, pa.scalar(start_ms, INSTANT)), pc.less(started, pa.scalar(end_ms, INSTANT))
    )
    counted = park.filter(is_in).drop_null().value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counted}
