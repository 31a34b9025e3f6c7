"""``python -m benchmarks.reliability.recipes --engine dask``: a program of docs/examples/distributed, and its judge.

The list of parts is made, and the program of the engine is run on a simulator in a process of its own. As soon as the
first part is written, the program is killed with SIGKILL, with all that it started. Then it is run again, as its user
would, and the files are compared with the ledger. The exit code is 1 if a session is lost or doubled, or if a part that
was finished is read again.

It runs in an environment with the engine: see ``.ci/recipes``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.part_files import compare, expected_rows, rows_in_files, worker_environment
from benchmarks.reliability.redis_server import redis_server
from benchmarks.reliability.service import Setup, serving
from smappee_async import TimeRange
from smappee_async.distributed import Part

_PROGRAMS: Final = Path(__file__).parents[2] / "docs" / "examples" / "distributed"
_YEAR: Final = "2025"
_SETUP: Final = Setup(parks=12, sessions_per_year=20_000)
_PARKS_PER_PART: Final = 2
_RATE: Final = "100"
_TICK_S: Final = 0.01
_RUN_S: Final = 400.0

Command = Sequence[str]


@attrs.frozen
class Scene:
    """The files of a run.

    :ivar parts: the list of parts.
    :ivar to: where the sessions are written to.
    """

    place: Path

    @property
    def parts(self) -> Path:
        return self.place / "parts.json"

    @property
    def to(self) -> Path:
        return self.place / "sessions"

    @property
    def environment(self) -> dict[str, str]:
        """Everything that an engine keeps lies here, and it tells nobody that it runs."""
        return {
            "SESSIONS_PARTS": str(self.parts),
            "SESSIONS_TO": str(self.to),
            "HOME": str(self.place),
            "DO_NOT_TRACK": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.place),
            "AIRFLOW_HOME": str(self.place / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.place / "dags"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "SCARF_ANALYTICS": "false",
            "PREFECT_HOME": str(self.place / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "DAGSTER_HOME": str(self.place / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }

    def names(self) -> list[str]:
        """The names of the parts."""
        return [Part.from_json(plain).name for plain in json.loads(self.parts.read_text())]


# --- how each engine is started ---------------------------------------------------------------------------------------


def _program(name: str) -> Callable[[Scene], list[Command]]:
    def commands(scene: Scene) -> list[Command]:
        return [[sys.executable, str(_PROGRAMS / name), str(scene.parts), str(scene.to)]]

    return commands


def _airflow(scene: Scene) -> list[Command]:
    """The run that ``dags test`` makes has no scheduler: all tasks are run in its process."""
    (scene.place / "dags").mkdir(exist_ok=True)
    shutil.copy(_PROGRAMS / "airflow_dag.py", scene.place / "dags")
    command = [str(Path(sys.executable).with_name("airflow"))]
    return [[*command, "db", "migrate"], [*command, "dags", "test", "charging_sessions"]]


def _dagster(scene: Scene) -> list[Command]:
    """One process for each partition, as the daemon starts one."""
    (scene.place / "dagster").mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "--select", "charging_sessions"]
    return [[*command, "-f", str(_PROGRAMS / "dagster_assets.py"), "--partition", name] for name in scene.names()]


ENGINES: Final[Mapping[str, Callable[[Scene], list[Command]]]] = {
    "dask": _program("dask_tasks.py"),
    "ray": _program("ray_tasks.py"),
    "prefect": _program("prefect_flow.py"),
    "airflow": _airflow,
    "dagster": _dagster,
}

# --- the run ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class RecipeResult:
    """What came of a run.

    :ivar before: parts that were finished when the program was killed.
    :ivar again: of these, how many were written again.
    """

    engine: str
    parts: int
    sessions: int
    before: int
    again: int
    seconds: float
    wrong: Difference

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words."""
        found = []
        if self.wrong:
            found.append(f"lost, doubled, phantom, stale: {attrs.astuple(self.wrong)}")
        if self.again:
            found.append(f"{self.again} finished parts were read again")
        return found


async def run(engine: str) -> RecipeResult:
    """Run the program of an engine twice, killed the first time."""
    with tempfile.TemporaryDirectory(prefix="recipe", ignore_cleanup_errors=True) as directory:
        scene = Scene(Path(directory))
        async with redis_server(scene.place) as redis, serving(_SETUP) as service:
            shared = {"SMAPPEE_REDIS_URL": redis.url, "SMAPPEE_REQUESTS_PER_SECOND": _RATE}
            environment = os.environ | worker_environment(service) | shared | scene.environment
            return await asyncio.to_thread(_run, engine, scene, environment)


def _run(engine: str, scene: Scene, environment: Mapping[str, str]) -> RecipeResult:
    parks = sorted(_SETUP.world.parks)
    _make_parts(scene, parks, environment)
    began_at = time.monotonic()
    _run_all(ENGINES[engine](scene), scene, environment, is_over=lambda: bool(_finished(scene)))
    before = _finished(scene)
    _run_all(ENGINES[engine](scene), scene, environment, is_over=lambda: False)
    seconds, after = time.monotonic() - began_at, _finished(scene)
    expected = expected_rows(_SETUP.ledger, parks, TimeRange.parse(_YEAR))
    _make_parts(scene, parks, environment, "--last-run", str(scene.parts), str(scene.to))
    return RecipeResult(
        engine=engine,
        parts=len(after),
        sessions=len(expected),
        before=len(before),
        again=sum(after[name] != written for name, written in before.items()),
        seconds=seconds,
        wrong=compare(rows_in_files(scene.to), expected),
    )


def _finished(scene: Scene) -> dict[str, int]:
    """The files that are there, and which file each is: one that is written again is another."""
    return {file.name: file.stat().st_ino for file in scene.to.glob("*.parquet")}


def _make_parts(scene: Scene, parks: Sequence[int], environment: Mapping[str, str], *options: str) -> None:
    (scene.place / "parks.txt").write_text("".join(f"{park}\n" for park in parks))
    files = [str(scene.place / "parks.txt"), _YEAR, str(scene.parts)]
    size = ["--parks-per-part", str(_PARKS_PER_PART)]
    subprocess.run(
        [sys.executable, str(_PROGRAMS / "make_parts.py"), *files, *size, *options],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _run_all(
    commands: Sequence[Command], scene: Scene, environment: Mapping[str, str], *, is_over: Callable[[], bool]
) -> None:
    """Run the commands; kill the one that is running, and leave out the others, when it is over."""
    for command in commands:
        log = scene.place / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=scene.place, stdout=output, stderr=output, start_new_session=True
            )
        give_up_at = time.monotonic() + _RUN_S
        try:
            while process.poll() is None and not is_over():
                if time.monotonic() > give_up_at:
                    raise RuntimeError(f"it did not end:\n{log.read_text()}")
                time.sleep(_TICK_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if is_over():
            return
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}:\n{log.read_text()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one, and print a line; returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.recipes", description=__doc__)
    parser.add_argument("--engine", choices=list(ENGINES), required=True)
    result = asyncio.run(run(parser.parse_args(arguments).engine))
    print(
        f"{result.engine}: {result.sessions:,} sessions in {result.parts} parts, killed when {result.before} were "
        f"finished, {result.seconds:.0f} s; lost, doubled, phantom, stale: "
        f"{', '.join(map(str, attrs.astuple(result.wrong)))}: "
        + ("NOT MET: " + "; ".join(result.problems) if result.problems else "all of it met"),
        flush=True,
    )
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
