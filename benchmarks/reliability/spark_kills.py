"""``python -m benchmarks.reliability.spark_kills``: processes of Spark that are killed in mid-task.

Many parks and a year are read by the data source ``smappee`` on two executors, each a Java process with Python workers
(``local-cluster``), from a simulator in a process of its own whose access tokens live for seconds. The workers share
the token and the rate in a Redis of their own. There are four reads, and each is compared with the ledger: one in
peace, one in which Python workers are killed, one in which executors are killed, and one in which an executor is killed
when the rows that it has read wait for the second stage of a shuffle, so that they are lost with it. The exit code is 1
unless every session is there once, no refresh token was used twice, no second had more than 1.1 times the rate, and as
many processes were killed as asked.

It needs redis-server, Java, and the extra ``spark``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.part_files import (
    Asked,
    Key,
    Row,
    asked,
    compare,
    expected_rows,
    rows_in_files,
    worker_environment,
)
from benchmarks.reliability.processes import Process, processes_below
from benchmarks.reliability.redis_server import redis_server
from benchmarks.reliability.service import Service, Setup, serving
from benchmarks.reliability.showing import show
from smappee_async import Credentials, Limits, RedisRateLimiter, RedisTokenStore, SmappeeClient, TimeRange
from smappee_async.spark.source import SmappeeDataSource, _PartReader

Victim: TypeAlias = Literal["nobody", "Python worker", "executor", "executor after the shuffle"]

_ROOT: Final = Path(__file__).parents[2]
_YEAR: Final = TimeRange.parse("2025")
_TICK_S: Final = 0.02
_SAMPLE_S: Final = 0.2
_LONGEST_S: Final = 0.4
"""A process is killed so long after it was chosen, at most."""
_WORST_SECOND: Final = 1.1
_RUN_S: Final = 1200.0
_END_S: Final = 30.0


# --- in the workers ---------------------------------------------------------------------------------------------------


def worker_client() -> SmappeeClient:
    """The client of a Python worker, from its environment."""
    redis, rate = os.environ["SMAPPEE_REDIS_URL"], float(os.environ["SMAPPEE_REQUESTS_PER_SECOND"])
    return SmappeeClient(
        Credentials.from_env(),
        base_url=os.environ["SMAPPEE_BASE_URL"],
        # A worker that is killed in a renewal leaves the lock until the lease ends: the shortest that may be set.
        token_store=RedisTokenStore(redis, "spark-kills:token", lease_s=30),
        limits=Limits(rate=RedisRateLimiter(redis, "spark-kills:rate", rate=rate)),
    )


class SharingDataSource(SmappeeDataSource):
    """The data source with clients that share token and rate, and with a note when a part is begun and read."""

    def reader(self, schema: Any) -> Any:  # noqa: ARG002 - Spark's
        """See above."""
        return _NotingReader(self._read(), worker_client)


class _NotingReader(_PartReader):
    def read(self, partition: Any) -> Iterator[Any]:
        _note(BEGUN)
        yield from super().read(partition)
        _note(ENDED)


BEGUN, ENDED = "begun", "ended"


def _note(what: str) -> None:
    with Path(os.environ["SPARK_KILLS_NOTES"]).open("a") as notes:
        notes.write(f"{os.getpid()} {what}\n")  # so short that several processes may append at once


# --- the runs ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Plan:
    """How large the runs are.

    :param rate: requests a second, of all workers together.
    :param token_s: how long an access token lives.
    :param kills: how many processes die, for each kind of victim.
    """

    parks: int = 200
    sessions: int = 555_000
    parks_per_part: int = 10
    executors: int = 2
    rate: float = 60.0
    token_s: int = 12
    kills: Mapping[Victim, int] = {
        "nobody": 0,
        "Python worker": 3,
        "executor": 2,
        "executor after the shuffle": 1,
    }


@attrs.frozen(kw_only=True)
class Read:
    """What came of one read.

    :ivar parts_again: how often a part was begun again, because its task had died or what it had read was lost.
    :ivar cpu_s: of all processes of Spark, the Java ones included.
    """

    victim: Victim
    kills: int
    parts_again: int
    requests: int
    seconds: float
    cpu_s: float
    wrong: Difference


@attrs.frozen(kw_only=True)
class KillResult:
    """What came of all reads."""

    plan: Plan
    parts: int
    sessions: int
    reads: list[Read]
    asked: Asked

    @property
    def problems(self) -> list[str]:
        """The promises that did not hold, in words."""
        found = [
            f"{read.victim} killed: lost, doubled, phantom, stale: {attrs.astuple(read.wrong)}"
            for read in self.reads
            if read.wrong
        ]
        found += [
            f"only {read.kills} kills of a {read.victim}: the tasks were too short"
            for read in self.reads
            if read.kills < self.plan.kills[read.victim]
        ]
        found += [
            f"{read.kills} kills of a {read.victim} hit {read.parts_again} tasks"
            for read in self.reads
            if read.parts_again < read.kills
        ]
        if self.asked.reuses:
            found.append(f"{self.asked.reuses} reuses of a refresh token")
        if self.asked.worst_second > _WORST_SECOND * self.plan.rate:
            found.append(f"{self.asked.worst_second} requests in a second")
        return found


async def run(plan: Plan) -> KillResult:
    """All reads, with a Redis and a simulator of their own."""
    setup = Setup(parks=plan.parks, sessions_per_year=plan.sessions, expires_in_s=plan.token_s)
    parks = sorted(setup.world.parks)
    expected = await asyncio.to_thread(expected_rows, setup.ledger, parks, _YEAR)
    with tempfile.TemporaryDirectory(prefix="spark-kills") as place:
        async with redis_server(Path(place)) as redis, serving(setup) as service:
            os.environ.update(worker_environment(service))
            os.environ["SMAPPEE_REDIS_URL"] = redis.url
            os.environ["SMAPPEE_REQUESTS_PER_SECOND"] = str(plan.rate)
            notes = Path(place, "notes")
            os.environ["SPARK_KILLS_NOTES"] = str(notes)
            spark = await asyncio.to_thread(_start_spark, plan, notes)
            try:
                bench = _Bench(plan, spark, service, parks, expected, notes)
                async with asyncio.timeout(_RUN_S):
                    reads = [await bench.read(victim) for victim in plan.kills]
            finally:
                await asyncio.to_thread(_end_spark, spark)
            told = await asked(service)
    return KillResult(plan=plan, parts=bench.parts, sessions=len(expected), reads=reads, asked=told)


def _start_spark(plan: Plan, notes: Path) -> Any:
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports] # noqa: PLC0415 - 450 MB, asked for

    notes.touch()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(_ROOT)
    spark = (
        SparkSession.builder.master(f"local-cluster[{plan.executors},1,1024]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "OFF")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(notes.parent))
        .config("spark.executorEnv.PYTHONPATH", str(_ROOT))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    spark.dataSource.register(SharingDataSource)
    return spark


def _end_spark(spark: Any) -> None:
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()  # tells the Java process to end
    gateway.proc.wait(timeout=_END_S)


class _Bench:
    """Reads again and again, and compares."""

    def __init__(
        self,
        plan: Plan,
        spark: Any,
        service: Service,
        parks: Sequence[int],
        expected: Mapping[Key, Row],
        notes: Path,
    ) -> None:
        self._plan = plan
        self._spark = spark
        self._service = service
        self._parks = parks
        self._expected = expected
        self._notes = notes
        self.parts = -(-len(parks) // plan.parks_per_part)

    async def read(self, victim: Victim) -> Read:
        """One read of everything, written as Parquet, while so many processes of a kind are killed."""
        to = self._notes.with_name(victim.replace(" ", "-"))
        requests = (await self._service.stats()).hits
        killer = _Killer(self._spark, victim, self.parts, self._plan, self._notes)
        began_at = time.monotonic()
        with killer:
            await asyncio.to_thread(self._write, to, shuffled=victim == "executor after the shuffle")
        seconds = time.monotonic() - began_at
        requests = (await self._service.stats()).hits - requests
        print(f"{victim} killed: {killer.kills}, {seconds:.0f} s, {requests:,} requests", file=sys.stderr, flush=True)
        wrong = await asyncio.to_thread(lambda: compare(rows_in_files(to), self._expected))
        return Read(
            victim=victim,
            kills=killer.kills,
            parts_again=killer.begun - self.parts,
            requests=requests,
            seconds=seconds,
            cpu_s=killer.cpu_s,
            wrong=wrong,
        )

    def _write(self, to: Path, *, shuffled: bool) -> None:
        frame = (
            self._spark.read.format("smappee")
            .option("parks", ",".join(map(str, self._parks)))
            .option("start", _YEAR.start.isoformat())
            .option("end", _YEAR.end.isoformat() if _YEAR.end else "")
            .option("parks_per_part", self._plan.parks_per_part)
            .load()
        )
        if shuffled:
            frame = frame.repartition(2 * self._plan.executors, "id")
        frame.write.parquet(str(to))


class _Killer:
    """Kills processes while the block lasts, and adds up the CPU time of all."""

    def __init__(self, spark: Any, victim: Victim, parts: int, plan: Plan, notes: Path) -> None:
        self._tracker = spark.sparkContext.statusTracker()
        self._java = spark.sparkContext._gateway.proc.pid
        self._victim = victim
        self._parts = parts
        self._wanted = plan.kills[victim]
        self._notes = notes
        self._noted_before = notes.stat().st_size
        self._chance = random.Random(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")
        self._cpu_before: dict[int, float] = {}
        self._cpu: dict[int, float] = {}
        #: The stages that read all parts.
        self._stages: set[int] = set()
        self.kills = 0

    def __enter__(self) -> None:
        self._cpu_before = {each.pid: each.cpu_s for each in processes_below(self._java)}
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._note(processes_below(self._java))

    @property
    def cpu_s(self) -> float:
        """What the processes took, the killed ones included, until shortly before their end."""
        return sum(seconds - self._cpu_before.get(pid, 0.0) for pid, seconds in self._cpu.items())

    @property
    def begun(self) -> int:
        """How many parts were begun."""
        return sum(what == BEGUN for _, what in self._noted())

    def _noted(self) -> list[tuple[int, str]]:
        lines = self._notes.read_text()[self._noted_before :].splitlines()
        return [(int(pid), what) for pid, what in map(str.split, lines)]

    def _run(self) -> None:
        sampled_at = 0.0
        while not self._over.wait(_TICK_S):
            if time.monotonic() - sampled_at > _SAMPLE_S:
                sampled_at = time.monotonic()
                self._note(processes_below(self._java))
            if self.kills < self._wanted:
                victim = self._after_shuffle() if self._victim == "executor after the shuffle" else self._in_task()
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)
                    self.kills += 1

    def _note(self, processes: Sequence[Process]) -> None:
        self._cpu.update({each.pid: each.cpu_s for each in processes})

    def _in_task(self) -> int | None:
        """A process that is reading a part, or the executor of it, when one more share of the parts is read."""
        noted = self._noted()
        if sum(what == ENDED for _, what in noted) <= self.kills * self._parts / (self._wanted + 1):
            return None
        reading = [pid for pid, what in dict(noted).items() if what == BEGUN]
        if not reading:
            return None
        worker = self._chance.choice(reading)
        self._over.wait(self._chance.uniform(0.0, _LONGEST_S))
        if dict(self._noted())[worker] != BEGUN:
            return None
        for executor in self._living_executors():
            if worker in {each.pid for each in processes_below(executor)}:
                return executor if self._victim == "executor" else worker
        return None

    def _after_shuffle(self) -> int | None:
        """An executor, as soon as all parts are read: their rows are on the disks of the executors then."""
        for stage in {*self._tracker.getActiveStageIds(), *self._stages}:
            info = self._tracker.getStageInfo(stage)
            if info and info.numTasks == self._parts:
                self._stages.add(stage)
                if info.numCompletedTasks == self._parts:
                    return self._chance.choice(self._living_executors())
        return None

    def _living_executors(self) -> list[int]:
        return [each.pid for each in processes_below(self._java) if "CoarseGrainedExecutorBackend" in each.command]


# --- what is shown ----------------------------------------------------------------------------------------------------


def lines(result: KillResult) -> Iterator[str]:
    """The figures, line by line."""
    plan, told = result.plan, result.asked
    yield (
        f"Spark, {plan.executors} executors, Python {sys.version.split()[0]}: {plan.parks} parks x 2025 = "
        f"{result.sessions:,} sessions in {result.parts} parts, tokens of {plan.token_s} s, "
        f"{plan.rate:g} requests a second"
    )
    titles = ("kills", "parts again", "requests", "seconds", "us a session", "lost", "doubled", "phantom", "stale")
    yield "killed".ljust(28) + "".join(title.rjust(14) for title in titles)
    for read in result.reads:
        cells = (
            f"{read.kills}",
            f"{read.parts_again}",
            f"{read.requests:,}",
            f"{read.seconds:.0f}",
            f"{read.cpu_s * 1e6 / result.sessions:.1f}",
            *map(str, attrs.astuple(read.wrong)),
        )
        yield read.victim.ljust(28) + "".join(cell.rjust(14) for cell in cells)
    yield (
        f"worst second: {told.worst_second} requests, {told.worst_second / plan.rate:.2f} of the rate; tokens: "
        f"{told.refreshes} refreshes, {told.logins} logins, {told.reuses} reuses"
    )
    yield "NOT MET: " + "; ".join(result.problems) if result.problems else "all of it met"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and save the figures; returns 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.spark_kills", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sessions")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args(arguments)
    plan = Plan()
    if options.quick:
        plan = attrs.evolve(plan, parks=48, sessions=55_000, parks_per_part=4, rate=30.0, token_s=6)
    result = asyncio.run(run(plan))
    show(lines(result), result, options.json)
    return 1 if result.problems else 0


if __name__ == "__main__":
    # By its name, so that executors find the data source in this module, and not in "__main__".
    from benchmarks.reliability.spark_kills import main as run_main

    sys.exit(run_main())
