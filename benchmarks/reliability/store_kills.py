"""``python -m benchmarks.reliability.store_kills --to sqlite``: syncs that are killed while they write their copy.

A process brings a copy up to date and is killed with SIGKILL: before each of its statements in turn, which is every
point around its transactions, or at any time. The next process does the same sync without being killed, at the same
time of the simulated world. Then the copy is compared with one that was never interrupted: every session, every event
with its session before and after, and what is remembered of each park. The exit code is 1 unless nothing was lost,
nothing came twice, and what is remembered is the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs

from benchmarks.reliability.copied_world import WorldSource
from smappee_async.simulator import Changes, SimulatedClock, World
from smappee_async.sync import DEFAULT_TIERS, MemoryStore, SqliteStore, SyncStore
from smappee_async.sync.events import SessionEvent
from smappee_async.sync.run import visit_parks

_BEGIN: Final = "2026-01-01T00:00:00Z"
_HISTORY: Final = timedelta(days=90)
_STEP: Final = timedelta(hours=7)
_POINTS_APART: Final = 5
"""The first reading, which is long, is killed before every fifth of its statements."""
_FAR_MS: Final = 4_000_000_000_000
_EVENTS_AT_ONCE: Final = 1000
_RANDOM_SHARE: Final = 3
"""One kill in so many is at any time, the others are before a statement."""


@attrs.define
class Account:
    """What was done, and what differs."""

    kills: int = 0
    survived: int = 0
    """Syncs that ended before they were to be killed."""
    points: Counter[int] = attrs.field(factory=Counter)
    sessions: int = 0
    events: int = 0
    lost: int = 0
    twice: int = 0
    state: int = 0
    seconds: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        return not (self.lost or self.twice or self.state)

    def __str__(self) -> str:
        return (
            f"kills {self.kills}, of them before {len(self.points)} different statements, ended before {self.survived};"
            f" sessions {self.sessions}, events {self.events}: lost {self.lost}, twice {self.twice}, "
            f"states that differ {self.state}; {self.seconds:.0f} s"
        )


class Killer:
    """Ends this process before the statement with a number."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, *_: object) -> None:
        """Called before each statement."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _KilledSqlite(SqliteStore):
    def __init__(self, path: Path, killer: Killer) -> None:
        super().__init__(path)
        self._killer = killer

    def _open(self) -> None:
        super()._open()
        self._opened().set_trace_callback(self._killer)


def killed_sqlite(path: Path) -> Callable[[Killer], SyncStore]:
    """Makes stores in a file: each statement is a point."""
    return lambda killer: _KilledSqlite(path, killer)


def killed_postgresql(url: str) -> Callable[[Killer], SyncStore]:
    """Makes stores in PostgreSQL: each exchange with the server is a point."""
    from psycopg import AsyncConnection  # noqa: PLC0415 - only where it is asked for

    from smappee_async.sync.stores.postgresql import PostgresqlStore  # noqa: PLC0415

    wait = AsyncConnection.wait

    def make(killer: Killer) -> SyncStore:
        async def killed(connection, *given, **named):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202
            killer()
            return await wait(connection, *given, **named)

        AsyncConnection.wait = killed  # type: ignore[assignment, method-assign]
        return PostgresqlStore(url)

    return make


class Kills:
    """One run.

    :param make: makes the store that is judged; it calls what it is given before each statement.
    """

    def __init__(self, make: Callable[[Killer], SyncStore], *, seed: int, parks: int, sessions: int) -> None:
        world = World.demo(seed=seed, parks=parks, sessions_per_year=sessions, changes=Changes.mixture())
        self._source = WorldSource(world, SimulatedClock.at(_BEGIN))
        self._since_ms = self._source.clock.now_ms - _HISTORY // timedelta(milliseconds=1)
        self._parks = list(world.parks)
        self._make = make
        self._reference = MemoryStore()
        self._chance = random.Random(seed)
        self._account = Account()
        self._next_point = 1
        self._longest_s = 0.05

    def run(self, kills: int) -> Account:
        """Kill syncs, and judge the copy at the end."""
        started = time.perf_counter()
        asyncio.run(self._reference.position("judge"))
        self._kill_the_first_reading(kills // 2)
        while self._account.kills < kills:
            self._source.clock.move(_STEP)
            asyncio.run(self._sync(self._reference))
            if self._account.kills % _RANDOM_SHARE == 0:
                self._kill_at_any_time()
            else:
                self._kill_before_a_statement()
            begun = time.perf_counter()
            self._sync_in_a_process()
            self._longest_s = max(self._longest_s, 1.2 * (time.perf_counter() - begun))
        asyncio.run(self._judge())
        self._account.seconds = time.perf_counter() - started
        return self._account

    def _kill_the_first_reading(self, most: int) -> None:
        """Kill it again and again, a little later each time; it goes on where it was."""
        asyncio.run(self._sync(self._reference))
        for number in range(most):
            point = 1 + number * _POINTS_APART
            if not self._sync_in_a_process(point):
                break
            self._account.kills += 1
            self._account.points[point] += 1
        self._sync_in_a_process()

    def _kill_before_a_statement(self) -> None:
        point = self._next_point
        if self._sync_in_a_process(point):
            self._account.kills += 1
            self._account.points[point] += 1
            self._next_point += 1
        else:  # it has fewer statements: begin again with the first
            self._account.survived += 1
            self._next_point = 1

    def _kill_at_any_time(self) -> None:
        if self._sync_in_a_process(kill_after_s=self._chance.uniform(0.0, self._longest_s)):
            self._account.kills += 1
        else:
            self._account.survived += 1
            self._kill_before_a_statement()

    def _sync_in_a_process(self, point: int = 0, *, kill_after_s: float | None = None) -> bool:
        """Bring the copy up to date, and die before a statement or after a time; returns whether it was killed."""
        return _in_a_process(lambda: asyncio.run(self._sync_into_copy(point)), kill_after_s)

    async def _sync_into_copy(self, point: int) -> None:
        async with self._make(Killer(point)) as store:
            await self._sync(store)

    async def _sync(self, store: SyncStore) -> None:
        report = await visit_parks(
            self._source, store, self._parks, since_ms=self._since_ms, tiers=DEFAULT_TIERS, rfid="keep"
        )
        assert not report.failures
        assert not report.superseded

    # --- the verdict --------------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        async with self._make(Killer(0)) as store:
            for park in self._parks:
                await self._judge_park(park, store)

    async def _judge_park(self, park: int, store: SyncStore) -> None:
        account = self._account
        rows, right_rows = [await each.known(park, 0, _FAR_MS, []) for each in (store, self._reference)]
        account.sessions += len(right_rows)
        account.lost += sum(rows.get(number) != known for number, known in right_rows.items())
        account.twice += len(rows.keys() - right_rows.keys())
        events, right_events = [await _events(each, park) for each in (store, self._reference)]
        account.events += right_events.total()
        account.lost += (right_events - events).total()
        account.twice += (events - right_events).total()
        states = [(await each.load(park)).state for each in (store, self._reference)]
        account.state += states[0] != states[1]


async def _events(store: SyncStore, park: int) -> Counter[SessionEvent]:
    """The events of a park without their numbers, which depend on which park was written first."""
    found: Counter[SessionEvent] = Counter()
    after = 0
    while some := await store.events(after, limit=_EVENTS_AT_ONCE, service_location_id=park):
        found.update(attrs.evolve(event, number=0) for event in some)
        after = some[-1].number
    return found


def _in_a_process(work: Callable[[], None], kill_after_s: float | None) -> bool:
    """Do something in a process of its own; returns whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError("a sync failed; its error is above")
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, and print the account."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.store_kills", description=__doc__)
    parser.add_argument("--to", default="sqlite", help="sqlite, or the URL of an empty PostgreSQL database")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--parks", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions in a year, all parks together")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        make = killed_sqlite(Path(place) / "copy.db") if given.to == "sqlite" else killed_postgresql(given.to)
        kills = Kills(make, seed=given.seed, parks=given.parks, sessions=given.sessions)
        account = kills.run(given.kills)
    print(f"{given.to.partition(':')[0]}: {account}: {'all of it met' if account.is_exact else 'NOT MET'}")
    return 0 if account.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
