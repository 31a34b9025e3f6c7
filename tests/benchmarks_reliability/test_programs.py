"""The reliability programs, at the smallest size at which they still show something."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reliability import loss_account, samples, shared_rate
from benchmarks.reliability.faults import RECIPES
from benchmarks.reliability.fetch import Fetch, Row, Scene, faults_of
from benchmarks.reliability.service import FaultJson, Setup, serving
from smappee_async.simulator.faults import FAULT_KINDS

ROOT = Path(__file__).parents[2]
SETUP = Setup(parks=3, sessions_per_year=10_000)
ON_SESSIONS = {"route": "park_sessions"}


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Fetches under faults; in some of them something is wrong that the comparison must find."""
    several = ("empty_200", "gzip_bomb", "duplicate_records", "unknown_status")
    cases: dict[str, tuple[tuple[str, ...], list[FaultJson]]] = {
        "several": (several, faults_of(several, 0.15)),
        "given up": (("redirect",), [{**ON_SESSIONS, "kind": "redirect", "times": 2}]),
        "altered": ((), [{**ON_SESSIONS, "kind": "unknown_status"}]),
        "missing": ((), [{**ON_SESSIONS, "kind": "raw", "body": "[]"}]),
    }

    async def run() -> dict[str, Row]:
        scene = Scene.of(SETUP, 400)
        async with serving(SETUP) as service:
            return {
                name: await Fetch(scene, kinds).run(service, name, faults) for name, (kinds, faults) in cases.items()
            }

    return asyncio.run(run())


def test_every_kind_of_fault_has_a_recipe() -> None:
    assert {recipe["kind"] for recipe in RECIPES.values()} == FAULT_KINDS


def test_every_kind_is_a_row_alone_and_with_every_other() -> None:
    names = {job.kinds for job in loss_account.jobs(100, quick=False)}
    assert {(kind,) for kind in RECIPES} <= names
    assert sum(1 for kinds in names if len(kinds) == 2) == len(RECIPES) * (len(RECIPES) - 1) / 2


def test_a_fetch_is_clean_under_faults(rows: dict[str, Row]) -> None:
    """R1: faults that pass, that split chunks, and that alter records."""
    row = rows["several"]
    assert row.is_clean
    assert row.struck > 0
    assert row.attempts == row.hits > row.calls


def test_chunks_that_were_given_up_are_named_and_come_later(rows: dict[str, Row]) -> None:
    row = rows["given up"]
    assert row.is_clean
    assert row.failed == 2


def test_a_session_that_is_not_as_it_happened_is_found(rows: dict[str, Row]) -> None:
    assert rows["altered"].stale > 0
    assert not rows["altered"].is_clean


def test_a_session_that_is_missing_is_found(rows: dict[str, Row]) -> None:
    assert rows["missing"].lost > 0
    assert not rows["missing"].is_clean


@pytest.mark.parametrize("store", ["file", "redis"])
def test_a_small_race_for_the_token(store: str, tmp_path: Path) -> None:
    """R12, R13."""
    if store == "redis" and shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server; on Debian: apt-get install redis-server")
    sizes = ("--processes", "2", "--rotations", "5", "--kills", "2")
    done = program("benchmarks.reliability.token_race", "--store", store, *sizes, "--json", tmp_path / "race.json")
    assert done.returncode == 0, done.stderr
    assert "all of it met" in done.stdout
    found = json.loads((tmp_path / "race.json").read_bytes())
    assert found["rotations"] >= 5
    assert found["kills"] == 2


def test_a_short_soak(tmp_path: Path) -> None:
    """R31, for two seconds."""
    done = program(
        "benchmarks.reliability.soak", "--minutes", "0.03", "--share", "0.5", "--json", tmp_path / "soak.json"
    )
    assert done.returncode == 0, done.stderr
    assert "all of it met" in done.stdout
    assert json.loads((tmp_path / "soak.json").read_bytes())["samples"][-1]["sessions"] > 0


def test_growth_is_seen() -> None:
    taken = [
        samples.Sample(number * 60.0, 50 + number * 0.1, 1 + number // 10, 10, 1, 0, 0, 0, 0, 0, 0, 0)
        for number in range(60)
    ]
    assert samples.slope_mib_per_h(taken) == pytest.approx(6.0)
    found = samples.verdicts(taken, samples.Done())
    assert any(verdict.startswith("tasks grew") for verdict in found)
    assert any("resident memory grows" in verdict for verdict in found)


@pytest.mark.timeout(180)
def test_a_rate_that_processes_share_keeps_its_promises(tmp_path: Path) -> None:
    """R48."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server; on Debian: apt-get install redis-server")
    done = program(
        "benchmarks.reliability.shared_rate", "--processes", "2", "--quick", "--json", tmp_path / "rate.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all of it met" in done.stdout
    found = json.loads((tmp_path / "rate.json").read_bytes())
    assert found["shared"]["done"] > 0
    assert found["alone"]["worst_second"] > 150  # what happens without it


def test_the_worst_second_is_found() -> None:
    assert shared_rate.worst_second([0.0, 0.9, 1.0, 1.1, 1.8, 5.0]) == 4
    assert shared_rate.worst_second([]) == 0
