"""The program that writes every format: it says so if a value that was read back is another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from tests.analysis import need

RECORD = {"id": 7, "serialNumber": "6", "from": 1_790_805_600_000, "status": "STOPPED", "energy": 14.25, "rfid": "A123"}
TRUTH = {(1001, 7): RECORD}


@pytest.fixture
def every_format() -> Any:
    """The program, which imports them."""
    for module in ("pandas", "polars", "duckdb"):
        need(module)
    return import_module("benchmarks.reliability.every_format")


@pytest.fixture
def row(every_format: Any) -> dict[str, Any]:
    """What a tool read of the record."""
    return dict.fromkeys(every_format._HELD) | {
        "service_location_id": 1001,
        "id": 7,
        "serial_number": "6",
        "started_at": datetime(2026, 9, 30, 22, tzinfo=UTC),
        "status": "STOPPED",
        "energy": 14.25,
        "energy_kwh": "14.250000",
        "rfid": "A123",
    }


def test_a_week_goes_through_every_format(every_format: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert every_format.main(["--quick"]) == 0
    assert capsys.readouterr().out.endswith("all of it met\n")


def test_a_row_that_says_what_the_record_says_does_not_differ(every_format: Any, row: dict[str, Any]) -> None:
    assert every_format.differences([row], TRUTH) == (1, 0)


@pytest.mark.parametrize(
    "alter",
    [
        lambda row: [{**row, "energy_kwh": "14.250001"}],
        lambda row: [{**row, "started_at": datetime(2026, 9, 30, 22, 0, 1, tzinfo=UTC)}],
        lambda row: [{**row, "rfid": "***123"}],
        lambda row: [{**row, "connector": 1}],
        lambda row: [row, row],
        lambda row: [],
    ],
)
def test_another_value_a_second_row_and_a_missing_row_differ(
    every_format: Any, row: dict[str, Any], alter: Callable[[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    assert every_format.differences(alter(row), TRUTH)[1] == 1
