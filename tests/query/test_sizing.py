"""How much to ask for next: towards responses of one size, with few requests where little is."""

from __future__ import annotations

import random
from bisect import bisect_left
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.seen import Seen
from smappee_async.query.sizing import ChunkSizer

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
YEARS = 5 * 365 * DAY
TARGET = 2_000


def responses(starts: list[int], length_ms: int, seen: Seen | None = None) -> list[int]:
    """Sizes of the responses when a park with these session starts is read from end to end."""
    sizer, at_ms, sizes = ChunkSizer(TARGET, seen), 0, []
    while at_ms < length_ms:
        span_ms = sizer.span_ms(length_ms - at_ms)
        size = bisect_left(starts, at_ms + span_ms) - bisect_left(starts, at_ms)
        sizer.learn(size, span_ms, 0.1)
        sizes.append(size)
        at_ms += span_ms
    assert at_ms == length_ms
    return sizes


def starts_of(per_day: float, days: int, seed: int = 1) -> list[int]:
    chance, at, starts = random.Random(seed), 0.0, []
    while (at := at + chance.expovariate(per_day / DAY)) < days * DAY:
        starts.append(int(at))
    return starts


@pytest.mark.parametrize("seed", range(5))
def test_five_years_of_a_home_charger_take_four_requests_at_most(seed: int) -> None:
    assert len(responses(starts_of(1, 5 * 365, seed), YEARS)) <= 4


