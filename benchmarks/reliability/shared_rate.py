"""``python -m benchmarks.reliability.shared_rate``: processes that share one rate, and what the service sees of it.

First, processes that want more than the rate take permits: how many a second, the most in any second of the whole run,
how many scripts Redis ran for a permit, and what a permit costs. Once more with a Redis that is killed and comes back.
Then clients ask a service that allows less than the rate: how many requests it refused. The exit code is 1 unless the
promises hold: the worst second at most 1.1 times the rate, one script a permit, no error, and few refusals.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal, cast

import attrs
import msgspec
from redis.asyncio import Redis

from benchmarks.reliability.counting import is_attempt
from benchmarks.reliability.redis_server import RedisServer, redis_server
from benchmarks.reliability.service import Setup, credentials, serving
from benchmarks.reliability.showing import show
from smappee_async import Limits, RateLimiter, RedisRateLimiter, RetryPolicy, SmappeeClient
from smappee_async.events import ClientEvent
from smappee_async.transport.rate import rate_limiter

_MODULE: Final = "benchmarks.reliability.shared_rate"
_ROOT: Final = Path(__file__).parents[2]
_KEY: Final = "account"
_REPORT_BYTES: Final = 16 * 2**20
#: From the moment when all processes are ready to the first permit.
_START_S: Final = 0.2
#: How much of the rate the service allows in the second part.
_ALLOWED_SHARE: Final = 0.4

Kind = Literal["shared", "alone", "none"]


@attrs.frozen(kw_only=True)
class Orders:
    """What one process does.

    :param kind: one rate for all processes, one for each, or none.
    :param base_url: the service that it asks; ``None`` only takes permits.
    """

    kind: Kind
    redis_url: str
    rate: float
    fallback: float | None
    tasks: int
    seconds: float
    base_url: str | None = None


@attrs.frozen(kw_only=True)
class Report:
    """What one process did.

    :param at: when it got each permit, or each response.
    :param refused: how many requests were answered with 429.
    """

    at: list[float]
    errors: int
    refused: int
    cpu_s: float


@attrs.frozen(kw_only=True)
class Row:
    """One run, all processes together."""

    name: str
    done: int
    a_second: float
    worst_second: int
    errors: int
    client_cpu_us: float
    refused: int
    scripts: float | None = None
    redis_cpu_us: float | None = None


# --- in a process -----------------------------------------------------------------------------------------------------


class Worker:
    """Tasks that want more than they get."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._at: list[float] = []
        self._errors = 0
        self._refused = 0

    async def run(self) -> Report:
        """Work from the beginning to the end."""
        orders = self._orders
        if orders.kind == "shared":
            async with RedisRateLimiter(orders.redis_url, _KEY, rate=orders.rate, fallback=orders.fallback) as limiter:
                return await self._run(limiter)
        return await self._run(await rate_limiter(orders.rate) if orders.kind == "alone" else None)

    async def _run(self, limiter: RateLimiter | None) -> Report:
        orders = self._orders
        if orders.base_url is None:
            assert limiter is not None
            return await self._measure(limiter.acquire)
        retry = RetryPolicy(attempts=50)
        limits = Limits(rate=limiter, concurrency=orders.tasks)
        async with SmappeeClient(
            credentials(), base_url=orders.base_url, limits=limits, retry=retry, on_event=self._note
        ) as smappee:
            park = (await smappee.service_locations())[0].id
            return await self._measure(lambda: smappee.service_location(park))

    def _note(self, event: ClientEvent) -> None:
        if is_attempt(event) and event.facts.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._refused += 1

    async def _measure(self, step: Any) -> Report:
        print("ready", flush=True)
        # On the clock that all processes of a machine share.
        begin_at = float(await asyncio.to_thread(sys.stdin.readline))
        await asyncio.sleep(begin_at - time.monotonic())
        began_s = time.process_time()
        tasks = [asyncio.create_task(self._on_and_on(step)) for _ in range(self._orders.tasks)]
        await asyncio.sleep(begin_at + self._orders.seconds - time.monotonic())
        cpu_s = time.process_time() - began_s
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return Report(at=self._at, errors=self._errors, refused=self._refused, cpu_s=cpu_s)

    async def _on_and_on(self, step: Any) -> None:
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - whatever a caller sees counts
                self._errors += 1
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.1)
            else:
                self._at.append(time.monotonic())


