"""Compares contenders: each runs once a round, for several rounds, and is compared with the others of the same round.

The machine may be busy with other things. For this reason the CPU time of this process counts, and a contender is
compared only with what ran right before and after it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import attrs

from benchmarks.speed.result import Goal, Row

T = TypeVar("T")


@attrs.frozen
class Cost:
    """What one run took, in seconds.

    :param thread_s: the CPU time of the thread that measured: the one of the event loop, if there is one.
    """

    cpu_s: float
    wall_s: float
    thread_s: float


@attrs.frozen
class Rounds:
    """What each contender took, round by round."""

    costs: Mapping[str, Sequence[Cost]]

    def cpu_s(self, name: str) -> list[float]:
        """CPU seconds of a contender, by round."""
        return [cost.cpu_s for cost in self.costs[name]]

    def ratio(self, row: str, above: str, below: str, goal: Goal | None = None) -> Row:
        """The CPU time of one contender divided by that of another."""
        pairs = zip(self.cpu_s(above), self.cpu_s(below), strict=True)
        return Row.of(row, (a / b for a, b in pairs), goal=goal)

    def wall_ratio(self, row: str, above: str, below: str, goal: Goal | None = None) -> Row:
        """The same as :meth:`ratio`, by wall time."""
        pairs = zip(self.costs[above], self.costs[below], strict=True)
        return Row.of(row, (a.wall_s / b.wall_s for a, b in pairs), goal=goal)

    def thread_ratio(self, row: str, above: str, below: str, goal: Goal | None = None) -> Row:
        """The same as :meth:`ratio`, by the CPU time of the thread of the event loop."""
        pairs = zip(self.costs[above], self.costs[below], strict=True)
        return Row.of(row, (a.thread_s / b.thread_s for a, b in pairs), goal=goal)

    def micros_each(self, row: str, name: str, things: int) -> Row:
        """CPU microseconds of a contender for each of the things that one run handles."""
        return Row.of(row, (cpu_s * 1e6 / things for cpu_s in self.cpu_s(name)), "µs")


def side_by_side(contenders: Mapping[str, Callable[[], object]], *, rounds: int) -> Rounds:
    """Run each contender once a round; one more round comes first and does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in _in_turn(contenders, number):
            gc.collect()
            stopwatch = Stopwatch()
            contender()
            if number:
                costs[name].append(stopwatch.read())
    return Rounds(costs)


async def side_by_side_async(contenders: Mapping[str, Callable[[], Awaitable[object]]], *, rounds: int) -> Rounds:
    """The same as :func:`side_by_side`, in an event loop."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in _in_turn(contenders, number):
            gc.collect()
            stopwatch = Stopwatch()
            await contender()
            if number:
                costs[name].append(stopwatch.read())
    return Rounds(costs)


def _in_turn(contenders: Mapping[str, T], number: int) -> list[tuple[str, T]]:
    """Forwards in one round and backwards in the next, because the speed of the machine may drift."""
    order = list(contenders.items())
    return order if number % 2 else order[::-1]


class Stopwatch:
    """CPU time of this process and this thread, and wall time, since the stopwatch was made."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()
        self._thread_s = time.thread_time()

    def read(self) -> Cost:
        """The times so far."""
        thread_s = time.thread_time() - self._thread_s
        cpu_s = time.process_time() - self._cpu_s
        return Cost(cpu_s, time.perf_counter() - self._wall_s, thread_s)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
