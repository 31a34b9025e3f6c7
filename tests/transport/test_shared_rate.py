"""A shared rate, in virtual time: several limiters, as of several processes, on one Redis."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Sequence
from typing import Any

import pytest
from redis import exceptions

from smappee_async import ConfigurationError, DeadlineExceeded, RateLimiterError, RedisRateLimiter
from smappee_async.defaults import SLOTS_AHEAD
from smappee_async.testing import VirtualTimeLoop
from smappee_async.transport.call import within
from smappee_async.transport.gate import Gate
from tests.rate_twin import TwinRedis

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
def redis() -> TwinRedis:
    return TwinRedis()


def limiter(redis: TwinRedis, rate: float = 100, **settings: Any) -> RedisRateLimiter:
    client: Any = redis
    return RedisRateLimiter(client, "account", rate=rate, **settings)


def now() -> float:
    return asyncio.get_running_loop().time()


class Sent:
    """What was sent, and when."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def once(self, limiter: RedisRateLimiter) -> None:
        await limiter.acquire()
        self.at.append(now())

    async def on_and_on(self, limiter: RedisRateLimiter, until: float) -> None:
        while now() < until:
            await self.once(limiter)

    def most_in_a_second(self) -> int:
        at = sorted(self.at)
        return max(bisect.bisect_left(at, begin + 1 - 1e-5) - number for number, begin in enumerate(at))

    def between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.at)


async def all_want(sent: Sent, limiters: Sequence[RedisRateLimiter], until: float, tasks: int = 8) -> None:
    await asyncio.gather(*(sent.on_and_on(each, until) for each in limiters for _ in range(tasks)))


@pytest.mark.parametrize("answers_after_s", [0.0, 0.0002, 0.02])
@pytest.mark.parametrize("rate", [1, 2.5, 20, 100])
async def test_all_processes_together_keep_to_the_rate_and_use_it(
    redis: TwinRedis, rate: float, answers_after_s: float
) -> None:
    """R48."""
    redis.answers_after_s = answers_after_s
    sent = Sent()
    await all_want(sent, [limiter(redis, rate) for _ in range(4)], until=20)
    assert sent.most_in_a_second() <= rate + 1
    assert sent.between(0, 20) >= rate * 20 * 0.98 - 1


async def test_a_permit_is_one_call_to_redis(redis: TwinRedis) -> None:
    sent = Sent()
    await all_want(sent, [limiter(redis) for _ in range(4)], until=10)
    assert redis.scripts == len(sent.at)


async def test_one_process_whose_redis_is_far_gets_the_whole_rate(redis: TwinRedis) -> None:
    redis.answers_after_s = 0.03
    sent = Sent()
    await all_want(sent, [limiter(redis)], until=10)
    assert len(sent.at) >= 980


async def test_a_429_pauses_every_process_for_as_long_as_it_asks(redis: TwinRedis) -> None:
    first, *others = [limiter(redis, 10) for _ in range(4)]
    sent = Sent()
    working = asyncio.create_task(all_want(sent, [first, *others], until=20))
    await asyncio.sleep(5.05)
    await first.throttled(6)
    await working
    assert sent.between(5.05 + 0.5, 11.05) == 0  # after the slots that are confirmed only later
    assert sent.between(5.05, 5.55) <= 5
    assert sent.between(11.05, 20) > 0
    assert sent.most_in_a_second() <= 11


async def test_a_slot_that_was_waited_for_long_is_not_used_in_a_pause(redis: TwinRedis) -> None:
    one, other = limiter(redis, 0.5), limiter(redis, 0.5)
    await one.acquire()
    waiting = asyncio.create_task(other.acquire())  # its slot is in 2 s
    await asyncio.sleep(1)
    await one.throttled(30)
    await waiting
    assert now() >= 31


async def test_a_429_that_asks_for_no_wait_pauses_for_a_second(redis: TwinRedis) -> None:
    one, other = limiter(redis), limiter(redis)
    await one.throttled(None)
    await other.acquire()
    assert now() == pytest.approx(1, abs=0.001)


async def test_nobody_waits_for_longer_than_two_minutes_because_of_one_429(redis: TwinRedis) -> None:
    one = limiter(redis)
    await one.throttled(86_400)
    await one.acquire()
    assert now() == pytest.approx(120, abs=0.001)


async def test_a_storm_of_429s_cuts_the_rate_once_in_two_seconds_and_it_grows_back(redis: TwinRedis) -> None:
    limiters = [limiter(redis, 20) for _ in range(4)]
    for _ in range(8):
        for each in limiters:
            await each.throttled(0)
    sent = Sent()
    await all_want(sent, limiters, until=42)
    assert sent.between(0, 1) == pytest.approx(14, abs=1)
    assert sent.between(17, 19) == pytest.approx(2 * 17, abs=1)
    assert sent.between(38, 42) == pytest.approx(4 * 20, abs=1)
    assert sent.most_in_a_second() <= 21


async def test_processes_at_a_service_that_allows_less_settle_below_it(redis: TwinRedis) -> None:
    """The service allows 40 requests in a second; 100 are asked for."""
    limiters = [limiter(redis) for _ in range(4)]
    accepted: list[float] = []
    refused = 0

    async def work(each: RedisRateLimiter) -> None:
        nonlocal refused
        while now() < 60:
            await each.acquire()
            if sum(at > now() - 1 for at in accepted[-40:]) >= 40:
                refused += 1
                await each.throttled(1)
            else:
                accepted.append(now())

    await asyncio.gather(*(work(each) for each in limiters for _ in range(8)))
    assert len(accepted) >= 60 * 40 * 0.6
    assert refused <= 0.06 * len(accepted)


