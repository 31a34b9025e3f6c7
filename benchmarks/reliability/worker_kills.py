"""``python -m benchmarks.reliability.worker_kills --engine dask``: workers of an engine that are killed in mid-task.

Many parks and a year are read in parts, by the workers of Dask or Ray on this machine, from a simulator in a process of
its own whose access tokens live for seconds. The workers share the token and the rate in a Redis of their own. Now and
then a worker is killed with SIGKILL while it reads or writes a part. Then the files are compared with the ledger. The
exit code is 1 unless every session is in the files once, no refresh token was used twice, no second had more than 1.1
times the rate, and as many workers were killed as asked.

It needs redis-server, and the package of the engine: ``distributed`` or ``ray``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import attrs

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.part_files import (
    Asked,
    asked,
    compare,
    expected_rows,
    rows_in_files,
    worker_environment,
)
from benchmarks.reliability.redis_server import redis_server
from benchmarks.reliability.service import Setup, serving
from benchmarks.reliability.shared_rate import worst_second
from benchmarks.reliability.showing import show
from smappee_async import Credentials, Limits, RedisRateLimiter, RedisTokenStore, SmappeeClient, TimeRange
from smappee_async.distributed import Part, partition, write_part
from smappee_async.events import ClientEvent
from smappee_async.tables import schema  # noqa: F401 - imports pyarrow, before CPU time is measured

EngineName: TypeAlias = Literal["dask", "ray"]
WritePart: TypeAlias = Callable[[Part], None]

_YEAR: Final = TimeRange.parse("2025")
_SENT: Final = "WORKER_KILLS_SENT"
"""The variable with the file of the moments at which workers sent a request."""
_TICK_S: Final = 0.01
_LONGEST_S: Final = 0.4
"""A worker is killed so long after its task began, at most."""
_WORST_SECOND: Final = 1.1
_RUN_S: Final = 1800.0
_DEATHS: Final = 5
"""A task may lose so many workers for each kill: Dask counts those that waited on a worker that was killed, too."""

#: What a process needed for its imports is not counted.
_CPU_BEFORE_S: Final = time.process_time()


# --- in the workers ---------------------------------------------------------------------------------------------------


def worker_client() -> SmappeeClient:
    """The client of a worker, from its environment."""
    redis_url, rate = os.environ["SMAPPEE_REDIS_URL"], float(os.environ["SMAPPEE_REQUESTS_PER_SECOND"])
    return SmappeeClient(
        Credentials.from_env(),
        base_url=os.environ["SMAPPEE_BASE_URL"],
        # A worker that is killed while it renews the token holds the lock for so long; it cannot be less.
        token_store=RedisTokenStore(redis_url, "worker-kills", lease_s=30),
        limits=Limits(rate=RedisRateLimiter(redis_url, "worker-kills:rate", rate=rate)),
        on_event=_note_attempt,
    )


def _note_attempt(event: ClientEvent) -> None:
    """Note when an attempt begins, on the clock that all processes of a machine share."""
    if event.kind == "attempt_started":
        with Path(os.environ[_SENT]).open("a") as sent:
            sent.write(f"{time.monotonic()}\n")


@attrs.frozen
class MarkedTask:
    """Writes a part. While it does, a file named by process and part exists, so that the process can be killed then.

    When it ends, the CPU time of the process is noted.
    """

    to: Path
    marks: Path

    @classmethod
    def of(cls, place: Path) -> Self:
        """With directories of a run's own."""
        made = cls(place / "sessions", place / "marks")
        made.to.mkdir()
        made.marks.mkdir()
        return made

    def __call__(self, part: Part) -> None:
        """Do it."""
        mark = self.marks / f"{os.getpid()}-{part.name}.running"
        mark.touch()
        with (self.marks / "tasks").open("a") as tasks:
            tasks.write("x")
        try:
            write_part(part, self.to, client=worker_client)
        finally:
            mark.unlink()
        cpu_s = time.process_time() - _CPU_BEFORE_S
        (self.marks / f"{os.getpid()}.cpu").write_text(str(cpu_s))

    @property
    def sent(self) -> Path:
        """The file of the moments at which a request was sent."""
        return self.marks / "sent"

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def worst_second(self) -> int:
        """The most requests that were sent in any second."""
        return worst_second(sorted(map(float, self.sent.read_text().split())))

    @property
    def tasks(self) -> int:
        """How many tasks were begun."""
        return (self.marks / "tasks").stat().st_size

    @property
    def cpu_s(self) -> float:
        """The CPU time of all processes until their last task ended."""
        return sum(float(file.read_text()) for file in self.marks.glob("*.cpu"))

    @property
    def finished(self) -> int:
        """How many parts are written."""
        return len(list(self.to.glob("*.parquet")))

    def others_than(self, parts: Sequence[Part]) -> list[str]:
        """Files that are no file of a part. A worker that is killed while it writes leaves a hidden one."""
        names = {f"{part.name}.parquet" for part in parts}
        return sorted(file.name for file in self.to.iterdir() if file.name not in names and file.name[0] != ".")


