"""The programs that judge files of parts: they say so if a row is missing, is there twice, or is another."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pyarrow as pa
import pytest

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.part_files import Asked, Key, Row, compare, expected_rows, rows_of
from benchmarks.reliability.service import Setup
from benchmarks.reliability.worker_kills import KillResult, Plan
from smappee_async import TimeRange

DUE: dict[Key, Row] = {(1001, 7): (1_000, 1.5), (1001, 8): (2_000, None), (1002, 7): (3_000, 2.5)}
ROWS = list(DUE.items())


def test_the_rows_that_are_due_do_not_differ() -> None:
    assert compare(ROWS[::-1], DUE) == Difference()


@pytest.mark.parametrize(
    ("rows", "difference"),
    [
        (ROWS[1:], Difference(lost=1)),
        ([*ROWS, ROWS[0], ROWS[0]], Difference(doubled=2)),
        ([*ROWS, ((1003, 7), (1_000, 1.5))], Difference(phantom=1)),
        ([*ROWS[:2], ((1002, 7), (3_001, 2.5))], Difference(stale=1)),
        ([*ROWS[:2], ((1002, 7), (3_000, 2.6))], Difference(stale=1)),
    ],
)
def test_what_differs_is_counted(rows: list[tuple[Key, Row]], difference: Difference) -> None:
    assert compare(rows, DUE) == difference


def test_rows_are_read_from_a_table() -> None:
    started = pa.array([datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], pa.timestamp("ms", "UTC"))
    table = pa.table({"service_location_id": [1001], "id": [7], "started_at": started, "energy": [1.5]})
    assert rows_of(table) == [((1001, 7), (1_000, 1.5))]


def test_the_ledger_says_what_is_due() -> None:
    setup = Setup(parks=1, sessions_per_year=100)
    [park] = setup.world.parks
    due = expected_rows(setup.ledger, [park], TimeRange.parse("2025-10"))
    assert len(due) == setup.ledger.count(park, *_bounds("2025-10"))
    assert {key[0] for key in due} == {park}


def _bounds(month: str) -> tuple[int, int]:
    time_range = TimeRange.parse(month)
    assert time_range.end_ms is not None
    return time_range.start_ms, time_range.end_ms


GOOD = KillResult(
    plan=Plan(engine="dask", rate=60.0, kills=3),
    seconds=1.0,
    parts=2,
    tasks=5,
    kills=3,
    sessions=3,
    cpu_s=0.1,
    worst_second=66,
    asked=Asked(requests=9, worst_second=66, logins=1, refreshes=2, reuses=0),
    wrong=Difference(),
    left=[],
)


def test_a_run_in_which_all_promises_held_has_no_problem() -> None:
    assert GOOD.problems == []


@pytest.mark.parametrize(
    "bad",
    [
        attrs.evolve(GOOD, wrong=Difference(lost=1)),
        attrs.evolve(GOOD, asked=attrs.evolve(GOOD.asked, reuses=1)),
        attrs.evolve(GOOD, worst_second=67),
        attrs.evolve(GOOD, kills=2),
        attrs.evolve(GOOD, left=["part-1.parquet.tmp"]),
    ],
)
def test_a_promise_that_did_not_hold_is_a_problem(bad: KillResult) -> None:
    assert len(bad.problems) == 1
