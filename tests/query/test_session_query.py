"""A query is one value, with a time range for each target."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from smappee_async.errors import ConfigurationError
from smappee_async.models import ServiceLocation
from smappee_async.query.seen import Seen
from smappee_async.query.session_query import SessionQuery
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

MARCH = TimeRange.month(2026, 3, tz="Europe/Brussels")
APRIL = TimeRange.month(2026, 4, tz="Europe/Brussels")
SEEN = Seen(1_000, timedelta(days=30))


def test_one_time_range_is_for_all_parks() -> None:
    assert SessionQuery.parks([12345, 67890], MARCH).ranges == {Target(12345): MARCH, Target(67890): MARCH}


def test_each_park_may_have_a_time_range_of_its_own() -> None:
    assert SessionQuery.parks({12345: MARCH, 67890: APRIL}).ranges == {Target(12345): MARCH, Target(67890): APRIL}


def test_each_station_may_have_a_time_range_of_its_own() -> None:
    query = SessionQuery.stations({"6120009999": MARCH, "6120000001": APRIL})
    assert query.ranges == {Target(serial_number="6120009999"): MARCH, Target(serial_number="6120000001"): APRIL}


@pytest.mark.parametrize("parks", [12345, ServiceLocation(id=12345), [12345, 12345], iter([ServiceLocation(id=12345)])])
def test_a_park_is_an_id_or_a_service_location_and_comes_once(parks: Any) -> None:
    assert SessionQuery.parks(parks, MARCH).ranges == {Target(12345): MARCH}


def test_the_ranges_of_a_query_are_a_mapping_by_target() -> None:
    parks, stations = SessionQuery.parks([5, 6], MARCH).ranges, SessionQuery.stations("5", APRIL).ranges
    assert (parks[Target(6)], stations[Target(serial_number="5")]) == (MARCH, APRIL)
    absent: list[Any] = [Target(7), Target(serial_number="5"), Target(), Target(5, "5"), 5]
    assert not any(each in parks for each in absent)
    assert Target(5) not in stations
    assert (len(parks), repr(parks)) == (2, repr({Target(5): MARCH, Target(6): MARCH}))


@pytest.mark.parametrize("serial_numbers", ["6120009999", 6120009999, ["6120009999", 6120009999]])
def test_a_station_is_a_text_or_a_number_and_comes_once(serial_numbers: Any) -> None:
    assert SessionQuery.stations(serial_numbers, MARCH).ranges == {Target(serial_number="6120009999"): MARCH}


@pytest.mark.parametrize(
    ("parks", "time_range", "said"),
    [
        ([], MARCH, "no charging park was given"),
        ({}, None, "no charging park was given"),
        (None, MARCH, "give one charging park or several, not NoneType"),
        (1.5, MARCH, "give one charging park or several, not float"),
        ("12345", MARCH, "a positive whole number, not '1'"),
        ([True], MARCH, "a positive whole number, not True"),
        ([0], MARCH, "a positive whole number, not 0"),
        ([7, -3, 12345], MARCH, "a positive whole number, not -3"),
        ([7, 2**80, 12345], MARCH, "a positive whole number, not a number that large"),
        ([7, None, 12345], MARCH, "a positive whole number, not None"),
        ([ServiceLocation(id=7), True], MARCH, "a positive whole number, not True"),
        ([12345], None, "time_range must be a TimeRange, not NoneType"),
        ({12345: "2026-03"}, None, "time_range must be a TimeRange, not str"),
        ({12345: MARCH}, MARCH, "give one time range for all, or one for each charging park, not both"),
    ],
)
def test_targets_that_cannot_be_asked_are_refused(parks: Any, time_range: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SessionQuery.parks(parks, time_range)


@pytest.mark.parametrize(
    "option",
    [
        {"state": "finished"},
        {"order": "end"},
        {"on_error": "ignore"},
        {"on_invalid": None},
        {"deadline": 30},
        {"deadline": timedelta(0)},
        {"seen": [12345]},
        {"seen": {12345: 1_000}},
        {"seen": {"12345": SEEN}},
        {"seen": {12345: SEEN, 6.5: SEEN}},
    ],
)
def test_an_option_that_cannot_be_is_refused(option: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        SessionQuery.parks(12345, MARCH, **option)


def test_what_was_seen_is_found_by_the_id_of_a_park_or_the_serial_number_of_a_station() -> None:
    parks = SessionQuery.parks([5, 6], MARCH, seen={5: SEEN})
    stations = SessionQuery.stations(["5", "6"], MARCH, seen={"5": SEEN})

    assert [parks.seen_of(target) for target in parks.ranges] == [SEEN, None]
    assert [stations.seen_of(target) for target in stations.ranges] == [SEEN, None]


def test_what_was_seen_of_other_parks_is_not_used() -> None:
    query = SessionQuery.parks(5, MARCH, seen={7: SEEN})
    assert query.seen_of(Target(5)) is None


def test_what_was_seen_in_less_than_a_day_is_not_used() -> None:
    query = SessionQuery.parks([5, 6], MARCH, seen={5: Seen(9, timedelta(hours=23)), 6: Seen(9, timedelta(days=1))})
    assert [query.seen_of(target) for target in query.ranges] == [None, Seen(9, timedelta(days=1))]