# --- all of them ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Plan:
    """The sizes of the runs."""

    processes: int
    tasks: int
    rate: float
    seconds: float
    storm_s: float


class Runs:
    """Runs processes, and adds up what they report."""

    def __init__(self, plan: Plan, redis: RedisServer) -> None:
        self._plan = plan
        self._redis = redis

    async def permits(self, name: str, kind: Kind, *, outage: bool = False) -> Row:
        """Processes that only take permits. With an outage, Redis is away from a third of the time on to a half."""
        plan = self._plan
        fallback = plan.rate / plan.processes if outage else None
        async with Redis.from_url(self._redis.url) as client:
            await client.flushall()
            await client.config_resetstat()
            crew = await self._crew(kind, plan.seconds, fallback)
            working = asyncio.create_task(crew.work())
            if outage:
                await asyncio.sleep(_START_S + plan.seconds / 3)
                await self._redis.kill()
                await asyncio.sleep(plan.seconds / 6)
                await self._redis.start()
            reports = await working
            row = _row(name, reports, plan.seconds)
            if kind != "shared" or outage:
                return row
            stats = cast("dict[str, dict[str, int]]", await client.info("commandstats"))
            scripts = [stats[each] for each in ("cmdstat_evalsha", "cmdstat_eval") if each in stats]
            calls = sum(each["calls"] - each["failed_calls"] for each in scripts)
            return attrs.evolve(
                row, scripts=calls / row.done, redis_cpu_us=sum(each["usec"] for each in scripts) / calls
            )

    async def storm(self, name: str, kind: Kind) -> Row:
        """Clients at a service that allows less than the rate."""
        async with Redis.from_url(self._redis.url) as client:
            await client.flushall()
        setup = Setup(parks=1, sessions_per_year=100, requests_per_second=int(self._plan.rate * _ALLOWED_SHARE))
        async with serving(setup) as service:
            reports = await (await self._crew(kind, self._plan.storm_s, None, service.base_url)).work()
        return _row(name, reports, self._plan.storm_s)

    async def _crew(self, kind: Kind, seconds: float, fallback: float | None, base_url: str | None = None) -> Crew:
        plan = self._plan
        orders = Orders(
            kind=kind,
            redis_url=self._redis.url,
            rate=plan.rate,
            fallback=fallback,
            tasks=plan.tasks,
            seconds=seconds,
            base_url=base_url,
        )
        return await Crew.ready(orders, plan.processes)


@attrs.frozen
class Crew:
    """Processes that wait for the beginning."""

    processes: list[asyncio.subprocess.Process]

    @classmethod
    async def ready(cls, orders: Orders, processes: int) -> Crew:
        """Start the processes, and wait until each is ready."""
        arguments = [sys.executable, "-m", _MODULE, "--worker", msgspec.json.encode(orders).decode()]
        pipe = asyncio.subprocess.PIPE
        crew = cls([])
        for _ in range(processes):
            started = await asyncio.create_subprocess_exec(
                *arguments, cwd=_ROOT, stdin=pipe, stdout=pipe, limit=_REPORT_BYTES
            )
            crew.processes.append(started)
        for process in crew.processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        return crew

    async def work(self) -> list[Report]:
        """Let them begin at the same moment, and wait for their reports. A process whose pipe closes ends, too."""
        begin_at = f"{time.monotonic() + _START_S}\n".encode()
        outputs = await asyncio.gather(*(process.communicate(begin_at) for process in self.processes))
        return [msgspec.json.decode(output, type=Report) for output, _ in outputs]


def _row(name: str, reports: Sequence[Report], seconds: float) -> Row:
    at = sorted(each for report in reports for each in report.at)
    return Row(
        name=name,
        done=len(at),
        a_second=len(at) / seconds,
        worst_second=worst_second(at),
        errors=sum(report.errors for report in reports),
        refused=sum(report.refused for report in reports),
        client_cpu_us=sum(report.cpu_s for report in reports) / max(1, len(at)) * 1e6,
    )


