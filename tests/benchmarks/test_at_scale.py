"""The simulation of 100,000 parks: what it prints, what hints save, and that the docs show what was saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs the extra arrow")

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "benchmarks/speed/at_scale.json"


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What the program printed and saved, with 5,000 parks."""
    path = tmp_path_factory.mktemp("at_scale") / "found.json"
    done = program("benchmarks.speed.at_scale", "--quick", "--json", path)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_bytes())


@pytest.fixture(params=["quick", "committed"])
def figures(request: pytest.FixtureRequest, quick: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = quick[1] if request.param == "quick" else json.loads(COMMITTED.read_bytes())
    return found


def test_the_committed_figures_are_of_100_000_parks_and_a_billion_sessions() -> None:
    found = json.loads(COMMITTED.read_bytes())

    assert found["parks"] == 100_000
    assert 0.99e9 < found["sessions"] < 1.01e9


def test_hints_save_at_least_thirty_percent_of_the_requests(figures: dict[str, Any]) -> None:
    runs = figures["runs"]

    assert runs["of the last run"]["requests"] <= 0.7 * runs["none"]["requests"]


def test_hints_that_are_a_year_old_still_save_a_quarter(figures: dict[str, Any]) -> None:
    runs = figures["runs"]

    assert runs["a year old"]["requests"] <= 0.75 * runs["none"]["requests"]


def test_parts_that_are_cut_by_time_need_more_requests(figures: dict[str, Any]) -> None:
    years, months = figures["by_time"]["year"], figures["by_time"]["month"]

    assert 1.3 < years["with_hints"] < months["with_hints"]
    assert 2.0 < years["without_hints"] < months["without_hints"]


def test_every_park_and_session_is_in_a_part(figures: dict[str, Any]) -> None:
    runs = figures["runs"].values()

    assert all(run["parts"] == -(-figures["parks"] // 100) for run in runs)
    assert all(run["received_bytes"] >= figures["sessions"] * int(figures["record_bytes"]) for run in runs)


def test_the_report_says_what_is_simulated_and_what_is_measured(quick: tuple[str, dict[str, Any]]) -> None:
    printed, found = quick
    headings = [line for line in printed.splitlines() if line.startswith("--- ")]

    assert [heading.split()[1].rstrip(":") for heading in headings] == ["simulated"] * 3 + ["measured"] * 2
    assert f"{found['runs']['none']['requests']:,}" in printed
    for rate in (1, 10, 40, 60, 100, 500):
        assert f"hours at {rate} requests a second" in printed
    for words in ("largest response ÷ target", "heaviest part", "lightest part", "JSON", "peak of write_part()"):
        assert words in printed


def test_the_table_of_the_docs_is_that_of_the_committed_figures() -> None:
    done = program("benchmarks.speed.at_scale_report", COMMITTED)

    assert done.returncode == 0, done.stderr
    assert done.stdout in (ROOT / "docs/benchmarks.md").read_text()
