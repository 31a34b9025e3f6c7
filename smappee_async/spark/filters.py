"""From conditions on columns to fewer parks and a shorter time range. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import attrs

from smappee_async.timerange import TimeRange

Operator = Literal["=", "in", ">", ">=", "<", "<="]

PARK: Final = "service_location_id"
START: Final = "started_at"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


@attrs.frozen
class Condition:
    """What a column must be: ``in`` has a tuple of values, every other operator has one."""

    column: str
    operator: Operator
    value: object


def narrow(
    parks: Iterable[int], time_range: TimeRange, conditions: Iterable[Condition]
) -> tuple[tuple[int, ...], TimeRange] | None:
    """The parks and the range outside of which no session meets all conditions; ``None`` if none can.

    A condition that says nothing about park or start, or has a value of another type, changes nothing.
    """
    wanted = tuple(parks)
    start_ms, end_ms = time_range.start_ms, time_range.end_ms
    assert end_ms is not None
    for condition in conditions:
        if condition.column == PARK and (ids := _ids(condition)) is not None:
            wanted = tuple(park for park in wanted if park in ids)
        elif condition.column == START and (bounds := _bounds(condition)) is not None:
            least_ms, limit_ms = bounds
            start_ms = start_ms if least_ms is None else max(start_ms, least_ms)
            end_ms = end_ms if limit_ms is None else min(end_ms, limit_ms)
    if not wanted or start_ms >= end_ms:
        return None
    return wanted, TimeRange.from_ms(start_ms, end_ms)


def _ids(condition: Condition) -> frozenset[int] | None:
    """The only parks that meet a condition; ``None`` if it does not say."""
    values = condition.value if condition.operator == "in" else (condition.value,)
    if condition.operator not in ("=", "in") or not isinstance(values, tuple):
        return None
    known = [value for value in values if value is not None]  # nothing equals NULL
    numbers = [value for value in known if isinstance(value, int) and not isinstance(value, bool)]
    return frozenset(numbers) if len(numbers) == len(known) else None


def _bounds(condition: Condition) -> tuple[int | None, int | None] | None:
    """The half-open range of milliseconds of the starts that meet a condition; ``None`` if it does not say.

    Spark compares microseconds, and sessions start on whole milliseconds.
    """
    values = condition.value if condition.operator == "in" else (condition.value,)
    if not isinstance(values, tuple):
        return None
    instants = [each for each in values if isinstance(each, datetime) and each.utcoffset() is not None]
    if not instants or len(instants) != len(values):
        return None
    least, most = min(instants), max(instants)
    match condition.operator:
        case "=" | "in":
            return _ms_up(least), _ms_down(most) + 1
        case ">=":
            return _ms_up(least), None
        case ">":
            return _ms_down(least) + 1, None
        case "<":
            return None, _ms_up(most)
        case "<=":
            return None, _ms_down(most) + 1


def _ms_down(instant: datetime) -> int:
    return (instant - _EPOCH) // _MS


def _ms_up(instant: datetime) -> int:
    return -((_EPOCH - instant) // _MS)
