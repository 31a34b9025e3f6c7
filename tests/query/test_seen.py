"""What was seen of parks before: the value, and what makes it of an earlier result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from smappee_async import ChargingSession, ConfigurationError, Seen, ServiceLocation, SessionStatus, TimeRange, seen_in
from smappee_async.tables.schema import SCHEMA
from tests.rows import row

WEEK = TimeRange(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
DAYS = timedelta(days=7)


def session(number: int, park: int | None, from_ms: int) -> ChargingSession:
    return ChargingSession(
        id=number,
        serial_number="6120009999",
        from_ms=from_ms,
        status=SessionStatus.STOPPED,
        service_location_id=park,
    )


BEGIN_MS, END_MS = WEEK.start_ms, WEEK.end_ms or 0
SESSIONS = [
    session(1, 1001, BEGIN_MS),
    session(2, 1001, END_MS - 1),
    session(3, 1002, BEGIN_MS + 1),
    session(4, 1001, BEGIN_MS - 1),
    session(5, 1002, END_MS),
    session(6, None, BEGIN_MS),
]


def as_table(sessions: list[ChargingSession]) -> pa.Table:
    return pa.Table.from_pylist(list(map(row, sessions)), schema=SCHEMA)


@pytest.mark.parametrize("sessions", [SESSIONS, iter(SESSIONS[::-1]), as_table(SESSIONS)])
def test_the_sessions_of_each_park_that_started_in_the_range_are_counted(sessions: Any) -> None:
    assert seen_in(sessions, WEEK) == {1001: Seen(2, DAYS), 1002: Seen(1, DAYS)}


def test_two_columns_of_a_table_are_enough() -> None:
    table = as_table(SESSIONS).select(["started_at", "service_location_id"])
    assert seen_in(table, WEEK) == {1001: Seen(2, DAYS), 1002: Seen(1, DAYS)}


@pytest.mark.parametrize("sessions", [SESSIONS, as_table(SESSIONS)])
def test_parks_that_were_read_and_have_no_sessions_are_quiet(sessions: Any) -> None:
    assert seen_in(sessions, WEEK, parks=[1002, ServiceLocation(id=1003)]) == {
        1001: Seen(2, DAYS),
        1002: Seen(1, DAYS),
        1003: Seen(0, DAYS),
    }


@pytest.mark.parametrize("sessions", [[], as_table([])])
def test_nothing_says_nothing(sessions: Any) -> None:
    assert seen_in(sessions, WEEK) == {}


def test_a_range_with_an_open_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a range with an end"):
        seen_in([], TimeRange.from_ms(BEGIN_MS))


@pytest.mark.parametrize(
    ("sessions", "during", "said"),
    [
        (-1, DAYS, "zero or more, not -1"),
        (True, DAYS, "zero or more, not True"),
        (1.5, DAYS, "zero or more, not 1.5"),
        (1, timedelta(0), "during must be a positive timedelta"),
        (1, timedelta(microseconds=1), "during must be a positive timedelta"),
        (1, 7, "during must be a positive timedelta, not 7"),
    ],
)
def test_what_cannot_have_been_seen_is_refused(sessions: Any, during: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Seen(sessions, during)
