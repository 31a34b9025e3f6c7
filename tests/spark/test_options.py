"""Options are understood, or refused with a sentence, before anything is asked of the service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from smappee_async import ConfigurationError, TimeRange
from smappee_async.spark.filters import Condition
from smappee_async.spark.options import ReadOptions

NOW = datetime(2026, 11, 1, tzinfo=UTC)
QUARTER = {"start": "2026-07-01T00:00Z", "end": "2026-10-01T00:00Z"}
GIVEN = {"parks": "1001,1002,1003", **QUARTER}


def parsed(**options: str) -> ReadOptions:
    return ReadOptions.parse(options, now=NOW)


def test_parks_and_range_are_enough() -> None:
    read = parsed(**GIVEN)
    assert read.parks == (1001, 1002, 1003)
    assert read.time_range == TimeRange.parse("2026-07-01T00:00Z..2026-10-01T00:00Z")
    assert (read.state, read.parks_per_part, read.failures, read.push_filters) == ("completed", 100, "raise", False)


def test_every_option_is_understood() -> None:
    read = parsed(
        parks="7", month="2026-10", tz="Europe/Brussels", state="all", parks_per_part="5", failures="table",
        push_filters="true",
    )  # fmt: skip
    assert read.time_range == TimeRange.month(2026, 10, tz="Europe/Brussels")
    assert (read.state, read.parks_per_part, read.failures, read.push_filters) == ("all", 5, "table", True)


@pytest.mark.parametrize("text", ["1,2, 3", "1 2\n3", "1,2,3,", " 1,2,3,2 "])
def test_ids_stand_between_commas_or_white_space(text: str) -> None:
    assert parsed(parks=text, **QUARTER).parks == (1, 2, 3)


def test_ids_are_read_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "parks.txt").write_text("\ufeff1001\n\n1002 # the one at the station\n# none, 1003\n1004")
    assert parsed(parks=f"@{tmp_path}/parks.txt", **QUARTER).parks == (1001, 1002, 1004)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"@.*nowhere\.txt cannot be read: No such file"):
        parsed(parks=f"@{tmp_path}/nowhere.txt", **QUARTER)


def test_a_file_without_ids_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parks.txt").write_text("# later\n")
    with pytest.raises(ConfigurationError, match="names no charging park"):
        parsed(parks=f"@{tmp_path}/parks.txt", **QUARTER)


def test_a_time_zone_gives_instants_their_offset() -> None:
    read = parsed(parks="1", start="2026-07-01", end="2026-07-02T06:00", tz="Europe/Brussels")
    assert read.time_range == TimeRange.parse("2026-06-30T22:00Z..2026-07-02T04:00Z")


def test_a_range_may_end_now() -> None:
    assert parsed(parks="1", start="2026-10-01", end="2026-11-01", tz="UTC").time_range.end == NOW


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (QUARTER, "the option parks is missing"),
        ({"parks": "1001", "end": QUARTER["end"]}, "the option start is missing"),
        ({"parks": "1001", "start": QUARTER["start"]}, "the option end is missing"),
        ({**GIVEN, "parks": "1001,north"}, "not 'north'"),
        ({**GIVEN, "parks": "-1"}, "not '-1'"),
        ({**GIVEN, "parks": "0"}, "positive whole number, not 0"),
        ({**GIVEN, "parks": "9" * 19}, "service location"),
        ({**GIVEN, "start": "yesterday"}, "cannot read start 'yesterday'"),
        ({**GIVEN, "start": "2026-07-01"}, "start has no time zone: '2026-07-01'"),
        ({**GIVEN, "end": "2026-06-01T00:00Z"}, "the range is empty"),
        ({**GIVEN, "end": "2026-11-01T00:00:01Z"}, "ends in the future"),
        ({**GIVEN, "month": "2026-07"}, "start and end, or month"),
        ({"parks": "1", "month": "2026-07"}, "month needs the time zone"),
        ({"parks": "1", "month": "July", "tz": "UTC"}, "cannot read month 'July'"),
        ({"parks": "1", "month": "2026-13", "tz": "UTC"}, "no such date"),
        ({"parks": "1", "month": "2026-10", "tz": "Mars"}, "no time zone 'Mars'"),
        ({**GIVEN, "state": "done"}, "state is one of 'completed', 'active', 'all', not 'done'"),
        ({**GIVEN, "parks_per_part": "0"}, "parks_per_part must be a whole number"),
        ({**GIVEN, "parks_per_part": "many"}, "parks_per_part must be a whole number"),
        ({**GIVEN, "failures": "ignore"}, "failures is one of 'raise', 'omit', 'table', not 'ignore'"),
        ({**GIVEN, "push_filters": "yes"}, "push_filters is one of"),
        ({**GIVEN, "park": "1", "stat": "all"}, "unknown options: park, stat. There are parks, start"),
        ({**GIVEN, "path": "parks.txt"}, r"load\(\) without a path"),
    ],
)
def test_what_cannot_be_read_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parsed(**options)


@pytest.mark.parametrize(
    "name", ["client_secret", "CLIENT_ID", "password", "smappee.username", "refreshToken", "apiKey", "Authorization"]
)
def test_a_secret_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError, match="environment of the executors") as caught:
        parsed(**GIVEN, **{name: "hunter2"})
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_value_of_an_unknown_option_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(**GIVEN, pwd="hunter2")
    assert "hunter2" not in str(caught.value)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_each_part_has_at_most_so_many_parks() -> None:
    parts = parsed(**GIVEN, parks_per_part="2", state="all").parts()
    assert sorted(park for part in parts for park in part.parks) == [1001, 1002, 1003]
    assert max(len(part.parks) for part in parts) == 2
    assert {part.state for part in parts} == {"all"}


def test_conditions_leave_out_parks_and_time() -> None:
    conditions = [
        Condition("service_location_id", "in", (1002, 9)),
        Condition("started_at", ">=", datetime(2026, 9, 1, tzinfo=UTC)),
    ]
    [part] = parsed(**GIVEN, parks_per_part="1").parts(conditions)
    assert (part.parks, part.time_range) == ((1002,), TimeRange.parse("2026-09-01T00:00Z..2026-10-01T00:00Z"))


def test_there_is_no_part_where_no_session_can_meet_the_conditions() -> None:
    assert parsed(**GIVEN).parts([Condition("service_location_id", "=", 9)]) == []
