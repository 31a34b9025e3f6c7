"""A summary equals sums that are made in the plainest way, whatever the batches and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ChargingSession, SessionStatus, TimeRange
from smappee_async.report import Connector, SessionSummary, Total, by_energy, local_days

GroupT = TypeVar("GroupT")

BRUSSELS, CHATHAM = ZoneInfo("Europe/Brussels"), ZoneInfo("Pacific/Chatham")
ZONES = {1: BRUSSELS, 2: CHATHAM}
HOUR_MS = 3_600_000
OCTOBER_25 = 1_792_879_200_000  # 2026-10-24T22:00Z, midnight in Brussels; the clocks change that night


def session(
    number: int = 1, start_ms: int = OCTOBER_25, end_ms: int | None = None, **fields: object
) -> ChargingSession:
    values = {"serial_number": "61", "service_location_id": 1, "connector": 1, "energy": 1.5, **fields}
    return ChargingSession(
        id=number,
        from_ms=start_ms,
        to_ms=start_ms + HOUR_MS if end_ms is None else end_ms,
        status=SessionStatus.STOPPED,
        **values,  # type: ignore[arg-type]  # the tests give what the record has
    )


def open_session(start_ms: int = OCTOBER_25, energy: float | None = 2.0) -> ChargingSession:
    return ChargingSession(
        id=9, serial_number="61", from_ms=start_ms, status=SessionStatus.CHARGING, energy=energy, service_location_id=1
    )


def summed(*sessions: ChargingSession) -> SessionSummary:
    summary = SessionSummary(ZONES)
    summary.add(sessions)
    return summary


SESSIONS = st.lists(
    st.builds(
        ChargingSession,
        id=st.integers(1, 2**40),
        serial_number=st.sampled_from(["61", "62"]),
        from_ms=st.integers(0, 4_000_000_000_000),
        status=st.sampled_from(SessionStatus),
        to_ms=st.none() | st.integers(1, 4_000_000_000_000),
        connector=st.none() | st.integers(1, 2),
        rfid=st.none() | st.sampled_from(["A", "B"]),
        energy=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        start_reading=st.none() | st.floats(-1e6, 1e6),
        stop_reading=st.none() | st.floats(-1e6, 1e6),
        service_location_id=st.none() | st.integers(1, 3),
    ),
    max_size=30,
)


def shown(total: Total) -> tuple[int, str, int]:
    return total.sessions, str(total.energy_kwh), total.without_energy


def named(groups: Mapping[GroupT, Total]) -> list[tuple[str, object]]:
    return [(repr(name), shown(total)) for name, total in by_energy(groups)]


def everything(summary: SessionSummary) -> object:
    """All that a summary says, with the texts of its sums."""
    groups = [named(summary.parks), named(summary.days), named(summary.cards), named(summary.connectors)]
    return shown(summary.total), shown(summary.open), groups, summary.hours


@given(SESSIONS, st.randoms(use_true_random=False))
def test_neither_the_batches_nor_their_order_matter(sessions: list[ChargingSession], chance: Random) -> None:
    shuffled = list(sessions)
    chance.shuffle(shuffled)
    apart = SessionSummary(ZONES)
    while shuffled:
        size = chance.randint(1, len(shuffled))
        apart.add(shuffled[:size])
        del shuffled[:size]

    assert everything(apart) == everything(summed(*sessions))


@given(SESSIONS)
def test_a_summary_equals_sums_made_one_group_at_a_time(sessions: list[ChargingSession]) -> None:
    summary = summed(*sessions)
    ended = [each for each in sessions if each.to_ms is not None]

    assert_sums(summary.open, [each for each in sessions if each.to_ms is None])
    assert_sums(summary.total, ended)
    for park in {each.service_location_id for each in ended}:
        assert_sums(summary.parks[park], [each for each in ended if each.service_location_id == park])
    for card in {each.rfid for each in ended}:
        assert_sums(summary.cards[card], [each for each in ended if each.rfid == card])
    for day in {local(each).date() for each in ended}:
        assert_sums(summary.days[day], [each for each in ended if local(each).date() == day])
    for place in {(each.service_location_id, each.serial_number, each.connector) for each in ended}:
        there = [each for each in ended if (each.service_location_id, each.serial_number, each.connector) == place]
        assert_sums(summary.connectors[Connector(*place)], there)
    for weekday in range(7):
        for hour in range(24):
            then = [each for each in ended if (local(each).weekday(), local(each).hour) == (weekday, hour)]
            assert summary.hours[weekday][hour] == len(then)
    for group in (summary.parks, summary.cards, summary.days, summary.connectors):
        assert sum(total.sessions for total in group.values()) == len(ended)


def local(session: ChargingSession) -> datetime:
    """By seconds since 1970, as the tz database has it."""
    zone = {1: BRUSSELS, 2: CHATHAM}.get(session.service_location_id or 0, UTC)
    return datetime.fromtimestamp(session.from_ms // 1000, tz=zone)


def assert_sums(total: Total, sessions: Sequence[ChargingSession]) -> None:
    """By fractions, which are exact."""
    energies = []
    for each in sessions:
        if each.energy is not None:
            energies.append(Fraction(repr(each.energy)))
        elif each.start_reading is not None and each.stop_reading is not None:
            energies.append(Fraction(repr(each.stop_reading)) - Fraction(repr(each.start_reading)))
    assert total.sessions == len(sessions)
    assert Fraction(total.energy_kwh) == sum(energies)
    assert total.without_energy == len(sessions) - len(energies)


def test_sums_are_exact_decimals() -> None:
    summary = summed(*(session(number, energy=0.1) for number in range(10)), session(11, energy=1e20))

    assert summary.total.energy_kwh == Decimal("100000000000000000001.0")


def test_a_session_counts_on_the_local_day_of_its_start() -> None:
    summary = summed(session(1, OCTOBER_25 - 1), session(2, OCTOBER_25), session(3, OCTOBER_25 + 25 * HOUR_MS - 1))

    assert {day: total.sessions for day, total in summary.days.items()} == {
        date(2026, 10, 24): 1,
        date(2026, 10, 25): 2,
    }


def test_each_park_has_its_own_zone_and_an_unknown_one_utc() -> None:
    starts = [session(park, OCTOBER_25, service_location_id=park) for park in (1, 2, 3)]

    # 00:00 in Brussels, 11:45 on Chatham, and 22:00 on the day before in UTC.
    hours = summed(*starts).hours
    assert [(weekday, hour) for weekday in range(7) for hour in range(24) if hours[weekday][hour]] == [
        (5, 22),
        (6, 0),
        (6, 11),
    ]


def test_an_hour_that_comes_twice_counts_as_one_hour() -> None:
    summary = summed(session(1, OCTOBER_25 + 2 * HOUR_MS), session(2, OCTOBER_25 + 3 * HOUR_MS))

    assert summary.hours[6][2] == 2


def test_sessions_without_an_end_are_apart() -> None:
    summary = summed(session(1), open_session(), open_session(energy=None))

    assert summary.open == Total(2, Decimal("2.0"), 1)
    assert summary.total == Total(1, Decimal("1.5"), 0)
    assert sum(map(sum, summary.hours)) == 1


def test_energy_that_is_not_known_is_counted_and_not_in_the_sum() -> None:
    assert summed(session(1), session(2, energy=None)).total == Total(2, Decimal("1.5"), 1)


def test_a_fixed_zone_can_be_given_for_all_parks() -> None:
    summary = SessionSummary(timezone(timedelta(hours=14)))
    summary.add([session(1, service_location_id=None)])

    assert list(summary.days) == [date(2026, 10, 25)]


def test_groups_come_by_energy_then_sessions_then_name() -> None:
    groups = {
        "c": Total(1, Decimal(5)),
        "b": Total(1, Decimal(5)),
        "d": Total(2, Decimal(5)),
        "a": Total(9, Decimal(1)),
        None: Total(1, Decimal(7)),
    }

    assert [name for name, _ in by_energy(groups)] == [None, "d", "b", "c", "a"]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-10", date(2026, 10, 1), date(2026, 10, 31)),
        ("2026-10-03T12:00..2026-10-05T00:00", date(2026, 10, 3), date(2026, 10, 4)),
        ("2026-10-03T12:00..2026-10-05T00:00:00.001", date(2026, 10, 3), date(2026, 10, 5)),
        ("2026-10-03..", date(2026, 10, 3), None),
    ],
)
def test_the_days_of_a_range_are_those_of_which_it_has_a_part(text: str, first: date, last: date | None) -> None:
    assert local_days(TimeRange.parse(text, tz=BRUSSELS), BRUSSELS) == (first, last)
