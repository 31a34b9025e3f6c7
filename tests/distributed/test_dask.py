"""Parts on Dask, whose workers are killed with SIGKILL: every session is in the files once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: A worker that is killed while it renews the token leaves a lock, for which the others wait until it runs out.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def _redis_is_here() -> None:
    if shutil.which("redis-server") is None:
        reason = "there is no redis-server; on Debian: apt-get install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def program(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.reliability.{name}", "--engine", "dask", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_workers_that_are_killed_in_mid_task_lose_no_session_and_double_none(tmp_path: Path) -> None:
    ended = program("worker_kills", "--quick", "--json", tmp_path / "figures.json")

    assert (tmp_path / "figures.json").exists(), ended.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["kills"] == 3
    assert figures["tasks"] >= figures["parts"] + 3
    assert figures["wrong"] == {"lost": 0, "doubled": 0, "phantom": 0, "stale": 0}
    assert (figures["asked"]["reuses"], figures["left"]) == (0, [])


def test_the_program_of_the_docs_goes_on_after_it_was_killed_with_all_its_workers() -> None:
    ended = program("recipes")

    assert ended.returncode == 0, ended.stdout + ended.stderr