async def test_a_waiter_that_is_cancelled_leaves_the_others_their_slots(redis: TwinRedis) -> None:
    one = limiter(redis, 1)
    waiting = [asyncio.create_task(one.acquire()) for _ in range(40)]
    await asyncio.sleep(0.1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await one.acquire()
    assert now() <= 5.01  # one was sent, and three that waited for a slot have spent it


async def test_a_deadline_ends_the_wait(redis: TwinRedis) -> None:
    one = limiter(redis, 0.1)
    await one.acquire()
    with pytest.raises(DeadlineExceeded):
        await within(now() + 3, one.acquire, "the call was done")
    assert now() == pytest.approx(3, abs=0.01)


async def test_no_slot_is_taken_before_there_is_a_place_for_the_call(redis: TwinRedis) -> None:
    gate = Gate(2, limiter(redis))
    permits = [await gate.enter() for _ in range(2)]
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(1)
    assert redis.scripts == 2
    gate.leave(permits[0])
    gate.leave(await waiting)
    assert redis.scripts == 3


async def test_without_a_fallback_a_redis_that_is_gone_is_an_error_with_advice(redis: TwinRedis) -> None:
    redis.is_gone()
    with pytest.raises(RateLimiterError, match=r"shared rate, could not be reached.*fallback=") as caught:
        await limiter(redis).acquire()
    assert caught.value.transient
    assert caught.value.__context__ is None


async def test_with_a_fallback_each_process_keeps_to_it_and_returns_to_redis(redis: TwinRedis) -> None:
    limiters = [limiter(redis, fallback=25) for _ in range(4)]
    sent = Sent()
    working = asyncio.create_task(all_want(sent, limiters, until=30))
    await asyncio.sleep(10)
    redis.is_gone()
    await asyncio.sleep(1)
    assert [each.uses_fallback for each in limiters] == [True] * 4
    await asyncio.sleep(9)
    scripts = redis.scripts
    redis.is_back()
    await working
    assert [each.uses_fallback for each in limiters] == [False] * 4
    assert sent.between(12, 20) == pytest.approx(800, abs=8)
    assert sent.between(23, 30) == pytest.approx(700, abs=8)
    assert redis.scripts > scripts
    assert sent.most_in_a_second() <= 100 + 4 * (SLOTS_AHEAD + 1)  # slots from before, and then the other rate
    for each in limiters:
        await each.aclose()


async def test_processes_that_return_to_redis_one_by_one_do_not_add_one_rate_to_the_other(redis: TwinRedis) -> None:
    limiters = [limiter(redis, fallback=25) for _ in range(4)]
    redis.is_gone()
    for each in limiters:
        await each.acquire()
        await asyncio.sleep(0.2)
    redis.is_back()
    sent = Sent()
    await all_want(sent, limiters, until=8)
    assert sent.most_in_a_second() <= 104
    for each in limiters:
        await each.aclose()


async def test_one_process_that_was_away_does_not_hold_up_the_others(redis: TwinRedis) -> None:
    one, other = limiter(redis, fallback=25), limiter(redis)
    redis.is_gone()
    await one.acquire()
    redis.error = None
    sent = Sent()
    await all_want(sent, [other], until=5)
    assert not one.uses_fallback
    assert len(sent.at) >= 495


async def test_a_redis_that_does_not_answer_delays_nobody_twice(redis: TwinRedis) -> None:
    redis.error, redis.answers_after_s = exceptions.TimeoutError("silent"), 2.0
    one = limiter(redis, fallback=10)
    sent = Sent()
    await all_want(sent, [one], until=12)
    assert sent.between(0, 12) == pytest.approx(100, abs=3)
    await one.aclose()


@pytest.mark.parametrize("error", [exceptions.AuthenticationError("WRONGPASS"), exceptions.NoPermissionError("NOPERM")])
async def test_a_refusal_that_does_not_pass_is_an_error_in_spite_of_a_fallback(
    redis: TwinRedis, error: Exception
) -> None:
    redis.error = error
    one = limiter(redis, fallback=10)
    for _ in range(2):
        with pytest.raises(RateLimiterError):
            await one.acquire()
    assert not one.uses_fallback


async def test_a_refusal_during_a_fallback_is_told_to_the_next_caller(redis: TwinRedis) -> None:
    redis.is_gone()
    one = limiter(redis, fallback=10)
    await one.acquire()
    redis.error = exceptions.AuthenticationError("WRONGPASS")
    await asyncio.sleep(5)
    with pytest.raises(RateLimiterError, match="password"):
        await one.acquire()


@pytest.mark.parametrize("settings", [{}, {"fallback": 10}])
async def test_a_429_that_redis_cannot_be_told_is_no_error(redis: TwinRedis, settings: dict[str, float]) -> None:
    redis.is_gone()
    one = limiter(redis, **settings)
    await one.throttled(5)


async def test_closing_ends_the_search_for_redis(redis: TwinRedis) -> None:
    redis.is_gone()
    one = limiter(redis, fallback=10)
    await one.acquire()
    await one.aclose()
    await one.aclose()
    assert not one.uses_fallback


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": float("inf")}, {"rate": 1, "fallback": -1}])
def test_a_rate_that_is_none_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be above 0"):
        RedisRateLimiter("redis://localhost", **settings)  # type: ignore[arg-type]
