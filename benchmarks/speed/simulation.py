"""Runs the planner without a network, in virtual time: a few workers, and a service with a fixed response time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from benchmarks.speed.demand import Demand
from smappee_async import TimeRange
from smappee_async.defaults import MAX_BODY_BYTES
from smappee_async.query.plan import Chunk, Plan
from smappee_async.query.seen import Seen
from smappee_async.query.target import Target
from smappee_async.query.truncation import ResponseSize, TruncationCheck

WORKERS: Final = 8
RESPONSE_S: Final = 0.02
_RECORD_BYTES: Final = 300
_QUARTER: Final = timedelta(minutes=15)


@attrs.define
class RequestCount:
    """The requests of one plan.

    :param requests: how many, all parks together.
    :param largest: sessions in the largest response.
    :param wall_s: how long they took, in seconds of virtual time.
    :param by_park: how many requests each park needed.
    :param verified: how many of all requests verified that a response was whole.
    :param received: sessions in all responses, those included that came again because a response was verified or too
        large.
    """

    requests: int = 0
    largest: int = 0
    wall_s: float = 0.0
    by_park: dict[int, int] = attrs.field(factory=dict)
    verified: int = 0
    received: int = 0


def adaptive(
    demands: Mapping[int, Demand],
    time_range: TimeRange,
    target_sessions: int,
    *,
    seen: Mapping[int, Seen] | None = None,
    truncation: TruncationCheck | None = None,
    record_bytes: int = _RECORD_BYTES,
) -> RequestCount:
    """As the client does it: the planner chooses the next chunk, and learns how many sessions came.

    :param seen: what it is told of each park before.
    :param truncation: what the client knows of silent limits: what is in doubt takes two requests more. ``None`` trusts
        all.
    :param record_bytes: the size of a session in a response.
    """
    assert time_range.end_ms is not None
    ranges = {Target(park): [time_range] for park in demands}
    before = {Target(park): known for park, known in (seen or {}).items()}
    plan = Plan(ranges, target_sessions=target_sessions, now_ms=time_range.end_ms, seen_of=before.get)
    found = RequestCount(by_park=dict.fromkeys(demands, 0))
    under_way: list[tuple[float, int, Chunk]] = []
    now_s = 0.0
    while True:
        while len(under_way) < WORKERS and (chunk := plan.next()) is not None:
            found.requests += 1
            heapq.heappush(under_way, (now_s + RESPONSE_S, found.requests, chunk))
        if not under_way:
            break
        now_s, _, chunk = heapq.heappop(under_way)
        park, end_ms = chunk.target.service_location_id, chunk.time_range.end_ms
        assert park is not None
        assert end_ms is not None
        sessions = demands[park].count(chunk.time_range.start_ms, end_ms)
        found.by_park[park] += 1
        found.largest = max(found.largest, sessions)
        found.received += sessions
        if sessions * record_bytes > MAX_BODY_BYTES and plan.split(chunk):
            continue
        if truncation is not None:
            extra = _verify(truncation, chunk, ResponseSize(sessions, sessions * record_bytes))
            found.verified += extra
            found.requests += extra
            found.received += sessions if extra else 0
        plan.mark_read(chunk, sessions=sessions, elapsed_s=RESPONSE_S)
        plan.give_back(chunk)
    assert plan.is_done
    found.wall_s = now_s
    return found


def _verify(truncation: TruncationCheck, chunk: Chunk, size: ResponseSize) -> int:
    """How many requests more a response takes. The service stops nowhere, so what is verified is whole."""
    target, asked = chunk.target, chunk.time_range
    if truncation.judge(target, asked, size) == "whole":
        truncation.believe(target, asked, size)
        return 0
    truncation.begin(target)
    truncation.learn_whole(target, asked, size)
    return 2


def fixed(demands: Mapping[int, Demand], time_range: TimeRange, step: timedelta) -> RequestCount:
    """The range split into equal steps, the same for every park."""
    edges = [each.start_ms for each in time_range.split(step)]
    assert time_range.end_ms is not None
    requests = len(edges) * len(demands)
    ends = [*edges[1:], time_range.end_ms]
    largest = max(demand.count(*bounds) for demand in demands.values() for bounds in zip(edges, ends, strict=True))
    return RequestCount(
        requests=requests,
        largest=largest,
        wall_s=math.ceil(requests / WORKERS) * RESPONSE_S,
        by_park=dict.fromkeys(demands, len(edges)),
    )


def least_requests(demands: Mapping[int, Demand], time_range: TimeRange, target_sessions: int) -> int:
    """The fewest requests that are possible with responses of the target size."""
    assert time_range.end_ms is not None
    sessions = (demand.count(time_range.start_ms, time_range.end_ms) for demand in demands.values())
    return sum(max(1, math.ceil(count / target_sessions)) for count in sessions)


def longest_step(demand: Demand, time_range: TimeRange, at_most: int) -> timedelta:
    """About the longest step, in quarters of an hour, that never brings more than so many sessions."""
    fits, too_long = 1, 4 * 24 * 31
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if fixed({0: demand}, time_range, middle * _QUARTER).largest <= at_most:
            fits = middle
        else:
            too_long = middle
    return fits * _QUARTER
