"""``python -m benchmarks.reliability.token_race --store file``: processes that share a token, cancelled and killed.

Real processes share a store, and the service rotates refresh tokens strictly: if a used one comes again, it revokes
every token of the login. In the first phase a token ends as soon as there is a new one, and a third of all calls are
cancelled. In the second phase processes are also killed, at any time and at each point of a refresh, and started again.
The exit code is 1 unless there were no reuse detections, no failures that a caller saw, no torn records, and at most
one login for each kill.
"""

# ruff: noqa: ASYNC110 - what other processes have done can only be polled

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from ctypes import Array, c_int64
from multiprocessing.context import ForkServerProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Final

import attrs

from benchmarks.reliability.redis_server import redis_server
from benchmarks.reliability.service import Service, Setup, serving
from benchmarks.reliability.showing import show
from benchmarks.reliability.worker import POINTS, Count, Orders, Point, StoreKind, store_of, work
from smappee_async import RedisTokenStore, TokenStoreError

_TICK_S: Final = 0.002
#: The longest wait for a rotation, because the process that made it may have been killed before it counted it.
_ROTATION_S: Final = 0.25
#: How long a process may take to get to the point of the refresh at which it dies; then it is killed where it is.
_PATIENCE_S: Final = 10.0
_START_S: Final = 30.0
_END_S: Final = 30.0


@attrs.frozen(kw_only=True)
class RaceResult:
    """The result of a race."""

    store: StoreKind
    processes: int
    python: str
    seconds: float
    rotations: int
    kills: int
    kills_by_point: dict[str, int]
    calls: int
    cancelled: int
    reuse_detections: int
    logins: int
    logins_without_kills: int
    failures: int
    torn: int

    @property
    def problems(self) -> list[str]:
        """The promises that did not hold, in words."""
        found = []
        if self.reuse_detections:
            found.append(f"{self.reuse_detections} reuse detections")
        if self.failures:
            found.append(f"{self.failures} failures that a caller saw")
        if self.torn:
            found.append(f"{self.torn} torn records")
        if self.logins_without_kills > 1:
            found.append(f"{self.logins_without_kills} logins without a kill")
        if self.logins > self.logins_without_kills + self.kills:
            found.append(f"{self.logins} logins for {self.kills} kills")
        return found


class Crew:
    """Processes on one store, each in a slot that gets a new process when its process was killed."""

    def __init__(self, kind: StoreKind, place: str, base_url: str, processes: int) -> None:
        self._kind = kind
        self._place = place
        self._base_url = base_url
        self._context = multiprocessing.get_context("forkserver")
        # Forked from a process that has imported everything, because a thousand new interpreters would take minutes.
        self._context.set_forkserver_preload(["benchmarks.reliability.worker", "smappee_async.auth.stores.redis"])
        self._counts: Array[c_int64] = RawArray(c_int64, processes * len(Count))
        self._over: Array[c_int64] = RawArray(c_int64, 1)
        self._seed = 0
        self.slots: list[ForkServerProcess | None] = [None] * processes

    def total(self, what: Count) -> int:
        """The sum over all processes, dead ones included."""
        return sum(self._counts[what :: len(Count)])

    async def fill(self, slot: int, point: Point = "never") -> ForkServerProcess:
        """Start a process and wait until it is ready."""
        self._seed += 1
        orders = Orders(self._kind, self._place, self._base_url, slot, self._seed, point)  # pyright: ignore[reportArgumentType] - widened from its Literal
        ready = slot * len(Count) + Count.READY
        before = self._counts[ready]
        process = self._context.Process(target=work, args=(orders, self._counts, self._over), daemon=True)
        process.start()
        self.slots[slot] = process
        async with asyncio.timeout(_START_S):
            while self._counts[ready] == before and process.is_alive():
                await asyncio.sleep(_TICK_S)
        return process

    async def fill_all(self) -> None:
        """Start a process in each empty slot."""
        await asyncio.gather(*(self.fill(number) for number, process in enumerate(self.slots) if process is None))

    async def kill(self, slot: int) -> None:
        """Kill a process if it has not ended; its slot is empty then."""
        process, self.slots[slot] = self.slots[slot], None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.join)
            process.close()

    async def dismiss(self) -> None:
        """Tell every process to end, and wait for it."""
        self._over[0] = 1
        for slot, process in enumerate(self.slots):
            if process is not None:
                await asyncio.to_thread(process.join, _END_S)
                await self.kill(slot)


