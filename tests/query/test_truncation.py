"""A silent limit on responses: doubted only where there is reason, found out, and cut around."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.truncation import (
    SAMPLE,
    ResponseSize,
    TruncationCheck,
    cut_evenly,
    cut_in_two,
    identities,
    ignored,
    inside,
)
from smappee_async.timerange import TimeRange, merge

START = 1_767_225_600_000
RANGE = TimeRange.from_ms(START, START + 1_000)


def records(*starts_ms: int) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps({"id": 1, "from": START + start_ms}).encode()) for start_ms in starts_ms]


def size(sessions: int, size_bytes: int | None = None) -> ResponseSize:
    return ResponseSize(sessions, 10 * sessions if size_bytes is None else size_bytes)


def sampled(*, of: int = 500, size_bytes: int | None = None) -> TruncationCheck:
    """So many targets were verified that a limit of single ones is ruled out."""
    truncation = TruncationCheck(10)
    for number in range(SAMPLE):
        truncation.begin(f"sampled {number}")
        truncation.learn_whole(f"sampled {number}", "range", size(of, size_bytes))
    return truncation


def test_small_responses_are_believed() -> None:
    assert TruncationCheck(10).judge("park", "range", size(9)) == "whole"


def test_the_first_response_of_a_target_is_verified_from_ten_sessions_on() -> None:
    assert TruncationCheck(10).judge("park", "range", size(10)) == "verify"


def test_a_response_as_large_as_one_that_was_whole_is_believed() -> None:
    truncation = TruncationCheck(10)
    truncation.learn_whole("park", "range", size(500))

    assert [truncation.judge("park", "range", size(each)) for each in (499, 500, 501)] == ["whole", "whole", "verify"]


def test_what_was_whole_for_one_target_says_nothing_about_another_at_first() -> None:
    truncation = TruncationCheck(10)
    truncation.begin("park")
    truncation.learn_whole("park", "range", size(500))

    assert truncation.judge("other", "range", size(20)) == "verify"


def test_when_many_targets_have_no_limit_others_are_believed_up_to_the_largest() -> None:
    truncation = sampled(of=500)

    assert [truncation.judge("other", "range", size(each)) for each in (20, 500, 501)] == ["whole", "whole", "verify"]


def test_a_limit_of_one_target_ends_the_trust_in_all_others() -> None:
    truncation = sampled()
    truncation.learn_limit("park", size(50))

    assert truncation.judge("other", "range", size(20)) == "verify"


def test_the_largest_size_of_a_target_is_verified_when_it_repeats_and_then_more_and_more_seldom() -> None:
    truncation = sampled(of=500)
    verified = []
    for number in range(70):
        if truncation.judge("other", number, size(100)) == "verify":
            verified.append(number)
            truncation.learn_whole("other", number, size(100))
        else:
            truncation.believe("other", number, size(100))

    assert verified == [1, 8, 64]


def test_the_same_range_with_the_same_sessions_again_is_no_repetition() -> None:
    truncation = sampled(of=500)
    truncation.believe("other", "range", size(100))

    assert truncation.judge("other", "range", size(100)) == "whole"


def test_responses_of_nearly_one_size_in_bytes_repeat_each_other() -> None:
    truncation = sampled(of=5_000, size_bytes=1_000_000)
    truncation.believe("other", "range", size(1_000, 300_000))

    verdicts = [truncation.judge("other", "next", ResponseSize(*each)) for each in ((990, 299_800), (990, 250_000))]

    assert verdicts == ["verify", "whole"]


def test_a_response_is_verified_that_is_larger_in_bytes_only() -> None:
    truncation = TruncationCheck(10)
    truncation.learn_whole("park", "range", size(1_000, 300_000))

    assert truncation.judge("park", "range", size(900, 310_000)) == "verify"


def test_once_a_limit_is_found_responses_of_that_size_are_cut() -> None:
    truncation = TruncationCheck(10)
    truncation.learn_limit("park", size(500))

    assert [truncation.judge("park", "range", size(each)) for each in (499, 500)] == ["whole", "cut"]
    assert truncation.limit_of("park") == 500
    assert truncation.limit_of("other") is None


def test_once_a_limit_in_bytes_is_found_responses_of_nearly_that_size_are_cut() -> None:
    truncation = TruncationCheck(10)
    truncation.learn_limit("park", size(1_000, 300_000))

    verdicts = [truncation.judge("park", "range", size(*each)) for each in ((990, 299_400), (990, 290_000))]

    assert verdicts == ["cut", "whole"]


def test_what_was_believed_is_proven_only_by_a_larger_response_of_its_target() -> None:
    truncation = sampled(of=500)

    assert not truncation.is_proven("other", size(100))
    assert truncation.is_proven("sampled 0", size(100))


def test_records_of_one_session_count_once() -> None:
    bodies = [b'{"id":1}', b'{"id":2}', b'{"id":1,"x":0}', b"no JSON", b"no JSON", b'{"x":1}']

    assert len(identities([msgspec.Raw(body) for body in bodies])) == 4


def test_without_a_threshold_everything_is_believed() -> None:
    assert TruncationCheck(None).judge("park", "range", size(1_000_000)) == "whole"


@pytest.mark.parametrize(
    ("starts_ms", "edge"),
    [
        ([*range(0, 1000, 100)], None),
        ([-1, -1, *range(20)], None),
        ([*range(-8, 8)], "start"),
        ([*range(992, 1008)], "end"),
        ([*range(-500, 1500, 10)], "start"),
    ],
)
def test_a_range_is_ignored_if_many_records_are_outside_of_it(starts_ms: list[int], edge: str | None) -> None:
    assert ignored(RANGE, records(*starts_ms)) == edge


def test_records_that_are_outside_of_a_range_are_told() -> None:
    found = inside(RANGE, [*records(-1, 0, 999, 1000), msgspec.Raw(b"1")])

    assert found == [*records(0, 999), msgspec.Raw(b"1")]


@pytest.mark.parametrize("end_ms", [START + 1_000, None])
@given(starts_ms=st.lists(st.integers(0, 999), min_size=1))
def test_even_parts_tile_the_range_and_each_is_shorter(starts_ms: list[int], end_ms: int | None) -> None:
    time_range = TimeRange.from_ms(START, end_ms)

    parts = cut_evenly(time_range, records(*starts_ms))

    assert len(parts) >= 2
    assert merge(parts) == [time_range]
    assert [part.end_ms for part in parts[:-1]] == [part.start_ms for part in parts[1:]]


def test_a_range_of_one_instant_cannot_be_cut() -> None:
    assert cut_evenly(TimeRange.from_ms(START, START + 1), records(0, 0)) == []


def test_the_less_of_a_range_is_covered_the_more_parts_it_is_cut_into() -> None:
    assert len(cut_evenly(RANGE, records(900, 999))) > len(cut_evenly(RANGE, records(0, 999)))


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
