"""What Spark reads is what the ledger says, and a filter changes what is asked, but not what comes out.

Skipped unless pyspark and Java are here: ``pip install '.[test,spark]' && pytest -n 0 tests/spark``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smappee_async import TimeRange
from smappee_async.distributed import Part, read_part
from smappee_async.distributed.process_client import close_clients
from smappee_async.simulator import Fault, Simulator
from smappee_async.spark.schema import SESSIONS
from tests.docs.pages import ROOT, blocks

pytestmark = pytest.mark.timeout(300)

QUARTER = TimeRange.parse("2026-07-01T00:00Z..2026-10-01T00:00Z")
PARKS = (1001, 1002, 1003, 1004)
GIVEN = {"parks": "1001,1002,1003,1004", "start": "2026-07-01T00:00Z", "end": "2026-10-01T00:00Z"}

Load = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> None:
    """Takes the place of the check for all tests: Spark and its workers keep connections for later."""


@pytest.fixture
def load(spark: Any, sim: Simulator) -> Load:
    def loaded(**options: str) -> Any:
        return spark.read.format("smappee").options(**{**GIVEN, "parks_per_part": "2", **options}).load()

    return loaded


def ledger(
    sim: Simulator, parks: tuple[int, ...] = PARKS, time_range: TimeRange = QUARTER
) -> list[tuple[int, int, int]]:
    """Park, start in ms, and id of each session."""
    return sorted(
        (park, each.start_ms, each.id)
        for park in parks
        for each in sim.ledger.sessions(park, time_range.start_ms, time_range.end_ms)
    )


def rows(frame: Any) -> list[tuple[int, int, int]]:
    taken = frame.selectExpr("service_location_id", "unix_millis(started_at)", "id").collect()
    return sorted(tuple(row) for row in taken)


def asked(sim: Simulator, since: int) -> set[int | None]:
    """The parks that were asked for in the requests after the first so many."""
    return {request.service_location_id for request in sim.requests[since:] if request.route == "park_sessions"}


def test_every_session_is_a_row(load: Load, sim: Simulator) -> None:
    assert rows(load()) == ledger(sim)


def test_rows_are_those_of_the_part_value_by_value(load: Load, sim: Simulator) -> None:
    frame = load(parks="1002,1003", end="2026-07-08T00:00Z")
    part = Part(parks=(1002, 1003), time_range=TimeRange.parse("2026-07-01T00:00Z..2026-07-08T00:00Z"))
    try:
        expected = read_part(part).table.cast(SESSIONS)
    finally:
        close_clients()
    found = frame.toArrow()
    assert found.schema.names == expected.schema.names
    assert found.to_pylist() == expected.to_pylist()


def test_a_month_in_a_zone(load: Load, spark: Any, sim: Simulator) -> None:
    frame = spark.read.format("smappee").options(parks="1002,1003", month="2026-08", tz="Europe/Brussels").load()
    assert rows(frame) == ledger(sim, (1002, 1003), TimeRange.month(2026, 8, tz="Europe/Brussels"))


def test_sql_reads_it_too(spark: Any, sim: Simulator) -> None:
    spark.sql(
        "CREATE OR REPLACE TEMPORARY VIEW sessions USING smappee "
        "OPTIONS (parks '1003', start '2026-07-01T00:00Z', end '2026-10-01T00:00Z')"
    )
    [row] = spark.sql("SELECT count(*) AS sessions, sum(energy_kwh) AS kwh FROM sessions").collect()
    assert row.sessions == len(ledger(sim, (1003,)))
    assert row.kwh > 0


def test_it_is_written_and_read_again(load: Load, spark: Any, sim: Simulator, tmp_path: Path) -> None:
    load().write.parquet(str(tmp_path / "sessions"))
    assert rows(spark.read.parquet(str(tmp_path / "sessions"))) == ledger(sim)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"password": "hunter2"}, "credentials are no options"),
        ({"stat": "all"}, "unknown options: stat"),
        ({"parks": "1001,north"}, "service location id, not 'north'"),
    ],
)
def test_a_wrong_option_is_an_error_of_load(load: Load, sim: Simulator, options: dict[str, str], said: str) -> None:
    requests = len(sim.requests)
    with pytest.raises(Exception, match=said) as caught:
        load(**options)
    assert "hunter2" not in str(caught.value)
    assert len(sim.requests) == requests


# --- filters ----------------------------------------------------------------------------------------------------------

FILTERS: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "a park": ("service_location_id = 1003", lambda park, _: park == 1003),
    "some parks": ("service_location_id IN (1001, 1004, 7)", lambda park, _: park in (1001, 1004)),
    "no park": ("service_location_id = 7", lambda _, __: False),
    "either park": ("service_location_id = 1001 OR service_location_id = 1002", lambda park, _: park < 1003),
    "not a park": ("service_location_id <> 1003", lambda park, _: park != 1003),
    "a start": (
        "started_at >= '2026-08-01T00:00:00Z' AND started_at < '2026-08-02T00:00:00Z'",
        lambda _, start_ms: str(datetime.fromtimestamp(start_ms / 1000, UTC).date()) == "2026-08-01",
    ),
    "a start and a park": (
        "started_at > '2026-09-30T12:00:00Z' AND service_location_id = 1002",
        lambda park, start_ms: park == 1002 and start_ms > 1_790_769_600_000,
    ),
    "something else": ("connector = 1 OR connector <> 1", lambda _, __: True),
}


@pytest.mark.parametrize("push_filters", ["false", "true"])
@pytest.mark.parametrize(("text", "keeps"), FILTERS.values(), ids=FILTERS)
def test_a_filter_gives_the_same_rows(
    load: Load, sim: Simulator, text: str, keeps: Callable[[int, int], bool], push_filters: str
) -> None:
    found = rows(load(push_filters=push_filters).where(text))
    assert found == [each for each in ledger(sim) if keeps(each[0], each[1])]


def test_a_filter_on_one_park_asks_that_park_only(load: Load, sim: Simulator) -> None:
    frame, before = load(push_filters="true").where("service_location_id = 1003"), len(sim.requests)
    frame.count()
    assert asked(sim, before) == {1003}


def test_a_filter_on_the_start_asks_that_range_only(load: Load, sim: Simulator) -> None:
    frame, before = load(push_filters="true").where("started_at >= '2026-09-28T00:00:00Z'"), len(sim.requests)
    frame.count()
    starts = [each.start_ms for each in sim.requests[before:] if each.route == "park_sessions"]
    assert min(start for start in starts if start is not None) == 1_790_553_600_000


def test_nothing_is_asked_where_no_session_can_meet_a_filter(load: Load, sim: Simulator) -> None:
    frame, before = load(push_filters="true").where("service_location_id = 7"), len(sim.requests)
    assert (frame.count(), asked(sim, before)) == (0, set())


def test_a_frame_is_read_whole_after_a_part_of_it_was(load: Load, sim: Simulator) -> None:
    """The reason why filters are not pushed by default, with the test below."""
    frame = load()
    frame.where("service_location_id = 1003").count()
    one, other = frame.where("service_location_id = 1001"), frame.where("service_location_id = 1002")
    assert rows(frame) == ledger(sim)
    assert rows(one.union(other)) == ledger(sim, (1001, 1002))


def test_spark_keeps_a_pushed_filter_for_other_queries_of_the_frame(load: Load, sim: Simulator) -> None:
    """If this fails, Spark is mended (its SPARK-58551): push filters by default with that version."""
    frame = load(push_filters="true")
    frame.where("service_location_id = 1003").count()
    assert rows(frame) == ledger(sim, (1003,))


# --- what is missing --------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(sim: Simulator) -> None:
    sim.add_fault(Fault("status", status=403, service_location_id=1002))


@pytest.mark.usefixtures("refused")
def test_what_is_missing_for_good_is_an_error_that_names_park_and_range(load: Load) -> None:
    with pytest.raises(Exception, match=r"sessions of the parks 1002 cannot be read.* from 2026-07-01T00:00:00Z\.\."):
        load().count()


@pytest.mark.usefixtures("refused")
def test_what_is_missing_is_left_out_if_that_is_asked_for(load: Load, sim: Simulator) -> None:
    assert rows(load(failures="omit")) == ledger(sim, (1001, 1003, 1004))


@pytest.mark.usefixtures("refused")
def test_what_is_missing_is_a_table(load: Load) -> None:
    frame = load(failures="table")
    taken = frame.collect()
    assert {(row.service_location_id, row.is_record) for row in taken} == {(1002, False)}
    [bounds] = frame.selectExpr("min(unix_millis(started_from))", "max(unix_millis(started_before))").collect()
    assert tuple(bounds) == (QUARTER.start_ms, QUARTER.end_ms)


def test_nothing_missing_is_an_empty_table(load: Load) -> None:
    assert load(failures="table").count() == 0


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_programs_of_the_page_run_as_they_stand(spark: Any, sim: Simulator) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    programs = [each for each in blocks(ROOT / "docs" / "how-to" / "spark.md") if "tests/spark runs it" in each.comment]
    for program in programs:
        exec(compile(program.text, program.name, "exec"), names)
    assert rows(names["written"]) == ledger(sim, (1001, 1002, 1003), TimeRange.month(2026, 9, tz="Europe/Brussels"))
    assert len(programs) == 5
