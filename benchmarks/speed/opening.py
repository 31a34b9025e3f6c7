"""Opening a stream over very many parks: for how long the event loop is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from benchmarks.speed import loops
from benchmarks.speed.chunks import first_days
from benchmarks.speed.count import bytecodes
from benchmarks.speed.heartbeat import Heartbeat, beating
from benchmarks.speed.process import in_fresh_process
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import SessionQuery
from smappee_async.query.checkpoint import Progress
from smappee_async.query.plan import Plan
from smappee_async.query.session_query import Order

_MONTH: Final = first_days(31)
_KIND: Final = Kind(sessions=100, days=31)
#: The stream is read for so long, and then closed.
_READ_S: Final = 1.0


def run(scale: Scale) -> list[Row]:
    """The rows of the table. The longest hold is the CPU time of the loop's thread between two beats.

    Where something is kept of each park, as in order and after a deadline, the longest hold is a garbage collection.
    """
    count = scale.of(100_000, quick=1_000)
    repeats = range(scale.of(5, quick=1))

    def row(name: str, goal: Goal | None, work: Callable[..., Heartbeat], *args: object) -> Row:
        held_ms = [max(in_fresh_process(work, base_url, count, *args).held_s) * 1e3 for _ in repeats]
        return Row.of(f"{count:,} parks: {name}: longest hold of the loop", held_ms, "ms", goal)

    with serving(_KIND) as base_url:
        return [
            row("opened, read a little, closed", Goal(at_most=25), _open, "arrival"),
            row('the same with order="start"', None, _open, "start"),
            row("a deadline that ends", None, _end),
        ]


def counts() -> dict[str, float]:
    """What it takes to make a query and its plan, and to get the first chunks."""
    numbers = parks(1, 10_000)
    return {"open: bytecodes a park": bytecodes(lambda: _plan(numbers)) / len(numbers)}


def _plan(numbers: Sequence[int]) -> None:
    ranges = SessionQuery.parks(numbers, _MONTH).ranges
    assert _MONTH.end_ms is not None
    plan = Plan(Progress("completed", None).remaining(ranges), target_sessions=500, now_ms=_MONTH.end_ms)
    for _ in range(16):
        plan.next()


# --- each in a process of its own -------------------------------------------------------------------------------------


def _open(base_url: str, count: int, order: Order) -> Heartbeat:
    async def main() -> Heartbeat:
        numbers = parks(1, count)
        async with loops.connect(base_url) as client:
            await client.sessions(numbers[0], _MONTH).collect()
            with beating() as heartbeat:
                await asyncio.sleep(0.01)
                stream = client.sessions(numbers, _MONTH, order=order)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_READ_S), stream:
                        async for _ in stream:
                            pass
                del stream
                await asyncio.sleep(0.01)
        return heartbeat

    return asyncio.run(main())


def _end(base_url: str, count: int) -> Heartbeat:
    async def main() -> Heartbeat:
        numbers = parks(1, count)
        async with loops.connect(base_url) as client:
            await client.sessions(numbers[0], _MONTH).collect()
            with beating() as heartbeat:
                await asyncio.sleep(0.01)
                deadline = timedelta(seconds=0.05)
                stream = client.sessions(numbers, _MONTH, on_error="collect", deadline=deadline)
                async for _ in stream:
                    pass
                await asyncio.sleep(0.01)
        assert len({failure.service_location_id for failure in stream.failures}) > count // 2
        return heartbeat

    return asyncio.run(main())