# --- engines ----------------------------------------------------------------------------------------------------------
# They are imported by name, because only the engine that is asked for is installed, and not where types are checked.


def run_on_dask(task: WritePart, parts: Sequence[Part], workers: int, deaths: int) -> None:
    """All parts on Dask workers, each a process with two threads. A task may lose its worker so many times."""
    dask: Any = import_module("dask")
    distributed: Any = import_module("distributed")
    settings = {"distributed.scheduler.allowed-failures": deaths, "distributed.admin.log-length": 0}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=2, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.gather(client.map(task, parts, key=[part.name for part in parts]))


def run_on_ray(task: WritePart, parts: Sequence[Part], workers: int, deaths: int) -> None:
    """All parts as plain Ray tasks, each worker a process with one task at a time."""
    ray: Any = import_module("ray")
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        remote = ray.remote(max_retries=deaths)(_call)
        ray.get([remote.remote(task, part) for part in parts])
    finally:
        ray.shutdown()


def _call(task: WritePart, part: Part) -> None:
    task(part)


ENGINES: Final[Mapping[EngineName, Callable[[WritePart, Sequence[Part], int, int], None]]] = {
    "dask": run_on_dask,
    "ray": run_on_ray,
}

# --- the run ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Plan:
    """How large a run is.

    :param rate: requests a second, of all workers together.
    :param token_s: how long an access token lives.
    """

    engine: EngineName
    parks: int = 200
    sessions: int = 555_000
    parks_per_part: int = 10
    workers: int = 4
    rate: float = 60.0
    token_s: int = 12
    kills: int = 4


@attrs.frozen(kw_only=True)
class KillResult:
    """What came of a run.

    :ivar cpu_s: of the workers, from their imports to the end of their last task.
    :ivar worst_second: the most requests that were sent in any second. More may arrive in one if the service, which
        shares the machine with the workers, comes to them late.
    :ivar left: files that are no part.
    """

    plan: Plan
    seconds: float
    parts: int
    tasks: int
    kills: int
    sessions: int
    cpu_s: float
    worst_second: int
    asked: Asked
    wrong: Difference
    left: list[str]

    @property
    def problems(self) -> list[str]:
        """The promises that did not hold, in words."""
        found = []
        if self.wrong:
            found.append(f"lost, doubled, phantom, stale: {attrs.astuple(self.wrong)}")
        if self.asked.reuses:
            found.append(f"{self.asked.reuses} reuses of a refresh token")
        if self.worst_second > _WORST_SECOND * self.plan.rate:
            found.append(f"{self.worst_second} requests in a second")
        if self.kills < self.plan.kills:
            found.append(f"only {self.kills} of {self.plan.kills} kills: the tasks were too short")
        if self.left:
            found.append(f"files that are neither a part nor a list of failures: {self.left}")
        return found


