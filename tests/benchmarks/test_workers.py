"""When the last of many parts ends, if workers share one rate."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The programs are not installed. Last on the path, so that the installed package stays the one that is tested.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.speed.workers import Work, last_end_s


def test_without_parts_the_end_is_the_beginning() -> None:
    assert last_end_s([], workers=4, rate=100) == 0


def test_one_part_is_as_fast_as_it_can_be() -> None:
    assert last_end_s([Work(400, at_most=40)], workers=4, rate=100) == pytest.approx(10)


def test_the_rate_is_shared() -> None:
    assert last_end_s([Work(400, at_most=40)] * 4, workers=4, rate=100) == pytest.approx(16)


def test_what_one_worker_cannot_use_is_left_to_the_others() -> None:
    parts = [Work(100, at_most=10), Work(900, at_most=1_000)]

    assert last_end_s(parts, workers=2, rate=100) == pytest.approx(10)


def test_a_worker_takes_the_next_part_when_it_has_ended_one() -> None:
    assert last_end_s([Work(100, at_most=10)] * 6, workers=2, rate=1_000) == pytest.approx(30)


def test_a_heavy_part_that_begins_last_is_waited_for() -> None:
    light, heavy = [Work(100, at_most=10)] * 6, Work(600, at_most=10)

    assert last_end_s([heavy, *light], workers=2, rate=1_000) == pytest.approx(60)
    assert last_end_s([*light, heavy], workers=2, rate=1_000) == pytest.approx(90)
