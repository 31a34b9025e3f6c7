"""How many sessions start when in invented parks: evenly, or by hour, weekday and chance."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Protocol

from benchmarks.speed.world import BEGIN_MS, DAY_MS

_HOUR_MS: Final = DAY_MS // 24
_WEEK_HOURS: Final = 7 * 24
#: Share of a day's sessions by hour: few at night, most in the morning and at the end of work.
_HOURS: Final = (1, 1, 1, 1, 1, 2, 5, 8, 9, 7, 6, 6, 6, 6, 6, 6, 7, 8, 7, 5, 4, 3, 2, 1)
#: Share of a week's sessions by day, Monday first.
_WORKDAYS: Final = (5, 5, 5, 5, 4, 2, 1)


class Demand(Protocol):
    """The sessions of one park."""

    def count(self, start_ms: int, end_ms: int) -> int:
        """How many start in a half-open range."""
        ...


class Even:
    """So many sessions a day, all the same time apart.

    :param phase: where in the first step the first session starts, from 0 to 1.
    """

    def __init__(self, per_day: float, phase: float = 0.0) -> None:
        self._step_ms = DAY_MS / per_day
        self._first_ms = BEGIN_MS + phase * self._step_ms

    def count(self, start_ms: int, end_ms: int) -> int:
        """How many start in a half-open range."""
        return self._before(end_ms) - self._before(start_ms)

    def _before(self, instant_ms: int) -> int:
        return max(0, math.ceil((instant_ms - self._first_ms) / self._step_ms))


class Lively:
    """So many sessions a day on average: more by day than at night, fewer at weekends, and each hour by chance.

    :param shift_hours: where in the drawn years it begins, so that parks that share them differ.
    """

    def __init__(self, drawn: Sequence[int], shift_hours: int = 0) -> None:
        self._before_hour = drawn
        self._shift_ms = shift_hours * _HOUR_MS - BEGIN_MS

    def count(self, start_ms: int, end_ms: int) -> int:
        """How many start in a half-open range."""
        return self._before(end_ms) - self._before(start_ms)

    def _before(self, instant_ms: int) -> int:
        hour, rest_ms = divmod(instant_ms + self._shift_ms, _HOUR_MS)
        before, after = self._before_hour[hour], self._before_hour[hour + 1]
        return before + (after - before) * rest_ms // _HOUR_MS


class During:
    """Another demand, but only while the park is open.

    :param open_ms: half-open ranges.
    """

    def __init__(self, demand: Demand, *open_ms: tuple[int, int]) -> None:
        self._demand = demand
        self._open_ms = open_ms

    def count(self, start_ms: int, end_ms: int) -> int:
        """How many start in a half-open range."""
        overlaps = ((max(start_ms, first), min(end_ms, last)) for first, last in self._open_ms)
        return sum(self._demand.count(first, last) for first, last in overlaps if first < last)


def draw(per_day: float, days: int, seed: int) -> list[int]:
    """How many sessions start before each hour, by chance; the same seed gives the same numbers."""
    chance = random.Random(seed)
    weights = [hour * day for day in _WORKDAYS for hour in _HOURS]
    scale = per_day * 7 / sum(weights)
    hours = (_poisson(chance, scale * weights[number % _WEEK_HOURS]) for number in range(days * 24))
    return list(accumulate(hours, initial=0))


def _poisson(chance: random.Random, mean: float) -> int:
    if mean > 50:  # as good as normal
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    # Knuth's: how many draws until their product falls below e^-mean.
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
