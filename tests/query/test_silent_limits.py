"""A stream over a service with a silent limit, without HTTP: exact, or an error that says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speed.planner import growth_by_verification
from smappee_async import ResponseDecodeError, TimeRange
from smappee_async.query.target import Target
from smappee_async.query.truncation import SAMPLE, TruncationCheck

from .limited_service import BEGIN_MS, DAY_MS, Limit, LimitedService, Outcome, by_chance, read_all

YEAR = TimeRange.from_ms(BEGIN_MS, BEGIN_MS + 365 * DAY_MS)
OPEN = TimeRange.from_ms(BEGIN_MS)
MONTH = TimeRange.from_ms(BEGIN_MS + 30 * DAY_MS, BEGIN_MS + 61 * DAY_MS)
PARKS = {1: 4_000, 2: 2_100, 3: 1_000, 4: 600, 5: 350, 6: 50}
KEEPS = ["newest", "oldest", "some"]


def service_of(counts: Mapping[int, int], limits: Mapping[int, Limit], **options: Any) -> LimitedService:
    starts = {park: by_chance(count, seed=park) for park, count in counts.items()}
    return LimitedService(starts, limits, **options)


def read(service: LimitedService, time_range: TimeRange = YEAR, **options: Any) -> Outcome:
    truncation = options.pop("truncation", None) or TruncationCheck(10)
    return asyncio.run(read_all(service, dict.fromkeys(service.records, time_range), truncation, **options))


def truth(service: LimitedService, time_range: TimeRange = YEAR) -> list[int]:
    return service.truth(dict.fromkeys(service.records, time_range))


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("sessions", [20, 99, 500, 1_000, 5_000])
def test_nothing_is_lost_by_a_limit_on_the_number(sessions: int, keeps: Any) -> None:
    """R42."""
    service = service_of(PARKS, dict.fromkeys(PARKS, Limit(sessions=sessions, keeps=keeps)))

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("size_bytes", [100_000, 300_000])
def test_nothing_is_lost_by_a_limit_on_the_size(size_bytes: int, keeps: Any) -> None:
    """R42."""
    service = service_of(PARKS, dict.fromkeys(PARKS, Limit(size_bytes=size_bytes, keeps=keeps)))

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))


@pytest.mark.parametrize("keeps", KEEPS)
def test_nothing_is_lost_if_each_park_has_its_own_limit(keeps: Any) -> None:
    """R42."""
    limits = {
        1: Limit(sessions=700, keeps=keeps),
        3: Limit(size_bytes=300_000, keeps=keeps),
        4: Limit(sessions=50, keeps=keeps),
        5: Limit(sessions=300, keeps=keeps),
    }
    service = service_of(PARKS, limits)

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("repeats", [1, 40, 150])
def test_records_that_stand_twice_in_a_response_do_not_hide_a_limit(repeats: int, keeps: Any) -> None:
    """R42: a response of 150 sessions and 40 of them again looks larger than its two parts."""
    service = service_of(PARKS, dict.fromkeys(PARKS, Limit(sessions=150, keeps=keeps)), repeats=repeats)

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("seed", range(5))
def test_records_that_stand_twice_now_and_then_do_not_hide_a_limit(seed: int, keeps: Any) -> None:
    """R42: what is whole, and what is cut off, is known by the number of distinct sessions."""
    chance = random.Random(seed)

    def repeat_some(service: LimitedService) -> None:
        service.repeats = chance.choice([0, 51])

    service = service_of(PARKS, dict.fromkeys(PARKS, Limit(sessions=150, keeps=keeps)), growing=repeat_some)

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))


LIMITS = st.builds(
    Limit,
    sessions=st.sampled_from([20, 21, 25, 50, 100, 333, 500, 1_000, 2_000]),
    keeps=st.sampled_from(KEEPS),
) | st.builds(Limit, size_bytes=st.sampled_from([60_000, 300_000, 1_000_000]), keeps=st.sampled_from(KEEPS))


@settings(max_examples=25)
@given(
    counts=st.lists(st.sampled_from([5, 12, 30, 100, 400, 1_000, 3_000]), min_size=1, max_size=6),
    limits=st.lists(st.none() | LIMITS, min_size=6, max_size=6),
    seed=st.integers(0, 1_000),
    time_range=st.sampled_from([YEAR, OPEN, MONTH]),
    state=st.sampled_from(["completed", "all"]),
    concurrency=st.sampled_from([1, 2, 8]),
    target_sessions=st.sampled_from([200, 2_000]),
)
def test_nothing_is_lost_under_any_limit_of_a_few_parks(
    counts: list[int], limits: list[Limit | None], seed: int, time_range: TimeRange, **options: Any
) -> None:
    """R42."""
    service = LimitedService(
        {park: by_chance(count, seed + park) for park, count in enumerate(counts)},
        {park: limit for park, limit in enumerate(limits) if limit is not None},
    )

    outcome = read(service, time_range, **options)

    assert outcome.error is not None or outcome.ids == truth(service, time_range)


def sampled() -> TruncationCheck:
    """Many parks were verified, and no limit was found."""
    truncation = TruncationCheck(10)
    read(service_of(dict.fromkeys(range(SAMPLE), 100), {}), truncation=truncation)
    return truncation


def test_a_limit_that_shows_only_when_a_size_repeats_is_an_error_that_names_what_was_handed_over() -> None:
    """R42."""
    truncation = sampled()
    service = service_of({99: 3_000}, {99: Limit(sessions=50, keeps="oldest")})

    outcome = read(service, truncation=truncation)

    assert isinstance(outcome.error, ResponseDecodeError)
    assert "may be missing" in str(outcome.error)


def test_the_next_query_knows_the_limit_and_is_exact() -> None:
    """R42."""
    truncation = sampled()
    service = service_of({99: 3_000}, {99: Limit(sessions=50, keeps="oldest")})
    read(service, truncation=truncation)

    outcome = read(service, truncation=truncation)

    assert (outcome.error, outcome.ids) == (None, truth(service))


def test_ranges_that_turn_out_to_be_cut_off_are_collected_where_errors_are() -> None:
    """R42."""
    truncation = sampled()
    service = service_of({99: 3_000}, {99: Limit(sessions=50, keeps="oldest")})

    outcome = read(service, truncation=truncation, on_error="collect")

    missing = set(truth(service)) - set(outcome.ids)
    assert missing
    starts = {number: start_ms for start_ms, number, _ in service.records[99]}
    assert all(any(each and each.contains_ms(starts[number]) for each in outcome.failures) for number in missing)


def test_a_limit_of_one_park_makes_the_earlier_responses_of_all_doubtful() -> None:
    """R42: the first was trusted because many others had no limit; the second shows that some have one."""
    truncation = sampled()
    service = service_of({98: 90, 99: 3_000}, {98: Limit(sessions=60), 99: Limit(sessions=50, keeps="oldest")})

    outcome = read(service, truncation=truncation, on_error="collect")

    assert YEAR not in outcome.failures
    missing = set(truth(service)) - set(outcome.ids)
    starts = {number: start_ms for park in (98, 99) for start_ms, number, _ in service.records[park]}
    assert all(any(each and each.contains_ms(starts[number]) for each in outcome.failures) for number in missing)


def test_where_nothing_is_cut_at_most_three_requests_in_a_hundred_verify() -> None:
    """R42."""
    assert max(growth_by_verification().values()) <= 1.03


# --- no limit ---------------------------------------------------------------------------------------------------------


def test_a_park_that_grows_while_it_is_verified_has_no_limit() -> None:
    """R43."""

    def grow(service: LimitedService) -> None:
        service.add(1, BEGIN_MS + 40 * DAY_MS + service.requests)

    service = service_of({1: 500}, {}, growing=grow)
    truncation = TruncationCheck(10)

    read(service, MONTH, truncation=truncation)

    assert truncation.limit_of(Target(1)) is None


def test_a_park_that_grows_under_a_limit_has_one() -> None:
    """R43."""

    def grow(service: LimitedService) -> None:
        service.add(1, BEGIN_MS + 40 * DAY_MS + service.requests)

    service = service_of({1: 3_000}, {1: Limit(sessions=100)}, growing=grow)
    before = set(truth(service, MONTH))

    outcome = read(service, MONTH)

    assert outcome.error is None
    assert before <= set(outcome.ids)


@pytest.mark.parametrize("count", [50, 500, 4_000])
def test_a_service_that_ignores_the_end_of_a_range_takes_few_requests(count: int) -> None:
    """R43."""
    service = service_of({1: count, 2: count}, {}, ignores="end")

    outcome = read(service)

    assert (outcome.error, outcome.ids) == (None, truth(service))
    assert service.requests <= 16


@pytest.mark.parametrize("time_range", [YEAR, MONTH])
@pytest.mark.parametrize("count", [50, 500, 4_000])
def test_a_service_that_ignores_the_range_is_read_whole_or_the_error_says_so(count: int, time_range: TimeRange) -> None:
    """R43."""
    service = service_of({1: count, 2: count}, {}, ignores="range")

    outcome = read(service, time_range)

    assert outcome.ids == truth(service, time_range) if outcome.error is None else "ignores" in str(outcome.error)
    assert service.requests <= 12
