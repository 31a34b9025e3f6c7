"""The speed benchmarks run, name the counts that became worse, and draw their chart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dlt", reason="needs the bench extra")
pytest.importorskip("mashumaro", reason="needs the bench extra")

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks/speed/results.json").read_bytes())["parts"]
PARTS = (
    "structuring",
    "stream",
    "latency",
    "host",
    "backend",
    "endpoint",
    "memory",
    "imports",
    "planner",
    "fanout",
    "copies",
    "columns",
)


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_in_tiny_sizes(part: str, tmp_path: Path) -> None:
    done = benchmarks("benchmarks.speed", part, "--quick", "--json", tmp_path / "found.json")

    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert found["parts"][part]["rows"]
    for row in found["parts"][part]["rows"]:
        assert row["name"] in done.stdout
    assert {shape(row) for row in found["parts"][part]["rows"]} == {shape(row) for row in RESULTS[part]["rows"]}


def shape(row: dict[str, Any]) -> str:
    """The name of a row without the numbers in it, which depend on the sizes."""
    return re.sub(r"[\d.,]*\d", "#", row["name"])


def test_the_short_command_runs_the_speed_benchmarks() -> None:
    done = benchmarks("benchmarks", "--help")

    assert done.stdout.startswith("usage: python -m benchmarks.speed")


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    found = tmp_path / "found.json"
    done = benchmarks("benchmarks.speed", "planner", "--counts", "--json", found)
    assert done.returncode == 0, done.stderr
    return found


def baseline(counted: Path, factor: float) -> Path:
    """The counts just found, as if they had been so many times what they are."""
    found = json.loads(counted.read_bytes())
    counts = {name: value * factor for name, value in found["parts"]["planner"]["counts"].items()}
    path = counted.with_name("baseline.json")
    path.write_text(json.dumps({found["python"]: {"planner": counts}}))
    return path


def test_counts_as_before_pass(counted: Path) -> None:
    done = benchmarks("benchmarks.speed", "planner", "--counts", "--json", counted, "--check", baseline(counted, 1))

    assert done.returncode == 0, done.stdout


def test_counts_that_grew_by_a_fifth_fail_and_are_named(counted: Path) -> None:
    done = benchmarks(
        "benchmarks.speed", "planner", "--counts", "--json", counted, "--check", baseline(counted, 1 / 1.2)
    )

    assert done.returncode == 1
    assert "planner: requests, mixture, even" in done.stdout
    assert "+20%" in done.stdout


def test_counts_hold_against_the_committed_baseline(tmp_path: Path) -> None:
    done = benchmarks(
        "benchmarks.speed",
        "--counts",
        "--json",
        tmp_path / "found.json",
        "--check",
        ROOT / "benchmarks/speed/baseline.json",
    )

    assert done.returncode == 0, done.stdout


def test_the_chart_is_drawn_from_the_committed_results(tmp_path: Path) -> None:
    drawn = tmp_path / "results.svg"

    done = benchmarks("benchmarks.speed.chart", ROOT / "benchmarks/speed/results.json", drawn)

    assert done.returncode == 0, done.stderr
    assert drawn.read_bytes() == (ROOT / "benchmarks/speed/results.svg").read_bytes()
