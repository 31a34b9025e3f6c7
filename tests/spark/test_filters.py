"""A filter narrows what is asked, and never leaves out a session that meets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smappee_async import TimeRange
from smappee_async.spark.filters import PARK, START, Condition, narrow
from smappee_async.timerange import from_ms

BASE_MS = 1_782_864_000_000
RANGE = TimeRange.from_ms(BASE_MS, BASE_MS + 20)
PARKS = (1, 2, 3, 4)

ids = st.integers(0, 5)
#: Spark compares microseconds; sessions start on whole milliseconds.
instants = st.integers(-3_000, 23_000).map(lambda us: from_ms(BASE_MS) + timedelta(microseconds=us))
single: Any = st.sampled_from(["=", ">", ">=", "<", "<="])
bounds = st.builds(Condition, st.just(START), single, instants)
conditions = st.one_of(
    st.builds(Condition, st.just(PARK), single, st.one_of(ids, st.none())),
    st.builds(Condition, st.just(PARK), st.just("in"), st.lists(st.one_of(ids, st.none())).map(tuple)),
    bounds,
    st.builds(Condition, st.just(START), st.just("in"), st.lists(instants, min_size=1).map(tuple)),
)
sessions = [(park, BASE_MS + ms) for park in PARKS for ms in range(20)]


def meets(park: int, start_ms: int, condition: Condition) -> bool:
    """As SQL does: a comparison with NULL is never true."""
    value: Any = condition.value
    have: Any = park if condition.column == PARK else from_ms(start_ms)
    match condition.operator:
        case "=":
            return bool(have == value)
        case "in":
            return have in value
    if value is None:
        return False
    return bool({">": have.__gt__, ">=": have.__ge__, "<": have.__lt__, "<=": have.__le__}[condition.operator](value))


@given(st.lists(conditions, max_size=4))
@example([Condition(START, "<=", from_ms(BASE_MS + 5) + timedelta(microseconds=1))])
def test_no_session_that_meets_all_conditions_is_left_out(given_: list[Condition]) -> None:
    found = narrow(PARKS, RANGE, given_)
    met = {each for each in sessions if all(meets(*each, condition) for condition in given_)}
    asked = (
        set() if found is None else {each for each in sessions if each[0] in found[0] and found[1].contains_ms(each[1])}
    )
    assert met <= asked


@given(st.lists(bounds, max_size=4))
def test_bounds_of_the_start_are_exact(given_: list[Condition]) -> None:
    found = narrow(PARKS, RANGE, given_)
    met = {each for each in sessions if all(meets(*each, condition) for condition in given_)}
    asked = set() if found is None else {each for each in sessions if found[1].contains_ms(each[1])}
    assert asked == met


@pytest.mark.parametrize(
    ("condition", "parks"),
    [
        (Condition(PARK, "=", 3), (3,)),
        (Condition(PARK, "in", (4, 2, None, 9)), (2, 4)),
        (Condition(PARK, ">", 3), PARKS),
        (Condition(PARK, "=", "3"), PARKS),
        (Condition(PARK, "=", True), PARKS),
        (Condition("user_id", "=", 3), PARKS),
        (Condition(f"extra.{PARK}", "=", 3), PARKS),
    ],
)
def test_only_what_says_which_park_leaves_out_parks(condition: Condition, parks: tuple[int, ...]) -> None:
    assert narrow(PARKS, RANGE, [condition]) == (parks, RANGE)


@pytest.mark.parametrize(
    "condition",
    [
        Condition(START, ">", datetime(2026, 7, 1)),  # noqa: DTZ001 - without a zone it is no instant
        Condition(START, ">", None),
        Condition(START, "in", ()),
        Condition("ended_at", ">", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_no_instant_of_a_start_changes_nothing(condition: Condition) -> None:
    assert narrow(PARKS, RANGE, [condition]) == (PARKS, RANGE)


@pytest.mark.parametrize(
    "condition",
    [
        Condition(PARK, "=", 9),
        Condition(PARK, "in", ()),
        Condition(START, ">=", datetime(2027, 1, 1, tzinfo=UTC)),
        Condition(START, "<", datetime(1960, 1, 1, tzinfo=UTC)),
        Condition(START, "=", from_ms(BASE_MS) + timedelta(microseconds=1)),
    ],
)
def test_nothing_is_asked_where_nothing_can_meet_it(condition: Condition) -> None:
    assert narrow(PARKS, RANGE, [condition]) is None