class Race:
    """The two phases of a race, and the checks of what is stored."""

    def __init__(self, service: Service, crew: Crew, kind: StoreKind, place: str) -> None:
        self._service = service
        self._crew = crew
        self._kind = kind
        self._place = place
        self._chance = random.Random(1)
        self.torn = 0
        self.killed: Counter[str] = Counter()

    async def rotate(self, times: int) -> None:
        """End the token so many times, each time as soon as there is a new one."""
        goal = self._crew.total(Count.RENEWED) + times
        while self._crew.total(Count.RENEWED) < goal:
            await self._rotate_once()

    async def _rotate_once(self) -> None:
        before, waited_from = self._crew.total(Count.RENEWED), time.monotonic()
        await self._service.expire_tokens()
        while self._crew.total(Count.RENEWED) == before and time.monotonic() - waited_from < _ROTATION_S:
            await asyncio.sleep(_TICK_S)

    async def kill(self, times: int) -> None:
        """Kill so many processes, equally often at each point, while tokens end all the time."""
        rotating = asyncio.create_task(self._rotate_on())
        points = iter([POINTS[number % len(POINTS)] for number in range(times)])
        try:
            await asyncio.gather(*(self._die_in(slot, points) for slot in range(len(self._crew.slots))))  # pyright: ignore[reportArgumentType] - the same
        finally:
            rotating.cancel()
            await asyncio.gather(rotating, return_exceptions=True)

    async def _rotate_on(self) -> None:
        while True:
            await self._rotate_once()

    async def _die_in(self, slot: int, points: Iterator[Point]) -> None:
        for point in points:
            await self._crew.kill(slot)
            process = await self._crew.fill(slot, point)
            patience_s = self._chance.random() * 0.1 if point == "any time" else _PATIENCE_S
            over_at = time.monotonic() + patience_s
            while process.is_alive() and time.monotonic() < over_at:
                await asyncio.sleep(_TICK_S)
            self.killed[point if point == "any time" or not process.is_alive() else "never got there"] += 1
            await self._crew.kill(slot)
            await self.look()
        await self._crew.fill(slot)

    async def look(self) -> None:
        """Check that the stored record can be read, and that only its owner can read a file."""
        if self._kind == "file":
            self.torn += not _is_whole(Path(self._place))
            return
        store = store_of(self._kind, self._place)  # pyright: ignore[reportArgumentType] - the same
        assert isinstance(store, RedisTokenStore)
        async with store:
            try:
                await store.load()
            except TokenStoreError:
                self.torn += 1


def _is_whole(path: Path) -> bool:
    if path.with_name(f"{path.name}.corrupt").exists():
        return False
    try:
        data = json.loads(path.read_bytes())
        return data["version"] == 1 and stat.S_IMODE(path.stat().st_mode) == 0o600
    except FileNotFoundError:
        return True  # before the first login; from then on there is always a file
    except (ValueError, KeyError):
        return False


async def run(kind: StoreKind, *, processes: int, rotations: int, kills: int) -> RaceResult:
    """One race."""
    async with _place(kind) as place, serving(Setup(parks=1, sessions_per_year=100)) as service:
        crew = Crew(kind, place, service.base_url, processes)
        race = Race(service, crew, kind, place)
        began_at = time.monotonic()
        try:
            await crew.fill_all()
            await race.rotate(rotations)
            logins = (await service.stats()).password_grants
            await race.kill(kills)
            await crew.fill_all()
            await race.rotate(min(20, rotations))  # no process is locked out
        finally:
            await crew.dismiss()
        await race.look()
        stats = await service.stats()
        return RaceResult(
            store=kind,
            processes=processes,
            python=sys.version.split()[0],
            seconds=time.monotonic() - began_at,
            rotations=stats.refresh_grants,
            kills=race.killed.total(),
            kills_by_point=dict(race.killed),
            calls=crew.total(Count.CALLS),
            cancelled=crew.total(Count.CANCELLED),
            reuse_detections=stats.reuse_detections,
            logins=stats.password_grants,
            logins_without_kills=logins,
            failures=crew.total(Count.FAILED),
            torn=race.torn,
        )


# --- where tokens are kept --------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _place(kind: StoreKind) -> AsyncIterator[str]:
    """The place of the tokens of one race: a file, or the URL of a new Redis server."""
    with tempfile.TemporaryDirectory(prefix="token-race") as directory:
        if kind == "file":
            yield str(Path(directory, "token.json"))
            return
        async with redis_server(Path(directory)) as server:
            yield server.url


# --- what is shown ----------------------------------------------------------------------------------------------------


def lines(result: RaceResult) -> Iterator[str]:
    """The figures of a race, line by line."""
    per_kill = (result.logins - result.logins_without_kills) / result.kills if result.kills else 0.0
    yield (
        f"{result.store} store, {result.processes} processes, Python {result.python}: "
        f"{result.rotations:,} rotations and {result.kills:,} kills in {result.seconds:.0f} s"
    )
    yield f"  calls, of which cancelled     {result.calls:,} done, {result.cancelled:,} cancelled"
    points = ", ".join(f"{count:,} {point}" for point, count in sorted(result.kills_by_point.items()))
    yield f"  killed                        {points or 'none'}"
    yield f"  reuse detections              {result.reuse_detections}"
    yield (
        f"  password logins               {result.logins_without_kills} before the kills, then "
        f"{result.logins - result.logins_without_kills:,}: {per_kill:.2f} per kill"
    )
    yield f"  failures that a caller saw    {result.failures}"
    yield f"  torn records                  {result.torn}"
    yield "  " + ("NOT MET: " + "; ".join(result.problems) if result.problems else "all of it met")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a race, print and save the figures; returns 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.token_race", description=__doc__)
    parser.add_argument("--store", choices=["file", "redis"], default="file")
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--rotations", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rotations and kills")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args(arguments)
    share = 100 if options.quick else 1
    result = asyncio.run(
        run(
            options.store,
            processes=options.processes,
            rotations=options.rotations // share,
            kills=options.kills // share,
        )
    )
    show(lines(result), result, options.json)
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
