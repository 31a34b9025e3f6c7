"""A checkpoint goes through JSON and back, and leaves out exactly what was read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.errors import ConfigurationError
from smappee_async.models import SessionState
from smappee_async.query.checkpoint import Progress
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

PARK, OTHER = Target(12345), Target(67890)
STATION = Target(serial_number="12345")
STATES: tuple[SessionState, ...] = ("completed", "active", "all")
FAR = 40

small_ranges = st.builds(
    lambda start, length: TimeRange.from_ms(start, None if length is None else start + length),
    st.integers(0, 20),
    st.none() | st.integers(1, 12),
)
entries = st.lists(st.tuples(st.sampled_from([PARK, OTHER, STATION]), small_ranges), max_size=8)


def through_json(progress: Progress) -> Any:
    return json.loads(json.dumps(progress.to_json()))


def resumed(checkpoint: Any, state: SessionState = "completed") -> Progress:
    return Progress(state, checkpoint)


def instants(ranges: list[TimeRange]) -> set[int]:
    return {instant for instant in range(FAR) if any(each.contains_ms(instant) for each in ranges)}


@given(entries, st.sampled_from(STATES))
def test_a_checkpoint_survives_json(read: list[tuple[Target, TimeRange]], state: SessionState) -> None:
    progress = Progress(state, None)
    for target, time_range in read:
        progress.add(target, time_range)
    assert resumed(through_json(progress), state).to_json() == progress.to_json() == through_json(progress)


@given(entries, entries, small_ranges)
def test_going_on_leaves_out_exactly_what_was_read_before_and_since(
    before: list[tuple[Target, TimeRange]], since: list[tuple[Target, TimeRange]], asked: TimeRange
) -> None:
    progress = Progress("completed", None)
    for target, time_range in before:
        progress.add(target, time_range)
    progress = resumed(through_json(progress))
    for target, time_range in since:
        progress.add(target, time_range)
    for target, left in progress.remaining(dict.fromkeys((PARK, OTHER, STATION), asked)).items():
        read = [time_range for each, time_range in before + since if each == target]
        assert instants(left) == instants([asked]) - instants(read)


def test_without_a_checkpoint_everything_is_left() -> None:
    asked = TimeRange.from_ms(5)
    assert Progress("all", None).remaining({PARK: asked, STATION: asked}) == {PARK: [asked], STATION: [asked]}


def test_a_park_and_a_station_of_the_same_number_are_not_taken_for_each_other() -> None:
    progress = Progress("completed", None)
    progress.add(PARK, TimeRange.from_ms(0))
    rest = TimeRange.from_ms(5)
    assert progress.remaining({PARK: rest, STATION: rest}) == {PARK: [], STATION: [rest]}


def test_each_target_has_a_time_range_of_its_own() -> None:
    progress = Progress("completed", None)
    progress.add(PARK, TimeRange.from_ms(0, 10))
    progress.add(OTHER, TimeRange.from_ms(0, 10))
    assert progress.remaining({PARK: TimeRange.from_ms(0, 20), OTHER: TimeRange.from_ms(5, 8)}) == {
        PARK: [TimeRange.from_ms(10, 20)],
        OTHER: [],
    }


def test_a_checkpoint_does_not_change_when_more_is_read() -> None:
    progress = Progress("completed", None)
    progress.add(PARK, TimeRange.from_ms(0, 10))
    checkpoint = progress.to_json()
    progress.add(PARK, TimeRange.from_ms(10, 20))
    assert checkpoint == {"version": 2, "state": "completed", "read": {"park:12345": [[0, 10]]}}


@given(small_ranges, st.integers(0, FAR))
def test_a_chunk_counts_only_up_to_the_moment_of_asking(time_range: TimeRange, asked_at_ms: int) -> None:
    """R41."""
    progress = Progress("completed", None)
    progress.add(PARK, time_range, asked_at_ms)
    whole = TimeRange.from_ms(0)
    left = progress.remaining({PARK: whole})[PARK]
    read = {instant for instant in instants([time_range]) if instant < asked_at_ms}
    assert instants(left) == instants([whole]) - read


def test_two_checkpoints_share_what_did_not_change_between_them() -> None:
    progress = Progress("completed", None)
    progress.add(PARK, TimeRange.from_ms(0, 10))
    first: Any = progress.to_json()["read"]
    progress.add(OTHER, TimeRange.from_ms(0, 10))
    second: Any = progress.to_json()["read"]
    assert second["park:12345"] is first["park:12345"]
    assert list(first) == ["park:12345"]


@pytest.mark.parametrize("state", ["active", "all"])
def test_a_checkpoint_of_other_sessions_is_refused(state: SessionState) -> None:
    with pytest.raises(ConfigurationError, match="of a query for 'completed' sessions") as caught:
        resumed(through_json(Progress("completed", None)), state)
    assert "stream.checkpoint()" in caught.value.advice


def checkpoint_of(read: object, **changes: object) -> dict[str, object]:
    return {"version": 2, "state": "completed", "read": read, **changes}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        "",
        5,
        "checkpoint",
        checkpoint_of({}, version=1),
        checkpoint_of({}, version="1"),
        checkpoint_of({}, version=None),
        checkpoint_of({}, state=None),
        checkpoint_of(None),
        checkpoint_of([]),
        checkpoint_of({"park 1": [[0, 5]]}),
        checkpoint_of({"park:": [[0, 5]]}),
        checkpoint_of({"park:1": None}),
        checkpoint_of({"park:1": {}}),
        checkpoint_of({"park:1": "[[0, 5]]"}),
        checkpoint_of({"park:1": [None]}),
        checkpoint_of({"park:1": [[]]}),
        checkpoint_of({"park:1": [[0]]}),
        checkpoint_of({"park:1": [[0, 5, 9]]}),
        checkpoint_of({"park:1": [["0", "5"]]}),
        checkpoint_of({"park:1": [[None, 5]]}),
        checkpoint_of({"park:1": [[0.0, 5.0]]}),
        checkpoint_of({"park:1": [[True, 5]]}),
        checkpoint_of({"park:1": [[0, True]]}),
        checkpoint_of({"park:1": [[5, 5]]}),
        checkpoint_of({"park:1": [[5, 0]]}),
        checkpoint_of({"park:1": [[-1, 5]]}),
        checkpoint_of({"park:1": [[0, 10**30]]}),
        checkpoint_of({"park:1": [[0, -(10**30)]]}),
    ],
)
def test_what_is_no_checkpoint_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigurationError):
        resumed(bad)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    json_values
    | st.builds(
        checkpoint_of,
        json_values | st.dictionaries(st.text(), json_values | st.lists(st.lists(json_values, max_size=3))),
    )
)
def test_any_json_is_a_checkpoint_or_a_configuration_error(value: Any) -> None:
    try:
        progress = resumed(value)
    except ConfigurationError:
        return
    assert resumed(through_json(progress)).to_json() == progress.to_json()