async def run(plan: Plan) -> KillResult:
    """One run, with a Redis and a simulator of its own."""
    setup = Setup(parks=plan.parks, sessions_per_year=plan.sessions, expires_in_s=plan.token_s)
    parks = sorted(setup.world.parks)
    parts = partition(parks, _YEAR, parks_per_part=plan.parks_per_part)
    with tempfile.TemporaryDirectory(prefix="worker-kills") as place:
        written = MarkedTask.of(Path(place))
        async with redis_server(Path(place)) as redis, serving(setup) as service:
            os.environ.update(worker_environment(service))
            os.environ["SMAPPEE_REDIS_URL"] = redis.url
            os.environ[_SENT] = str(written.sent)
            os.environ["SMAPPEE_REQUESTS_PER_SECOND"] = str(plan.rate)
            began_at = time.monotonic()
            killer = Killer(written, len(parts), plan.kills)
            async with asyncio.timeout(_RUN_S), _meanwhile(killer.run()):
                await asyncio.to_thread(ENGINES[plan.engine], written, parts, plan.workers, _DEATHS * plan.kills)
            seconds = time.monotonic() - began_at
            told = await asked(service)
        expected = expected_rows(setup.ledger, parks, _YEAR)
        return KillResult(
            plan=plan,
            seconds=seconds,
            parts=len(parts),
            tasks=written.tasks,
            kills=killer.kills,
            sessions=len(expected),
            cpu_s=written.cpu_s,
            worst_second=written.worst_second(),
            asked=told,
            wrong=compare(rows_in_files(written.to), expected),
            left=written.others_than(parts),
        )


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Killer:
    """Kills workers in mid-task, each when one more share of the parts is finished."""

    def __init__(self, written: MarkedTask, parts: int, kills: int) -> None:
        self._written = written
        self._parts = parts
        self._wanted = kills
        self._chance = random.Random(1)
        self.kills = 0

    async def run(self) -> None:
        """Kill until there were enough."""
        while self.kills < self._wanted:
            await asyncio.sleep(_TICK_S)
            if self._written.finished > self.kills * self._parts / (self._wanted + 1):
                await self._kill_one()

    async def _kill_one(self) -> None:
        running = self._running()
        if not running:
            return
        mark = self._chance.choice(running)
        await asyncio.sleep(self._chance.uniform(0.0, _LONGEST_S))
        if mark not in self._running():
            return
        process = mark.name.partition("-")[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
        await asyncio.sleep(_TICK_S)
        # A mark that is still there was not removed by its task: the task did not end.
        ended = [each for each in self._running() if each.name.startswith(f"{process}-")]
        self.kills += mark in ended
        for each in ended:
            each.unlink()

    def _running(self) -> list[Path]:
        return sorted(self._written.marks.glob("*.running"))


# --- what is shown ----------------------------------------------------------------------------------------------------


def lines(result: KillResult) -> Iterator[str]:
    """The figures of a run, line by line."""
    plan, told = result.plan, result.asked
    yield (
        f"{plan.engine}, {plan.workers} workers, Python {sys.version.split()[0]}: {plan.parks} parks x 2025 = "
        f"{result.sessions:,} sessions in {result.parts} parts"
    )
    yield f"  workers killed in mid-task         {result.kills}; tasks begun {result.tasks}"
    yield f"  requests, seconds                  {told.requests:,} in {result.seconds:.0f} s"
    yield f"  CPU of the workers                 {result.cpu_s * 1e6 / result.sessions:.1f} us a session"
    yield (
        f"  worst second                       {result.worst_second} sent, {told.worst_second} arrived: "
        f"{result.worst_second / plan.rate:.2f} of the rate of {plan.rate:g}"
    )
    yield f"  tokens                             {told.refreshes} refreshes, {told.logins} logins, {told.reuses} reuses"
    yield f"  lost, doubled, phantom, stale      {', '.join(map(str, attrs.astuple(result.wrong)))}"
    yield "  " + ("NOT MET: " + "; ".join(result.problems) if result.problems else "all of it met")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and save the figures; returns 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.worker_kills", description=__doc__)
    parser.add_argument("--engine", choices=list(ENGINES), default="dask")
    parser.add_argument("--kills", type=int, default=Plan(engine="dask").kills)
    parser.add_argument("--quick", action="store_true", help="few parks, and three kills")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args(arguments)
    plan = Plan(engine=options.engine, kills=options.kills)
    if options.quick:
        plan = attrs.evolve(plan, parks=12, sessions=20_000, parks_per_part=2, workers=2, rate=40.0, kills=3)
    result = asyncio.run(run(plan))
    show(lines(result), result, options.json)
    return 1 if result.problems else 0


if __name__ == "__main__":
    # By its name, so that workers find what they are given in this module, and not in "__main__".
    from benchmarks.reliability.worker_kills import main as run_main

    sys.exit(run_main())