@pytest.mark.parametrize(("per_day", "days"), [(30, 1825), (5_000, 60), (20_000, 10)])
def test_a_dense_park_takes_little_more_than_the_fewest_requests(per_day: int, days: int) -> None:
    starts = starts_of(per_day, days)

    assert len(responses(starts, days * DAY)) <= 1.25 * -(-len(starts) // TARGET)


@pytest.mark.parametrize(("per_day", "days"), [(1, 1825), (30, 1825), (5_000, 60)])
def test_no_response_is_twice_as_large_as_aimed_at(per_day: int, days: int) -> None:
    assert max(responses(starts_of(per_day, days), days * DAY)) <= 2 * TARGET


def by_day_and_week(per_day: float, days: int) -> list[int]:
    """Session starts, from a Monday's 8 o'clock on, of a park that is busy on weekdays until 20, and nearly empty else."""
    starts: list[int] = []
    for day in range(days):
        share = 1.4 if day % 7 < 5 else 0.0
        for hour in range(24):
            count = int(per_day * share * (0.08 if hour < 12 else 0.04 / 12) + 1)
            starts += [day * DAY + hour * HOUR + number * HOUR // count for number in range(count)]
    return starts


@pytest.mark.parametrize("per_day", [2_000, 5_000, 20_000])
def test_the_first_busy_morning_after_a_weekend_is_no_surprise(per_day: int) -> None:
    starts = by_day_and_week(per_day, 70)
    _first_look, *sizes = responses(starts, 70 * DAY)
    assert max(sizes) <= 2 * TARGET
    assert len(sizes) <= 2 * len(starts) / TARGET


def test_a_month_is_asked_for_at_once() -> None:
    assert ChunkSizer(TARGET).span_ms(31 * DAY) == 31 * DAY


def test_a_long_question_begins_with_a_first_look() -> None:
    assert ChunkSizer(TARGET).span_ms(YEARS) == 8 * HOUR


def test_nothing_seen_yet_is_no_reason_to_ask_for_everything() -> None:
    sizer = ChunkSizer(TARGET)
    sizer.learn(0, 8 * HOUR, 0.1)

    assert sizer.span_ms(YEARS) < YEARS / 2


def test_a_density_is_known_after_a_quarter_of_a_full_response() -> None:
    sizer = ChunkSizer(TARGET)

    sizer.learn(499, DAY, 0.1)
    before = sizer.is_known
    sizer.learn(1, DAY, 0.1)

    assert (before, sizer.is_known) == (False, True)


def test_a_park_that_grows_denser_is_asked_for_less() -> None:
    sizer = ChunkSizer(TARGET)
    sizer.learn(2_000, 20 * DAY, 0.1)
    before = sizer.span_ms(YEARS)

    sizer.learn(20_000, 20 * DAY, 0.1)

    assert sizer.span_ms(YEARS) < before / 3


def test_what_was_too_much_is_asked_for_in_half_the_length_at_most() -> None:
    sizer = ChunkSizer(None)

    sizer.shorten(10 * DAY)

    assert sizer.span_ms(10 * DAY) <= 5 * DAY


def test_a_large_response_that_was_slow_is_asked_for_in_half_the_length() -> None:
    sizer = ChunkSizer(TARGET)

    sizer.learn(2_000, 20 * DAY, 30.0)

    assert sizer.span_ms(YEARS) <= 10 * DAY


def test_a_small_response_that_was_slow_is_not_slow_for_its_length() -> None:
    sizer = ChunkSizer(TARGET)

    sizer.learn(10, 100 * DAY, 30.0)

    assert sizer.span_ms(YEARS) > 100 * DAY


def test_a_length_that_was_too_much_once_is_tried_again_after_shorter_ones_were_read() -> None:
    sizer = ChunkSizer(TARGET)
    sizer.learn(2_000, 20 * DAY, 0.1)
    sizer.shorten(20 * DAY)

    sizer.learn(1_000, 10 * DAY, 0.1)

    assert sizer.span_ms(YEARS) > 10 * DAY


@pytest.mark.parametrize("seed", range(5))
def test_faults_that_pass_do_not_leave_it_asking_for_less_and_less(seed: int) -> None:
    chance, sizer, left_ms, requests = random.Random(seed), ChunkSizer(250), 365 * DAY, 0
    while left_ms:
        span_ms = sizer.span_ms(left_ms)
        requests += 1
        if chance.random() < 0.2 and span_ms > 2 * MINUTE:
            sizer.shorten(span_ms)
        else:
            sizer.learn(300 * span_ms // DAY, span_ms, 0.1)
            left_ms -= span_ms
    assert requests <= 2 * 365 * 300 / 250


def test_an_open_end_that_begins_after_what_is_thought_to_be_now_can_be_read() -> None:
    sizer = ChunkSizer(TARGET)
    sizer.learn(2 * TARGET, 0, 0.1)
    assert sizer.span_ms(YEARS) > 0


def test_a_short_rest_is_asked_for_with_the_chunk_before_it() -> None:
    sizer = ChunkSizer(TARGET)
    sizer.learn(2_000, 20 * DAY, 0.1)

    assert sizer.span_ms(24 * DAY) == 24 * DAY


# --- what was seen before the query -----------------------------------------------------------------------------------


def per_day(sessions: float) -> Seen:
    """So many a day, seen in a year."""
    return Seen(round(sessions * 365), timedelta(days=365))


def test_a_quiet_park_that_was_seen_before_is_asked_for_at_once() -> None:
    assert len(responses(starts_of(1, 1825), YEARS, per_day(1))) == 1


def test_a_park_that_was_seen_before_is_asked_for_in_full_responses_from_the_first_on() -> None:
    starts = starts_of(30, 1825)

    sizes = responses(starts, YEARS, per_day(30))

    assert len(sizes) == -(-len(starts) // TARGET)
    assert max(sizes) <= 1.1 * TARGET


@pytest.mark.parametrize("first_day", range(7))
def test_no_response_of_a_month_of_a_hub_is_twice_as_large_as_aimed_at(first_day: int) -> None:
    starts = [start - first_day * DAY for start in by_day_and_week(5_000, 44) if start >= first_day * DAY]

    sizes = responses(starts, 31 * DAY, per_day(5_000))

    assert max(sizes) <= 2 * TARGET


@pytest.mark.parametrize("days", [30, 1825])
@pytest.mark.parametrize("times", [10, 100])
def test_a_park_that_was_seen_busier_takes_a_few_requests_more(days: int, times: int) -> None:
    starts = starts_of(30, days)

    more = len(responses(starts, days * DAY, per_day(30 * times))) - len(responses(starts, days * DAY))

    assert more <= 7


def test_a_park_that_closed_since_is_looked_for_in_three_days_of_short_chunks() -> None:
    assert len(responses([], 30 * DAY, per_day(5_000))) <= 3 * 5_000 / 2_000 * 1.5 + 2


@pytest.mark.parametrize("per_second", [1, 10**9])
def test_even_nonsense_does_not_take_requests_without_end(per_second: int) -> None:
    nonsense = Seen(per_second * 86_400, timedelta(days=1))
    assert len(responses(starts_of(1, 1825), YEARS, nonsense)) <= 300


@pytest.mark.parametrize("times", [2, 10])
def test_a_park_that_grew_since_has_one_response_that_is_so_many_times_too_large(times: int) -> None:
    first, *sizes = responses(starts_of(3_000, 60), 60 * DAY, per_day(3_000 / times))

    assert first <= 1.1 * times * TARGET
    assert max(sizes) <= 2 * TARGET


@pytest.mark.parametrize("sessions", [0, 1, 2])
def test_next_to_nothing_seen_is_no_reason_to_ask_for_more_than_a_short_range(sessions: int) -> None:
    sizer = ChunkSizer(TARGET, Seen(sessions, timedelta(days=3_000)))
    assert sizer.span_ms(80 * DAY) <= 35 * DAY


def test_what_was_seen_before_does_not_make_a_density_known() -> None:
    assert not ChunkSizer(TARGET, per_day(5_000)).is_known


def test_what_was_seen_before_says_nothing_where_each_range_is_asked_at_once() -> None:
    assert ChunkSizer(None, per_day(5_000)).span_ms(YEARS) == YEARS


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, YEARS), st.floats(0, 100)), max_size=20),
    st.integers(1, YEARS),
    st.sampled_from([None, 1, 50, 2_000]),
    st.none()
    | st.builds(Seen, st.integers(0, 10**12), st.timedeltas(timedelta(milliseconds=1), timedelta(days=9_999))),
)
def test_there_is_always_something_to_ask_for_and_never_more_than_is_left(
    read: list[tuple[int, int, float]], left_ms: int, target: int | None, seen: Seen | None
) -> None:
    sizer = ChunkSizer(target, seen)
    for sessions, span_ms, elapsed_s in read:
        sizer.learn(sessions, span_ms, elapsed_s)
        if sessions % 7 == 0:
            sizer.shorten(span_ms)

    assert 1 <= sizer.span_ms(left_ms) <= left_ms
