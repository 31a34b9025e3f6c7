"""Ranges of time: half-open, in whole milliseconds, and right in every time zone."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smappee_async.errors import ConfigurationError
from smappee_async.timerange import CalendarUnit, TimeRange, from_ms, merge, remaining

LAST_MS = 253_402_300_799_999
ZONES = (
    "UTC",
    "Europe/Brussels",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
    "Africa/Casablanca",
)
UNITS: tuple[CalendarUnit, ...] = ("day", "month", "year")
HOUR = timedelta(hours=1)
NOW = datetime(2026, 10, 3, 12, 30, tzinfo=UTC)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def starts_ms(from_year: int = 2009, to_year: int = 2030) -> st.SearchStrategy[int]:
    return st.integers(ms(f"{from_year}-01-01T00:00Z"), ms(f"{to_year}-01-01T00:00Z"))


@st.composite
def ranges(draw: st.DrawFn, longest: timedelta = timedelta(days=900)) -> TimeRange:
    start_ms = draw(starts_ms())
    return TimeRange.from_ms(start_ms, start_ms + draw(st.integers(1, longest // timedelta(milliseconds=1))))


any_ranges = st.builds(
    lambda start_ms, length_ms: TimeRange.from_ms(
        start_ms, None if length_ms is None else min(start_ms + length_ms, LAST_MS)
    ),
    st.integers(0, LAST_MS - 1),
    st.none() | st.integers(1, LAST_MS),
)


# --- what lies in it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset_ms", "inside"), [(-1, False), (0, True), (1, True)])
def test_the_start_belongs_to_the_range(offset_ms: int, *, inside: bool) -> None:
    assert TimeRange.from_ms(1000, 2000).contains_ms(1000 + offset_ms) is inside


@pytest.mark.parametrize(("offset_ms", "inside"), [(-1, True), (0, False), (1, False)])
def test_the_end_does_not_belong_to_the_range(offset_ms: int, *, inside: bool) -> None:
    assert TimeRange.from_ms(1000, 2000).contains_ms(2000 + offset_ms) is inside


def test_an_open_end_contains_everything_from_the_start_on() -> None:
    assert datetime.max.replace(tzinfo=UTC) in TimeRange.since(NOW)
    assert NOW - timedelta(milliseconds=1) not in TimeRange.since(NOW)


def test_an_instant_without_a_time_zone_is_in_no_range() -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        assert datetime(2026, 10, 3) in TimeRange.since(NOW)  # noqa: DTZ001 - the point of the test


@given(starts_ms(), st.integers(0, 999), st.integers(0, 999))
def test_bounds_between_two_milliseconds_change_no_membership(start_ms: int, before_us: int, after_us: int) -> None:
    start, end = (
        from_ms(start_ms) + timedelta(microseconds=before_us),
        from_ms(start_ms + 3) + timedelta(microseconds=after_us),
    )
    made = TimeRange(start, end)
    for instant_ms in range(start_ms - 2, start_ms + 7):
        assert made.contains_ms(instant_ms) == (start <= from_ms(instant_ms) < end)


# --- ways to make one -------------------------------------------------------------------------------------------------


def test_datetimes_of_any_zone_become_instants_in_utc() -> None:
    start = datetime(2026, 10, 1, tzinfo=ZoneInfo("Europe/Brussels"))
    made = TimeRange(start, start.astimezone(ZoneInfo("Asia/Kathmandu")) + HOUR)
    assert (made.start, made.end) == (datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 9, 30, 23, tzinfo=UTC))
    assert made.start.tzinfo is UTC


@given(st.integers(0, LAST_MS - 1))
def test_milliseconds_come_out_as_they_went_in(instant_ms: int) -> None:
    made = TimeRange(from_ms(instant_ms), from_ms(instant_ms + 1))
    assert (made.start_ms, made.end_ms) == (instant_ms, instant_ms + 1)
    assert TimeRange.from_ms(instant_ms, instant_ms + 1) == made


@pytest.mark.parametrize("which", ["start", "end"])
def test_a_naive_datetime_is_refused_with_advice(which: str) -> None:
    bounds = {"start": NOW, "end": NOW + HOUR}
    bounds[which] = bounds[which].replace(tzinfo=None)
    with pytest.raises(ConfigurationError, match=f"{which} has no time zone") as caught:
        TimeRange(**bounds)
    assert "ZoneInfo(" in caught.value.advice


def test_what_is_no_datetime_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be a datetime, not date"):
        TimeRange(date(2026, 10, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [timedelta(0), timedelta(milliseconds=-1), timedelta(days=-9)])
def test_an_empty_or_reversed_range_is_refused(length: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        TimeRange(NOW, NOW + length)


def test_a_range_within_one_millisecond_is_empty() -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        TimeRange(NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2))


@pytest.mark.parametrize(
    ("start_ms", "end_ms"),
    [
        (-1, None),
        (-1, 5),
        (LAST_MS + 1, None),
        (0, LAST_MS + 1),
        (5, -(10**18)),
        (5, 10**18),
        pytest.param(10**5000, None, id="more digits than Python writes out"),
        (True, None),
        (0, True),
        (1.0, None),
        (0, 1.5),
        ("5", None),
    ],
)
def test_milliseconds_outside_1970_to_9999_or_not_whole_are_refused(start_ms: int, end_ms: int | None) -> None:
    with pytest.raises(ConfigurationError, match="from 1970 to 9999"):
        TimeRange.from_ms(start_ms, end_ms)


def test_the_longest_range_is_from_1970_to_the_last_millisecond_of_9999() -> None:
    assert str(TimeRange.from_ms(0, LAST_MS)) == "1970-01-01T00:00:00Z..9999-12-31T23:59:59.999Z"


def test_an_end_that_rounds_up_past_9999_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        TimeRange(NOW, datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("made", "hours"),
    [
        (TimeRange.day(2026, 3, 28, tz="Europe/Brussels"), 24),
        (TimeRange.day(2026, 3, 29, tz="Europe/Brussels"), 23),
        (TimeRange.day(2026, 10, 25, tz="Europe/Brussels"), 25),
        (TimeRange.day(2026, 3, 8, tz="America/New_York"), 23),
        (TimeRange.day(2026, 11, 1, tz="America/New_York"), 25),
        (TimeRange.day(2026, 10, 4, tz="Australia/Lord_Howe"), 23.5),
        (TimeRange.day(2026, 4, 5, tz="Australia/Lord_Howe"), 24.5),
        (TimeRange.day(2026, 3, 8, tz="America/Havana"), 23),  # its midnight is skipped
        (TimeRange.day(2026, 11, 1, tz="America/Havana"), 25),  # its midnight is at the first of the two
        (TimeRange.month(2026, 3, tz="Europe/Brussels"), 743),
        (TimeRange.month(2026, 10, tz="Europe/Brussels"), 745),
        (TimeRange.month(2026, 10, tz="UTC"), 744),
        (TimeRange.month(2028, 2, tz="Asia/Kathmandu"), 29 * 24),
        (TimeRange.year(2026, tz="Europe/Brussels"), 365 * 24),
        (TimeRange.year(2028, tz="Africa/Casablanca"), 366 * 24),
        (TimeRange.month(2011, 12, tz="Pacific/Apia"), 30 * 24),  # Samoa had no 30 December 2011
    ],
    ids=str,
)
def test_calendar_ranges_are_as_long_as_they_were_on_the_clocks(made: TimeRange, hours: float) -> None:
    assert made.duration == hours * HOUR


def test_a_calendar_range_begins_at_midnight_in_its_zone() -> None:
    october = TimeRange.month(2026, 10, tz="Europe/Brussels")
    assert str(october) == "2026-09-30T22:00:00Z..2026-10-31T23:00:00Z"


def test_a_zone_is_a_name_or_a_tzinfo() -> None:
    assert TimeRange.day(2026, 7, 1, tz="Asia/Kathmandu") == TimeRange.day(
        2026, 7, 1, tz=timezone(timedelta(hours=5, minutes=45))
    )


def test_a_day_that_a_zone_skipped_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        TimeRange.day(2011, 12, 30, tz="Pacific/Apia")


@pytest.mark.parametrize("tz", ["Europe/Bruxelles", "", "Europe", "../etc/passwd", "\0", "\ud800", None, 5])
def test_a_zone_that_is_not_there_is_refused(tz: str) -> None:
    with pytest.raises(ConfigurationError, match="no time zone") as caught:
        TimeRange.year(2026, tz=tz)
    assert "Europe/Brussels" in caught.value.advice


@pytest.mark.parametrize(
    ("year", "month", "day"), [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (0, 1, 1), (10_000, 1, 1)]
)
def test_a_date_that_is_not_there_is_refused(year: int, month: int, day: int) -> None:
    with pytest.raises(ConfigurationError, match="no such date"):
        TimeRange.day(year, month, day, tz=UTC)


def test_the_last_days_of_the_calendar_have_no_whole_range() -> None:
    with pytest.raises(ConfigurationError, match="10000"):
        TimeRange.year(9999, tz=UTC)
    assert TimeRange.day(9999, 12, 30, tz="America/New_York").duration == 24 * HOUR


@pytest.mark.parametrize(
    ("span", "start"),
    [
        ({"days": 7}, datetime(2026, 9, 26, 12, 30, tzinfo=UTC)),
        ({"hours": 36}, datetime(2026, 10, 2, 0, 30, tzinfo=UTC)),
        ({"days": 1, "hours": -23.5}, datetime(2026, 10, 3, 12, tzinfo=UTC)),
    ],
)
def test_the_latest_days_and_hours_have_an_open_end(span: dict[str, float], start: datetime) -> None:
    assert TimeRange.last(**span, now=NOW) == TimeRange(start)


def test_the_latest_24_hours_are_24_hours_also_where_the_clocks_changed() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Brussels"))
    assert noon.astimezone(UTC) - TimeRange.last(hours=24, now=noon).start == timedelta(hours=24)


def test_the_latest_days_end_now_by_the_computers_clock() -> None:
    before = datetime.now(UTC)
    start = TimeRange.last(days=1).start
    assert before <= start + timedelta(days=1) <= datetime.now(UTC) + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "span", [{}, {"days": 0}, {"hours": -1}, {"days": float("nan")}, {"days": float("inf")}, {"days": 1e12}]
)
def test_the_latest_of_no_time_is_refused(span: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="positive number of days or hours"):
        TimeRange.last(**span, now=NOW)


def test_the_latest_days_before_1970_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="1970"):
        TimeRange.last(days=100_000, now=NOW)


def test_now_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="now has no time zone"):
        TimeRange.last(days=1, now=NOW.replace(tzinfo=None))


# --- reading ----------------------------------------------------------------------------------------------------------

BRUSSELS = "Europe/Brussels"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", TimeRange.year(2026, tz=BRUSSELS)),
        ("2026-10", TimeRange.month(2026, 10, tz=BRUSSELS)),
        ("2026-10-03", TimeRange.day(2026, 10, 3, tz=BRUSSELS)),
        ("  2026-10\n", TimeRange.month(2026, 10, tz=BRUSSELS)),
        ("2026-10-01..2026-11-01", TimeRange.month(2026, 10, tz=BRUSSELS)),
        ("2026-10-01T06:00Z..", TimeRange(datetime(2026, 10, 1, 6, tzinfo=UTC))),
        ("2026-10-01T06:00..", TimeRange(datetime(2026, 10, 1, 4, tzinfo=UTC))),
        ("2026-10-01T06:00+05:45 .. ", TimeRange(datetime(2026, 10, 1, 0, 15, tzinfo=UTC))),
        ("7d", TimeRange(NOW - timedelta(days=7))),
        ("36h", TimeRange(NOW - timedelta(hours=36))),
        ("2w", TimeRange(NOW - timedelta(weeks=2))),
        ("90m", TimeRange(NOW - timedelta(minutes=90))),
        ("7 m", TimeRange(NOW - timedelta(minutes=7))),
    ],
)
def test_every_documented_form_is_read(text: str, expected: TimeRange) -> None:
    assert TimeRange.parse(text, tz=BRUSSELS, now=NOW) == expected


def test_dates_are_in_utc_unless_told_otherwise() -> None:
    assert TimeRange.parse("2026-10") == TimeRange.month(2026, 10, tz=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "..2026-10-01",
        "October",
        "2026-1",
        "2026-13",
        "2026-02-30",
        "2026..2027",
        "2026-10-01...2026-11-01",
        "2026-11-01..2026-10-01",
        "2026-10-01..2026-10-01",
        "1969",
        "0000",
        "9999",
        "0d",
        "-7d",
        "7y",
        "1.5d",
        "999999w",
        "1234567d",
        "२०२६",
        "७d",
        "2026-01-01..9999-12-31T23:59-05:00",
        "0001-01-01T00:00+23:59..",
    ],
)
def test_a_text_of_no_documented_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        TimeRange.parse(text, now=NOW)


@given(
    st.text()
    | st.from_regex(r"\A\d{1,4}-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?(\.\.)?.{0,30}\Z")
    | st.from_regex(r"\A\d+ ?[mhdwy]\Z"),
    st.sampled_from(ZONES),
)
@example("9999-12-31T23:59:59.9999..", "UTC")
def test_reading_any_text_gives_a_range_or_a_configuration_error(text: str, zone: str) -> None:
    try:
        made = TimeRange.parse(text, tz=zone, now=NOW)
    except ConfigurationError:
        return
    assert TimeRange.parse(str(made)) == made


@given(any_ranges)
def test_a_range_reads_back_from_its_text(made: TimeRange) -> None:
    assert TimeRange.parse(str(made)) == made


@given(any_ranges)
def test_the_repr_is_python_that_makes_the_same_range(made: TimeRange) -> None:
    assert eval(repr(made), {"TimeRange": TimeRange}) == made


def test_the_text_has_milliseconds_only_where_there_are_some() -> None:
    assert str(TimeRange.from_ms(1000, 2001)) == "1970-01-01T00:00:01Z..1970-01-01T00:00:02.001Z"
    assert str(TimeRange.from_ms(0)) == "1970-01-01T00:00:00Z.."


# --- a value ----------------------------------------------------------------------------------------------------------


@given(any_ranges)
def test_pickles_and_copies_are_equal_and_hash_alike(made: TimeRange) -> None:
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert again == made
        assert hash(again) == hash(made)


@pytest.mark.parametrize("other", [TimeRange.from_ms(0, 2), TimeRange.from_ms(0), TimeRange.from_ms(1, 3), (0, 3)])
def test_ranges_of_other_instants_are_unequal(other: object) -> None:
    assert TimeRange.from_ms(0, 3) != other


def test_a_range_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TimeRange.from_ms(0).end_ms = 5  # type: ignore[misc]


def test_an_open_range_has_no_end_and_no_duration() -> None:
    made = TimeRange.since(NOW)
    assert (made.end, made.end_ms, made.duration) == (None, None, None)


# --- cutting ----------------------------------------------------------------------------------------------------------

steps = st.sampled_from(UNITS) | st.timedeltas(timedelta(hours=7), timedelta(days=400))


def assert_tiles(parts: list[TimeRange], whole: TimeRange) -> None:
    assert parts[0].start_ms == whole.start_ms
    assert parts[-1].end_ms == whole.end_ms
    assert all(before.end_ms == after.start_ms for before, after in pairwise(parts))


@given(ranges(), steps, st.sampled_from(ZONES))
@example(TimeRange.month(2011, 12, tz="Pacific/Apia"), "day", "Pacific/Apia")
@example(TimeRange.year(2026, tz="America/Havana"), "day", "America/Havana")
def test_parts_tile_the_range_exactly(whole: TimeRange, step: timedelta | CalendarUnit, zone: str) -> None:
    assert_tiles(list(whole.split(step, tz=zone)), whole)


@given(ranges(), steps, st.sampled_from(ZONES), st.data())
def test_every_instant_lies_in_exactly_one_part(
    whole: TimeRange, step: timedelta | CalendarUnit, zone: str, data: st.DataObject
) -> None:
    assert whole.end_ms is not None
    parts = list(whole.split(step, tz=zone))
    edges = [part.start_ms + offset for part in parts for offset in (-1, 0, 1)]
    instants = [data.draw(st.integers(whole.start_ms, whole.end_ms - 1)), *filter(whole.contains_ms, edges)]
    for instant in instants:
        assert sum(part.contains_ms(instant) for part in parts) == 1


@given(ranges(), st.sampled_from(UNITS), st.sampled_from(ZONES))
def test_calendar_parts_never_hold_two_calendar_units(whole: TimeRange, unit: CalendarUnit, zone: str) -> None:
    letters = {"day": 10, "month": 7, "year": 4}[unit]
    tz = ZoneInfo(zone)
    for part in whole.split(unit, tz=zone):
        assert part.end_ms is not None
        first, last = (from_ms(edge).astimezone(tz).isoformat()[:letters] for edge in (part.start_ms, part.end_ms - 1))
        assert first == last


def test_a_year_is_cut_into_its_months() -> None:
    months = list(TimeRange.year(2026, tz=BRUSSELS).split("month", tz=BRUSSELS))
    assert months == [TimeRange.month(2026, month, tz=BRUSSELS) for month in range(1, 13)]


def test_december_2011_in_samoa_has_thirty_days() -> None:
    days = list(TimeRange.month(2011, 12, tz="Pacific/Apia").split("day", tz="Pacific/Apia"))
    assert [day.duration for day in days] == [24 * HOUR] * 30


def test_a_length_is_counted_from_the_start_and_the_rest_is_shorter() -> None:
    parts = list(TimeRange.from_ms(100, 350).split(timedelta(milliseconds=100)))
    assert parts == [TimeRange.from_ms(100, 200), TimeRange.from_ms(200, 300), TimeRange.from_ms(300, 350)]


@given(starts_ms(2020, 2026), st.sampled_from(UNITS), st.sampled_from(ZONES))
def test_the_last_part_of_an_open_range_stays_open(start_ms: int, unit: CalendarUnit, zone: str) -> None:
    whole = TimeRange.from_ms(start_ms)
    parts = list(whole.split(unit, tz=zone, until=NOW))
    assert_tiles(parts, whole)
    assert all(part.start < NOW for part in parts)


def test_an_open_range_is_cut_up_to_now() -> None:
    parts = list(TimeRange.last(hours=5, now=datetime.now(UTC)).split(HOUR))
    assert len(parts) in (5, 6)
    assert parts[-1].end is None


def test_an_open_range_in_the_future_is_one_part() -> None:
    whole = TimeRange.since(NOW)
    assert list(whole.split("day", until=NOW - timedelta(days=9))) == [whole]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
def test_the_end_of_the_calendar_can_be_cut(unit: CalendarUnit, zone: str) -> None:
    whole = TimeRange.from_ms(LAST_MS - 3 * 86_400_000, LAST_MS)
    assert_tiles(list(whole.split(unit, tz=zone)), whole)
    late = TimeRange.from_ms(LAST_MS - 1, LAST_MS)
    assert list(late.split(unit, tz=zone)) == [late]


@pytest.mark.parametrize("step", [timedelta(0), timedelta(microseconds=999), timedelta(days=-1)])
def test_a_step_of_less_than_a_millisecond_is_refused(step: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="at least one millisecond"):
        TimeRange.since(NOW).split(step)


def test_a_step_that_is_no_calendar_unit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'week'"):
        TimeRange.year(2026, tz=UTC).split("week")  # type: ignore[arg-type]


# --- sets of instants -------------------------------------------------------------------------------------------------

FAR = 40
small_ranges = st.builds(
    lambda start, length: TimeRange.from_ms(start, None if length is None else start + length),
    st.integers(0, 20),
    st.none() | st.integers(1, 12),
)


def instants(ranges: list[TimeRange]) -> set[int]:
    return {instant for instant in range(FAR) if any(each.contains_ms(instant) for each in ranges)}


@given(st.lists(small_ranges, max_size=6))
def test_merging_keeps_the_instants_in_as_few_ranges_as_possible(ranges: list[TimeRange]) -> None:
    merged = merge(ranges)
    assert instants(merged) == instants(ranges)
    assert all(before.end_ms is not None and before.end_ms < after.start_ms for before, after in pairwise(merged))


@given(small_ranges, st.lists(small_ranges, max_size=6))
def test_what_is_remaining_is_what_no_other_range_covers(asked: TimeRange, already: list[TimeRange]) -> None:
    left = remaining(asked, already)
    assert instants(left) == instants([asked]) - instants(already)
    assert left == merge(left)
