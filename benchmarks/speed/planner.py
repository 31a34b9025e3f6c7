"""How many requests the planner needs: for a mixture of parks, and for more and more parks and sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final

import attrs

from benchmarks.speed.chunks import first_days
from benchmarks.speed.count import bytecodes, peak_traced
from benchmarks.speed.demand import Demand, During, Even, Lively, draw
from benchmarks.speed.process import forget_peak, in_fresh_process, peak_bytes, resident_bytes
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.simulation import RequestCount, adaptive, fixed, least_requests, longest_step
from smappee_async import TimeRange
from smappee_async.defaults import TARGET_SESSIONS, VERIFY_FROM_SESSIONS
from smappee_async.query.plan import Plan
from smappee_async.query.seen import Seen
from smappee_async.query.target import Target
from smappee_async.query.truncation import TruncationCheck

_DAYS: Final = 5 * 365 + 1
_FIVE_YEARS: Final = first_days(_DAYS)
_MONTH: Final = timedelta(days=365.25 / 12)
_WEEK: Final = timedelta(weeks=1)
_MIB: Final = 2**20


@attrs.frozen
class _Site:
    """Parks of one sort.

    :param per_day: the sessions of each on an average day.
    """

    name: str
    per_day: int
    parks: range


_HOME: Final = _Site("home", 1, range(90))
_OFFICE: Final = _Site("office", 30, range(90, 99))
_HUB: Final = _Site("hub", 5_000, range(99, 100))
_MIXTURE: Final = (_HOME, _OFFICE, _HUB)


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    rows = [*_mixture_rows("even", _even()), *_mixture_rows("by chance", _by_chance()), *_partly_open_rows()]
    rows += _hub_month_rows() + _wrongly_seen_rows()
    for parks in (10, 100, 1_000, 10_000, 100_000)[: scale.of(5, quick=2)]:
        rows += in_fresh_process(_growth_rows, parks)
    return rows


def counts() -> dict[str, float]:
    """The requests of the planner, and their cost in bytecode instructions and in memory."""
    even, by_chance = _even(), _by_chance()
    homes = {park: even[park] for park in _HOME.parks}
    plan_homes = partial(adaptive, homes, _FIVE_YEARS, TARGET_SESSIONS)
    return {
        "requests, mixture, even": adaptive(even, _FIVE_YEARS, TARGET_SESSIONS).requests,
        "requests, mixture, by chance": adaptive(by_chance, _FIVE_YEARS, TARGET_SESSIONS).requests,
        "requests, mixture, by chance, seen before": _seen_before(by_chance).requests,
        "requests, month of a hub, seen before": sum(each.requests for each in _hub_months()),
        "requests, parks that opened in between": sum(each.requests for each in _opened_later().values()),
        "requests to verify, mixture, even": _verified(even).verified,
        "requests to verify, mixture, by chance": _verified(by_chance).verified,
        "bytecodes a request, homes": bytecodes(plan_homes) / plan_homes().requests,
        "bytes a park, at the peak": peak_traced(partial(_plan, 1_000)) / 1_000,
    }


# --- the mixture ------------------------------------------------------------------------------------------------------


def _even() -> dict[int, Demand]:
    return {park: Even(site.per_day, phase=park / 100) for site in _MIXTURE for park in site.parks}


def _by_chance() -> dict[int, Demand]:
    demands: dict[int, Demand] = {}
    for site in _MIXTURE:
        # Drawn once for a sort; each of its parks begins some days later than the one before.
        drawn = draw(site.per_day, _DAYS + len(site.parks) + 1, seed=site.per_day)
        demands |= {park: Lively(drawn, shift_hours=24 * number) for number, park in enumerate(site.parks)}
    return demands


def _verified(demands: Mapping[int, Demand]) -> RequestCount:
    """With the requests that verify responses."""
    return adaptive(demands, _FIVE_YEARS, TARGET_SESSIONS, truncation=TruncationCheck(VERIFY_FROM_SESSIONS))


def _seen(demand: Demand, *, times: float = 1) -> Seen:
    """What the five years hold of a park, or so many times as much."""
    assert _FIVE_YEARS.end_ms is not None
    return Seen(round(times * demand.count(_FIVE_YEARS.start_ms, _FIVE_YEARS.end_ms)), timedelta(days=_DAYS))


def _seen_before(demands: Mapping[int, Demand]) -> RequestCount:
    """With what was seen of each park before."""
    return adaptive(demands, _FIVE_YEARS, TARGET_SESSIONS, seen={park: _seen(each) for park, each in demands.items()})


def growth_by_verification() -> dict[str, float]:
    """Of each mixture: the requests with verification ÷ those without."""
    mixtures = {"even": _even(), "by chance": _by_chance()}
    return {
        title: _verified(demands).requests / adaptive(demands, _FIVE_YEARS, TARGET_SESSIONS).requests
        for title, demands in mixtures.items()
    }


def _mixture_rows(title: str, demands: Mapping[int, Demand]) -> list[Row]:
    ours, seen_before = adaptive(demands, _FIVE_YEARS, TARGET_SESSIONS), _seen_before(demands)
    least = least_requests(demands, _FIVE_YEARS, TARGET_SESSIONS)
    step = longest_step(demands[_HUB.parks[0]], _FIVE_YEARS, 2 * TARGET_SESSIONS)
    months, weeks, bounded = (fixed(demands, _FIVE_YEARS, each) for each in (_MONTH, _WEEK, step))
    return [
        Row(f"mixture, {title}: requests", ours.requests, "requests"),
        Row(
            f"mixture, {title}: requests with verification ÷ without",
            _verified(demands).requests / ours.requests,
            goal=Goal(at_most=1.03),
        ),
        Row(f"mixture, {title}: requests ÷ least possible", ours.requests / least, goal=Goal(at_most=1.25)),
        Row(
            f"mixture, {title}: most for a home charger",
            max(ours.by_park[park] for park in _HOME.parks),
            "requests",
            goal=Goal(at_most=4),
        ),
        Row(f"mixture, {title}: largest response ÷ target", ours.largest / TARGET_SESSIONS, goal=Goal(at_most=2)),
        # Nine of ten requests are the hub's, and no fewer are possible: for the sum of many parks see the growth.
        Row(f"mixture, {title}: requests with what was seen before ÷ without", seen_before.requests / ours.requests),
        Row(
            f"mixture, {title}: the same, without the hub",
            _without_hub(seen_before) / _without_hub(ours),
            goal=Goal(at_most=0.7),
        ),
        Row(
            f"mixture, {title}: largest response with what was seen before ÷ target",
            seen_before.largest / TARGET_SESSIONS,
            goal=Goal(at_most=2),
        ),
        Row(f"mixture, {title}: requests of fixed months ÷ ours", months.requests / ours.requests),
        Row(f"mixture, {title}: largest response of fixed months ÷ target", months.largest / TARGET_SESSIONS),
        Row(f"mixture, {title}: requests of fixed weeks ÷ ours", weeks.requests / ours.requests),
        Row(f"mixture, {title}: largest response of fixed weeks ÷ target", weeks.largest / TARGET_SESSIONS),
        Row(
            f"mixture, {title}: requests of {step / timedelta(hours=1):g} h steps, as bounded, ÷ ours",
            bounded.requests / ours.requests,
        ),
        Row(
            f"mixture, {title}: wall ÷ fixed months, 20 ms a response",
            ours.wall_s / months.wall_s,
            goal=Goal(at_most=1),
        ),
    ]


def _without_hub(found: RequestCount) -> int:
    return sum(requests for park, requests in found.by_park.items() if park not in _HUB.parks)


# --- what was seen before ---------------------------------------------------------------------------------------------


def _from_day(day: int, days: int) -> TimeRange:
    start_ms = _FIVE_YEARS.start_ms + day * 86_400_000
    return TimeRange.from_ms(start_ms, start_ms + days * 86_400_000)


def _hub_months() -> list[RequestCount]:
    """A month of a hub that was seen before, from each of 70 days on."""
    hub = _by_chance()[_HUB.parks[0]]
    return [adaptive({0: hub}, _from_day(day, 31), TARGET_SESSIONS, seen={0: _seen(hub)}) for day in range(70)]


def _hub_month_rows() -> list[Row]:
    hub = {0: _by_chance()[_HUB.parks[0]]}
    months = _hub_months()
    least = sum(least_requests(hub, _from_day(day, 31), TARGET_SESSIONS) for day in range(70))
    return [
        Row(
            "month of a hub, seen before: largest response ÷ target",
            max(month.largest for month in months) / TARGET_SESSIONS,
            goal=Goal(at_most=2),
        ),
        Row("month of a hub, seen before: requests ÷ least possible", sum(each.requests for each in months) / least),
        Row(
            "month of a hub, never seen: largest response ÷ target",
            adaptive(hub, _from_day(0, 31), TARGET_SESSIONS).largest / TARGET_SESSIONS,
        ),
    ]


def _wrongly_seen_rows() -> list[Row]:
    """What it costs that a park has changed since it was seen."""
    rows: list[Row] = []
    for days, length in ((31, "month"), (_DAYS, "five years")):
        asked = _from_day(0, days)
        for title, times, is_open in (("a tenth", 0.1, True), ("ten times", 10, True), ("now closed", 1, False)):
            more, largest = 0, 0
            for per_day in _PER_DAY:
                before = Lively(draw(per_day, _DAYS + 2, seed=per_day))
                demand = {0: before if is_open else During(before)}
                wrong = adaptive(demand, asked, TARGET_SESSIONS, seen={0: _seen(before, times=times)})
                right = adaptive(demand, asked, TARGET_SESSIONS, seen={0: _seen(demand[0])})
                more, largest = max(more, wrong.requests - right.requests), max(largest, wrong.largest)
            name = f"{length}, seen as {title}" if is_open else f"{length}, {title}"
            rows += [
                Row(f"{name}: requests more than if right, at most", more, "requests", goal=Goal(at_most=15)),
                Row(f"{name}: largest response ÷ target", largest / TARGET_SESSIONS, goal=Goal(at_most=11)),
            ]
    return rows


# --- parks that are not always open -----------------------------------------------------------------------------------

_PER_DAY: Final = (1, 30, 500, 5_000)
_OPENED_AFTER: Final = (0.1, 0.5, 0.9, 0.99)


@attrs.frozen
class _Alone:
    """One park, read alone.

    :ivar spare: requests beyond 1.25 times the fewest that are possible.
    """

    requests: int
    largest: float
    spare: float


def _alone(per_day: int, *open_from: tuple[float, float]) -> _Alone:
    """A park that is open in these shares of the five years."""
    assert _FIVE_YEARS.end_ms is not None
    length_ms = _FIVE_YEARS.end_ms - _FIVE_YEARS.start_ms
    begin_ms = _FIVE_YEARS.start_ms
    open_ms = [(begin_ms + int(first * length_ms), begin_ms + int(last * length_ms)) for first, last in open_from]
    demand = During(Lively(draw(per_day, _DAYS + 2, seed=per_day)), *open_ms)
    found = adaptive({0: demand}, _FIVE_YEARS, TARGET_SESSIONS)
    least = least_requests({0: demand}, _FIVE_YEARS, TARGET_SESSIONS)
    return _Alone(found.requests, found.largest / TARGET_SESSIONS, found.requests - 1.25 * least)


def _opened_later() -> dict[tuple[int, float], _Alone]:
    return {(per_day, share): _alone(per_day, (share, 1.0)) for per_day in _PER_DAY for share in _OPENED_AFTER}


def _partly_open_rows() -> list[Row]:
    opened = _opened_later()
    closed = [_alone(per_day, (0.0, 0.5)) for per_day in _PER_DAY]
    summers = [(year / 5 + 0.1, year / 5 + 0.13) for year in range(5)]
    seasonal = [_alone(per_day, *summers) for per_day in _PER_DAY]
    rows: list[Row] = []
    for share in _OPENED_AFTER:
        found = [each for (_, opened_after), each in opened.items() if opened_after == share]
        rows += _alone_rows(f"opened after {share:.0%} of five years", found, judged=True)
    rows += _alone_rows("closed after half of five years", closed, judged=True)
    # Next to nothing shows where the seasons are: what is too large for a response is split when it comes.
    return rows + _alone_rows("open for three weeks each summer", seasonal, judged=False)


def _alone_rows(title: str, found: list[_Alone], *, judged: bool) -> list[Row]:
    return [
        Row(
            f"{title}: largest response ÷ target",
            max(each.largest for each in found),
            goal=Goal(at_most=2) if judged else None,
        ),
        Row(
            f"{title}: requests beyond 1.25 x the least",
            max(each.spare for each in found),
            "requests",
            goal=Goal(at_most=4) if judged else None,
        ),
    ]


# --- growth -----------------------------------------------------------------------------------------------------------


def _growth_rows(parks: int) -> list[Row]:
    """A tenth are offices, one in 3,200 is a hub, the rest are homes: 100,000 of them have a billion sessions."""
    hubs, offices = max(1, parks // 3_200), parks // 10
    demands: dict[int, Demand] = {}
    for park in range(parks):
        per_day = _HUB.per_day if park < hubs else _OFFICE.per_day if park < hubs + offices else _HOME.per_day
        demands[park] = Even(per_day, phase=park / parks)
    assert _FIVE_YEARS.end_ms is not None
    sessions = sum(demand.count(_FIVE_YEARS.start_ms, _FIVE_YEARS.end_ms) for demand in demands.values())
    least = least_requests(demands, _FIVE_YEARS, TARGET_SESSIONS)
    forget_peak()
    before, began_at = resident_bytes(), time.process_time()
    ours = adaptive(demands, _FIVE_YEARS, TARGET_SESSIONS)
    cpu_s, memory = time.process_time() - began_at, peak_bytes() - before
    seen_before = _seen_before(demands)
    title = f"{parks:,} parks, {sessions / 1e6:,.0f} million sessions"
    return [
        Row(f"{title}: requests", ours.requests, "requests"),
        Row(f"{title}: requests ÷ least possible", ours.requests / least),
        Row(
            f"{title}: requests with what was seen before ÷ without",
            seen_before.requests / ours.requests,
            # Of fewer parks one is a hub nevertheless, which takes most of the requests.
            goal=Goal(at_most=0.7) if parks >= 10_000 else None,
        ),
        Row(f"{title}: wall, 20 ms a response", ours.wall_s, "s"),
        Row(f"{title}: CPU of planning", cpu_s, "s"),
        Row(f"{title}: memory of planning", memory / _MIB, "MiB"),
    ]


def _plan(parks: int) -> Plan:
    assert _FIVE_YEARS.end_ms is not None
    ranges = {Target(park): [_FIVE_YEARS] for park in range(parks)}
    return Plan(ranges, target_sessions=TARGET_SESSIONS, now_ms=_FIVE_YEARS.end_ms)
