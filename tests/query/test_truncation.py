"""A silent limit on responses: doubted only where there is reason, found out, and cut around."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.truncation import TruncationCheck, cut_in_two, distinct
from smappee_async.timerange import TimeRange

START = 1_767_225_600_000
RANGE = TimeRange.from_ms(START, START + 1_000)


def records(*starts_ms: int) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps({"id": 1, "from": START + start_ms}).encode()) for start_ms in starts_ms]


def test_small_responses_are_believed() -> None:
    assert not TruncationCheck(100).is_suspect(99)


def test_the_first_large_response_is_doubted() -> None:
    assert TruncationCheck(100).is_suspect(100)


def test_a_response_as_large_as_one_that_was_whole_is_believed() -> None:
    truncation = TruncationCheck(100)
    truncation.learn(500, is_whole=True)

    assert [truncation.is_suspect(size) for size in (499, 500, 501)] == [False, False, True]


def test_once_a_limit_is_found_only_responses_of_that_size_are_doubted() -> None:
    truncation = TruncationCheck(100)
    truncation.learn(500, is_whole=False)

    assert [truncation.is_suspect(size) for size in (499, 500)] == [False, True]


def test_records_of_one_session_count_once() -> None:
    bodies = [b'{"id":1}', b'{"id":2}', b'{"id":1,"x":0}', b"no JSON", b"no JSON", b'{"x":1}']

    assert distinct([msgspec.Raw(body) for body in bodies]) == 4


def test_without_a_threshold_everything_is_believed() -> None:
    assert not TruncationCheck(None).is_suspect(1_000_000)


@given(st.lists(st.integers(0, 999), min_size=2))
def test_both_parts_tile_the_range_and_hold_records(starts_ms: list[int]) -> None:
    parts = cut_in_two(RANGE, records(*starts_ms))

    if parts is None:
        assert len(set(starts_ms)) == 1
        return
    assert (parts[0].start_ms, parts[0].end_ms, parts[1].end_ms) == (START, parts[1].start_ms, RANGE.end_ms)
    held = [sum(part.contains_ms(START + start_ms) for start_ms in starts_ms) for part in parts]
    assert min(held) >= 1


@given(st.lists(st.integers(0, 999), min_size=10, unique=True))
def test_the_parts_hold_about_half_each(starts_ms: list[int]) -> None:
    parts = cut_in_two(RANGE, records(*starts_ms))

    assert parts is not None
    held = [sum(part.contains_ms(START + start_ms) for start_ms in starts_ms) for part in parts]
    assert abs(held[0] - held[1]) <= 1


@pytest.mark.parametrize("body", [b"1", b'{"id":1}', b'{"from":"soon"}', b"\xff"])
def test_records_without_a_start_are_passed_over(body: bytes) -> None:
    parts = cut_in_two(RANGE, [msgspec.Raw(body), *records(1, 5)])

    assert parts is not None


def test_an_open_end_stays_open() -> None:
    parts = cut_in_two(TimeRange.from_ms(START), records(1, 2, 3))

    assert parts is not None
    assert parts[1].end_ms is None


def test_no_record_at_all_cannot_be_cut() -> None:
    assert cut_in_two(RANGE, [msgspec.Raw(b"1")]) is None
