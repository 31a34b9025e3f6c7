"""Invented parks of several sorts, of which some opened in the middle: 100,000 of them have a billion sessions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from benchmarks.speed.chunks import first_days
from benchmarks.speed.demand import Demand, During, Lively, draw
from smappee_async import Seen

DAYS: Final = 5 * 365 + 1
FIVE_YEARS: Final = first_days(DAYS)
_YEAR_DAYS: Final = 365
_SEED: Final = 20_260_101
#: Sessions a day, and how many parks in 100,000 have so many. All others are homes with one.
_BUSIER: Final = {5_000: 15, 1_000: 42, 300: 240, 30: 11_880}
_HOME: Final = 1
#: The share of parks that opened at some time within the five years; the others were open before.
_OPENED_LATER: Final = 0.3
#: Each sort is drawn so often, and each of its parks begins some weeks later in what was drawn.
_DRAWS: Final = 4
_WEEKS: Final = 52
#: Of hints that are a year old, this share is wrong: one half by ten times too many, the other by ten times too few.
_WRONG: Final = 0.05
_WRONG_BY: Final = 10


@attrs.frozen
class Mixture:
    """The parks.

    :ivar demands: the sessions of each, by its id.
    :ivar per_day: how many each has on an average day on which it is open.
    :ivar sessions: how many each has in the five years.
    """

    demands: Mapping[int, Demand]
    per_day: Mapping[int, int]
    sessions: Mapping[int, int]

    @classmethod
    def of(cls, parks: int) -> Mixture:
        """So many parks; the ids say nothing of the sorts, as in real life."""
        chance = random.Random(_SEED)
        numbers = list(range(1, parks + 1))
        chance.shuffle(numbers)
        counts = {per_day: max(1, round(parks * count / 100_000)) for per_day, count in _BUSIER.items()}
        counts[_HOME] = parks - sum(counts.values())
        sorts = [per_day for per_day, count in counts.items() for _ in range(count)]
        drawn = {per_day: [draw(per_day, DAYS + 7 * _WEEKS, seed) for seed in range(_DRAWS)] for per_day in counts}
        begin_ms, end_ms = FIVE_YEARS.start_ms, _end_ms()
        demands: dict[int, Demand] = {}
        for park, per_day in zip(numbers, sorts, strict=True):
            demand: Demand = Lively(chance.choice(drawn[per_day]), shift_hours=7 * 24 * chance.randrange(_WEEKS))
            if chance.random() < _OPENED_LATER:
                demand = During(demand, (chance.randrange(begin_ms, end_ms), end_ms))
            demands[park] = demand
        return cls(
            demands=dict(sorted(demands.items())),
            per_day=dict(zip(numbers, sorts, strict=True)),
            sessions={park: demand.count(begin_ms, end_ms) for park, demand in demands.items()},
        )

    @property
    def sorts(self) -> dict[int, int]:
        """How many parks have so many sessions a day."""
        return dict(sorted(Counter(self.per_day.values()).items()))

    @property
    def opened_later(self) -> int:
        """How many opened within the five years."""
        return sum(isinstance(demand, During) for demand in self.demands.values())

    def seen(self) -> dict[int, Seen]:
        """What a run that has read all of it knows of each park."""
        return {park: Seen(sessions, timedelta(days=DAYS)) for park, sessions in self.sessions.items()}

    def seen_a_year_ago(self) -> dict[int, Seen]:
        """What a run knows that ended a year earlier: nothing of parks that opened since, and wrong of some others."""
        chance = random.Random(_SEED)
        days = DAYS - _YEAR_DAYS
        until_ms = _end_ms() - _YEAR_DAYS * timedelta(days=1) // timedelta(milliseconds=1)
        known: dict[int, Seen] = {}
        for park, demand in self.demands.items():
            sessions = demand.count(FIVE_YEARS.start_ms, until_ms)
            if chance.random() < _WRONG:
                sessions = sessions * _WRONG_BY if chance.random() < 0.5 else sessions // _WRONG_BY
            if sessions:
                known[park] = Seen(sessions, timedelta(days=days))
        return known


def _end_ms() -> int:
    assert FIVE_YEARS.end_ms is not None
    return FIVE_YEARS.end_ms
