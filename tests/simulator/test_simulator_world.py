"""The simulated world: computed, consistent, and the same whatever range is read."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async.simulator import Park, SimulatedClock, SimulatedSession, World

DAY_MS = 86_400_000
YEAR = (SimulatedClock.at("2025-01-01T00:00:00Z").now_ms, SimulatedClock.at("2026-01-01T00:00:00Z").now_ms)
WORLD = World.of(
    [
        Park.home(1001),
        Park.office(1002, timezone="Europe/London", connectors=5),
        Park.hub(1003, sessions_per_day=40, timezone="Australia/Lord_Howe"),
        Park.home(1004, timezone="America/Santiago", connectors=3),
    ],
    seed=7,
)
IN_2025 = {park: list(WORLD.sessions(park, *YEAR)) for park in WORLD.parks}


def by_connector(sessions: list[SimulatedSession]) -> dict[tuple[int, int], list[SimulatedSession]]:
    connectors: dict[tuple[int, int], list[SimulatedSession]] = defaultdict(list)
    for session in sessions:
        connectors[session.serial_number, session.connector].append(session)
    return connectors


def end_of(session: SimulatedSession) -> int:
    assert session.end_ms is not None
    return session.end_ms


def test_the_same_seed_gives_the_same_world() -> None:
    again = World.of(list(WORLD.parks.values()), seed=7)
    assert list(again.sessions(1003, *YEAR)) == IN_2025[1003]


def test_another_seed_gives_another_world() -> None:
    other = World.of(list(WORLD.parks.values()), seed=8)
    assert list(other.sessions(1003, *YEAR)) != IN_2025[1003]


@pytest.mark.parametrize("park", WORLD.parks)
def test_sessions_come_in_order_of_their_start(park: int) -> None:
    starts = [session.start_ms for session in IN_2025[park]]
    assert starts == sorted(starts)


@pytest.mark.parametrize("park", WORLD.parks)
def test_sessions_of_a_connector_never_overlap(park: int) -> None:
    for sessions in by_connector(IN_2025[park]).values():
        assert all(end_of(one) <= other.start_ms for one, other in pairwise(sessions))


@pytest.mark.parametrize("park", WORLD.parks)
def test_every_session_starts_at_the_reading_where_the_one_before_it_stopped(park: int) -> None:
    for sessions in by_connector(IN_2025[park]).values():
        assert all(one.stop_reading_ckwh == other.start_reading_ckwh for one, other in pairwise(sessions))
        assert all(session.energy_ckwh > 0 for session in sessions)


def test_session_ids_are_unique_in_the_world_and_exact_in_a_double() -> None:
    ids = [session.id for sessions in IN_2025.values() for session in sessions]
    assert len(set(ids)) == len(ids)
    assert all(0 < number < 2**53 for number in ids)


def test_stations_have_ten_digits_that_begin_with_a_six_and_at_most_two_connectors() -> None:
    stations: dict[int, set[int]] = defaultdict(set)
    for sessions in IN_2025.values():
        for session in sessions:
            stations[session.serial_number].add(session.connector)
    assert all(6_000_000_000 <= serial < 7_000_000_000 for serial in stations)
    assert all(connectors <= {1, 2} for connectors in stations.values())
    assert stations.keys() == WORLD.stations.keys()


def test_no_station_stands_in_two_parks() -> None:
    for park, sessions in IN_2025.items():
        assert {WORLD.stations[session.serial_number].service_location_id for session in sessions} == {park}


@given(
    park=st.sampled_from(sorted(WORLD.parks)),
    cuts=st.lists(st.integers(YEAR[0], YEAR[0] + 40 * DAY_MS), min_size=2, max_size=6).map(sorted),
)
@settings(max_examples=40, deadline=None)
def test_the_parts_of_a_range_hold_exactly_what_the_range_holds(park: int, cuts: list[int]) -> None:
    whole = list(WORLD.sessions(park, cuts[0], cuts[-1]))
    parts = [session for start, end in pairwise(cuts) for session in WORLD.sessions(park, start, end)]
    assert parts == whole


@given(offset=st.sampled_from([-1, 0, 1]), index=st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_a_session_is_in_a_range_from_its_start_until_a_millisecond_later(offset: int, index: int) -> None:
    session = IN_2025[1001][index]
    at = session.start_ms + offset
    assert (session in WORLD.sessions(1001, at, at + 1)) == (offset == 0)


def test_some_sessions_cross_midnight_and_the_end_of_a_month() -> None:
    zone = ZoneInfo("Europe/Brussels")
    spans = [
        (datetime.fromtimestamp(one.start_ms / 1000, zone), datetime.fromtimestamp(end_of(one) / 1000, zone))
        for one in IN_2025[1001]
    ]
    assert any(start.date() != end.date() for start, end in spans)
    assert any(start.month != end.month for start, end in spans)


@pytest.mark.parametrize(
    ("park", "change"),
    [
        (1001, datetime(2025, 3, 30, 1, tzinfo=UTC)),
        (1001, datetime(2025, 10, 26, 1, tzinfo=UTC)),
        (1003, datetime(2025, 4, 5, 15, tzinfo=UTC)),
        (1003, datetime(2025, 10, 4, 15, 30, tzinfo=UTC)),
    ],
)
def test_sessions_go_on_while_the_clocks_change(park: int, change: datetime) -> None:
    change_ms = int(change.timestamp() * 1000)
    zone = ZoneInfo(WORLD.parks[park].timezone)
    before, after = ((change + timedelta(minutes=step)).astimezone(zone).utcoffset() for step in (-1, 1))
    assert before != after
    assert any(session.start_ms < change_ms < end_of(session) for session in IN_2025[park])


def test_some_home_sessions_last_a_weekend() -> None:
    longest_ms = max(end_of(session) - session.start_ms for session in IN_2025[1001])
    assert 2 * DAY_MS < longest_ms < 3 * DAY_MS


def test_sessions_come_with_a_card_with_an_app_and_with_neither() -> None:
    kinds = {(one.authentication_type, one.rfid is None, one.user_id is None) for one in IN_2025[1002]}
    assert kinds == {("RFID", False, False), ("APP", True, False), (None, True, True)}


def test_a_park_has_no_sessions_before_it_opened() -> None:
    world = World.of([Park.office(1, opened=date(2025, 6, 2))])
    first = next(world.sessions(1, 0, YEAR[1]))
    assert first.start_ms >= SimulatedClock.at("2025-06-02T04:00:00Z").now_ms


@pytest.mark.parametrize("year", [2019, 2024, 2025])
def test_the_demo_world_has_at_least_the_sessions_asked_for_in_a_year(year: int) -> None:
    start, end = (SimulatedClock.at(f"{y}-01-01T00:00:00Z").now_ms for y in (year, year + 1))
    world = World.demo(seed=year, parks=6, sessions_per_year=30_000)
    count = sum(1 for park in world.parks for _ in world.sessions(park, start, end))
    assert 30_000 <= count < 40_000


def test_a_home_of_the_demo_has_about_one_session_a_day_an_office_thirty_and_a_hub_hundreds() -> None:
    world = World.demo()
    kinds: dict[str, list[float]] = defaultdict(list)
    for park in world.parks.values():
        kinds[park.name.split()[0]].append(sum(1 for _ in world.sessions(park.service_location_id, *YEAR)) / 365)
    assert {kind: len(days) for kind, days in kinds.items()} == {"Home": 16, "Office": 6, "Hub": 2}
    assert all(0.5 < day < 2 for day in kinds["Home"])
    assert all(20 < day < 40 for day in kinds["Office"])
    assert all(100 < day < 500 for day in kinds["Hub"])


def test_a_small_demo_world_has_small_offices_so_that_a_hub_has_the_most() -> None:
    world = World.demo(parks=6, sessions_per_year=10_000)
    counts = {park.name: sum(1 for _ in world.sessions(number, *YEAR)) for number, park in world.parks.items()}
    assert max(counts, key=lambda name: counts[name]).startswith("Hub")
    assert 10_000 <= sum(counts.values()) < 20_000


def test_the_demo_world_has_parks_in_several_time_zones() -> None:
    zones = {park.timezone for park in World.demo(parks=24).parks.values()}
    assert zones >= {
        "Europe/Brussels",
        "Europe/London",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
    }


def test_two_parks_cannot_have_the_same_id() -> None:
    with pytest.raises(ValueError, match="1001"):
        World.of([Park.home(1001), Park.office(1001)])


def test_two_fixed_sessions_of_a_park_cannot_have_the_same_id() -> None:
    with pytest.raises(ValueError, match="same id"):
        Park.fixed(1, [SimulatedSession(1, 0, 1), SimulatedSession(1, 2, 3)])


def test_many_fixed_sessions_are_found_across_chunks() -> None:
    sessions = [SimulatedSession(n + 1, n // 3, n // 3 + 1) for n in range(5_000)]
    world = World.of([Park.fixed(1, sessions)])
    assert list(world.sessions(1, 0, 10_000)) == sessions
    assert list(world.sessions(1, 333, 334)) == sessions[999:1002]


def test_a_session_can_be_written_with_instants_and_kilowatt_hours() -> None:
    session = SimulatedSession.between(5, "2026-10-25T00:30:00+02:00", "2026-10-25T03:30:00+01:00", energy_kwh=7.4)
    assert end_of(session) - session.start_ms == 4 * 3_600_000
    assert session.energy_ckwh == 740


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        SimulatedSession.between(5, "2026-10-25T00:30:00")