def worst_second(at: Sequence[float]) -> int:
    """The most in any second.

    :param at: moments, in order.
    """
    return max((bisect.bisect_left(at, begin + 1) - number for number, begin in enumerate(at)), default=0)


@attrs.frozen(kw_only=True)
class Result:
    """All runs."""

    plan: Plan
    shared: Row
    outage: Row
    alone: Row
    storm_none: Row
    storm_shared: Row

    @property
    def problems(self) -> list[str]:
        """The promises that did not hold, in words."""
        found = []
        if self.shared.worst_second > 1.1 * self.plan.rate:
            found.append(f"{self.shared.worst_second} permits in one second")
        if self.shared.a_second < 0.85 * self.plan.rate:
            found.append(f"only {self.shared.a_second:.0f} permits a second")
        if self.shared.scripts is None or self.shared.scripts > 1.1:
            found.append(f"{self.shared.scripts} scripts a permit")
        if errors := self.shared.errors + self.outage.errors + self.storm_shared.errors:
            found.append(f"{errors} errors")
        if self.outage.worst_second > 1.4 * self.plan.rate:
            found.append(f"{self.outage.worst_second} permits in one second of the outage")
        if self.storm_shared.refused > 0.5 * self.storm_none.refused:
            found.append(f"{self.storm_shared.refused} refusals with the limiter, {self.storm_none.refused} without")
        return found


async def run(plan: Plan) -> Result:
    """All runs, one after the other."""
    with tempfile.TemporaryDirectory(prefix="shared-rate") as directory:
        async with redis_server(Path(directory)) as redis:
            runs = Runs(plan, redis)
            return Result(
                plan=plan,
                shared=await runs.permits("RedisRateLimiter", "shared"),
                outage=await runs.permits("the same, Redis killed and back", "shared", outage=True),
                alone=await runs.permits("a number in each process", "alone"),
                storm_none=await runs.storm("no rate", "none"),
                storm_shared=await runs.storm("RedisRateLimiter", "shared"),
            )


def lines(result: Result) -> Iterator[str]:
    """The tables."""
    plan = result.plan
    yield f"{plan.processes} processes of {plan.tasks} tasks that want {plan.rate:g} a second, for {plan.seconds:g} s"
    yield (
        f"{'':34}{'permits':>8}{'a second':>10}{'worst s':>9}{'scripts a permit':>18}"
        f"{'client us':>11}{'redis us':>10}{'errors':>8}"
    )
    for row in (result.shared, result.outage, result.alone):
        scripts = "" if row.scripts is None else f"{row.scripts:.2f}"
        redis_us = "" if row.redis_cpu_us is None else f"{row.redis_cpu_us:.0f}"
        yield (
            f"{row.name:34}{row.done:>8,}{row.a_second:>10.1f}{row.worst_second:>9}{scripts:>18}"
            f"{row.client_cpu_us:>11.0f}{redis_us:>10}{row.errors:>8}"
        )
    yield f"at a service that allows {plan.rate * _ALLOWED_SHARE:g} a second, for {plan.storm_s:g} s"
    yield f"{'':34}{'responses':>10}{'a second':>10}{'refused':>9}{'errors':>8}"
    for row in (result.storm_none, result.storm_shared):
        yield f"{row.name:34}{row.done:>10,}{row.a_second:>10.1f}{row.refused:>9,}{row.errors:>8}"
    yield "NOT MET: " + "; ".join(result.problems) if result.problems else "all of it met"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all, print and save the figures; returns 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--json", type=Path, help="write the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker is not None:
        report = asyncio.run(Worker(msgspec.json.decode(options.worker, type=Orders)).run())
        sys.stdout.buffer.write(msgspec.json.encode(report))
        return 0
    seconds = options.seconds / (10 if options.quick else 1)
    plan = Plan(processes=options.processes, tasks=options.tasks, rate=options.rate, seconds=seconds, storm_s=seconds)
    result = asyncio.run(run(plan))
    show(lines(result), result, options.json)
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
