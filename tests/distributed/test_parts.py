"""Parks are divided into parts: each park once, in the same way every time, evenly where densities are known."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ConfigurationError, Seen, TimeRange
from smappee_async.distributed import Part, partition

YEAR = TimeRange.year(2025, tz="UTC")
DAY = timedelta(days=1)

parks_given = st.lists(st.integers(1, 2**40), min_size=1, max_size=60, unique=True)
seen_given = st.dictionaries(
    st.integers(1, 60),
    st.builds(Seen, st.integers(0, 10**7), st.integers(86_400_000, 10**11).map(lambda ms: timedelta(milliseconds=ms))),
    max_size=60,
)


@given(parks_given, st.integers(1, 20), seen_given)
def test_every_park_is_in_one_part(parks: list[int], most: int, seen: dict[int, Seen]) -> None:
    parts = partition(parks, YEAR, parks_per_part=most, seen=seen)
    assert sorted(park for part in parts for park in part.parks) == sorted(parks)
    assert all(0 < len(part.parks) <= most for part in parts)
    assert len(parts) == -(-len(parks) // most)
    assert {part.time_range for part in parts} == {YEAR}


@given(parks_given, st.integers(1, 20), seen_given, st.randoms(use_true_random=False))
def test_the_order_in_which_parks_are_given_changes_nothing(
    parks: list[int], most: int, seen: dict[int, Seen], random: Any
) -> None:
    parts = partition(parks, YEAR, parks_per_part=most, seen=seen)
    random.shuffle(parks)
    assert partition(parks, YEAR, parks_per_part=most, seen=seen) == parts


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=60), st.integers(1, 10))
def test_the_heaviest_part_comes_first(sessions_a_day: list[int], most: int) -> None:
    seen = {park: Seen(sessions * 365, 365 * DAY) for park, sessions in enumerate(sessions_a_day, 1)}
    parts = partition(list(seen), YEAR, parks_per_part=most, seen=seen)
    weights = [sum(seen[park].sessions / 365 + 1 for park in part.parks) for part in parts]
    assert weights == sorted(weights, reverse=True)


def test_hubs_are_spread_over_the_parts() -> None:
    seen = {park: Seen(5_000 * 365 if park <= 4 else 365, 365 * DAY) for park in range(1, 401)}
    parts = partition(list(seen), YEAR, seen=seen)
    assert [sum(park <= 4 for park in part.parks) for part in parts] == [1, 1, 1, 1]


def test_a_part_has_what_was_seen_of_its_own_parks() -> None:
    seen = {1: Seen(7, DAY), 2: Seen(8, DAY), 9: Seen(9, DAY)}
    parts = partition([1, 2, 3], YEAR, parks_per_part=1, seen=seen)
    assert {part.parks: dict(part.seen) for part in parts} == {(1,): {1: seen[1]}, (2,): {2: seen[2]}, (3,): {}}


@given(parks_given, seen_given)
def test_a_part_comes_back_from_json_and_from_a_pickle(parks: list[int], seen: dict[int, Seen]) -> None:
    for part in partition(parks, YEAR, parks_per_part=7, seen=seen):
        other = Part.from_json(json.loads(json.dumps(part.to_json())))
        assert (other, other.seen, other.name) == (part, part.seen, part.name)
        assert pickle.loads(pickle.dumps(part)) == part


def test_what_was_seen_is_no_part_of_the_name() -> None:
    assert Part(parks=(1,), time_range=YEAR).name == Part(parks=(1,), time_range=YEAR, seen={1: Seen(1, DAY)}).name


@pytest.mark.parametrize(
    "other",
    [
        Part(parks=(1, 3), time_range=YEAR),
        Part(parks=(1, 2), time_range=TimeRange.year(2024, tz="UTC")),
        Part(parks=(1, 2), time_range=YEAR, state="all"),
    ],
)
def test_another_part_has_another_name(other: Part) -> None:
    assert other.name != Part(parks=(1, 2), time_range=YEAR).name


def test_the_name_of_a_part_does_not_change() -> None:
    """Files that were written last year are found by it."""
    assert (
        Part(parks=(2, 1), time_range=YEAR).name == Part(parks=(1, 2), time_range=YEAR).name == "part-851cc7559b52b384"
    )


@pytest.mark.parametrize("plain", [{}, {"version": 2}, {"version": 1, "parks": 3}, []])
def test_what_is_no_part_is_refused(plain: Any) -> None:
    with pytest.raises(ConfigurationError, match="no part"):
        Part.from_json(plain)


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_a_part_has_at_least_one_park(most: Any) -> None:
    with pytest.raises(ConfigurationError, match="parks_per_part"):
        partition([1], YEAR, parks_per_part=most)


def test_an_open_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="an end"):
        partition([1], TimeRange.since(YEAR.start))
