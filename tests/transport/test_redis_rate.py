"""The scripts of the shared rate on a real Redis, and what is said when Redis refuses."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from smappee_async import ConfigurationError, Limits, RateLimiterError, RedisRateLimiter, defaults
from smappee_async.transport.redis_rate import _RESERVE, _RETURN, _THROTTLED
from tests.rate_twin import SECOND, Twin
from tests.redis_server import RedisServer
from tests.walking import everything_about

NOW = 1_790_000_000 * SECOND
FAST = 10_000  # requests a second: no wait that a test would notice

STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 300_000), st.integers(0, 90 * SECOND)),
        st.one_of(
            st.tuples(st.just("reserve"), st.sampled_from([0.5, 3, 40, 100, 7.5]), st.booleans()),
            st.tuples(st.just("returned"), st.just(0), st.just(value=False)),
            st.tuples(st.just("throttled"), st.sampled_from([0, SECOND, 30 * SECOND]), st.just(value=False)),
        ),
    ),
    max_size=30,
)


@pytest.fixture
def blocking(redis_url: str) -> Iterator[BlockingRedis]:
    with BlockingRedis.from_url(redis_url) as client:
        yield client


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_scripts_say_what_their_twin_says(blocking: BlockingRedis, steps: list[Any]) -> None:
    blocking.flushall()
    twin, now = Twin(), NOW
    for after, (what, number, is_confirmed) in steps:
        now += after
        if what == "reserve":
            said = blocking.eval(_RESERVE, 1, "account", str(now), repr(number), "1" if is_confirmed else "0")
            expected = twin.reserve(now, number, is_confirmed=is_confirmed)
        elif what == "returned":
            said = blocking.eval(_RETURN, 1, "account", str(now))
            expected = twin.returned(now)
        else:
            said = blocking.eval(_THROTTLED, 1, "account", str(now), str(number))
            expected = twin.throttled(now, number)
        assert said == pytest.approx(expected, abs=len(steps))  # a slot is rounded to a microsecond


@given(waits=st.lists(st.integers(0, 50_000), min_size=1, max_size=200), rate=st.sampled_from([5, 40, 100]))
def test_no_slot_comes_sooner_after_another_than_the_rate_allows(waits: list[int], rate: int) -> None:
    twin, now, slots = Twin(), NOW, list[int]()
    for wait in waits:
        now += wait
        slots.append(now + twin.reserve(now, rate, is_confirmed=False)[0])
    assert all(later - earlier >= SECOND / rate - 2 for earlier, later in itertools.pairwise(slots))


def test_the_scripts_use_the_clock_of_redis(blocking: BlockingRedis) -> None:
    seconds, _ = blocking.time()
    blocking.eval(_RESERVE, 1, "account", "", "100", "0")
    stored = blocking.hget("account", "free_at")
    assert 0 <= int(stored) / SECOND - seconds < 5  # type: ignore[arg-type]


@pytest.fixture
async def redis(redis_url: str, anyio_backend: object) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.anyio
async def test_the_rate_is_one_small_key_that_expires(redis: Redis) -> None:
    limiter = RedisRateLimiter(redis, "account", rate=FAST)
    await limiter.acquire()
    await limiter.throttled(0)
    assert await redis.keys() == [b"account"]
    assert 100 < await redis.ttl("account") <= 122
    await limiter.throttled(60)
    assert 160 < await redis.ttl("account") <= 182


@pytest.mark.anyio
async def test_two_accounts_have_two_rates(redis: Redis) -> None:
    await RedisRateLimiter(redis, "one", rate=FAST).throttled(60)
    async with asyncio.timeout(20):
        await RedisRateLimiter(redis, "other", rate=FAST).acquire()


@pytest.mark.anyio
async def test_limiters_with_one_key_share_the_pause(redis_url: str, redis: Redis) -> None:
    async with RedisRateLimiter(redis_url, "account", rate=FAST) as other:
        await RedisRateLimiter(redis, "account", rate=FAST).throttled(60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await other.acquire()


@pytest.mark.anyio
async def test_a_client_that_decodes_and_scripts_that_were_flushed_are_no_matter(redis_url: str, redis: Redis) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        limiter = RedisRateLimiter(client, "account", rate=FAST)
        for _ in range(3):
            await limiter.acquire()
            await redis.script_flush()
    assert await redis.ping()


@pytest.mark.anyio
async def test_a_hosts_client_is_not_closed(redis: Redis) -> None:
    async with RedisRateLimiter(redis, rate=FAST) as limiter:
        await limiter.acquire()
    assert await redis.ping()


@pytest.mark.anyio
async def test_a_cancelled_wait_leaves_the_connections_in_order(redis_url: str, redis: Redis) -> None:
    async with RedisRateLimiter(redis_url, "account", rate=FAST) as limiter:
        for turns in range(30):
            task = asyncio.create_task(limiter.acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await limiter.acquire()


@pytest.mark.anyio
async def test_a_redis_that_was_killed_is_used_again_when_it_is_back(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "RATE_RETRY_S", 0.005)
    async with RedisRateLimiter(own_redis.url, "account", rate=FAST, fallback=FAST) as limiter:
        await limiter.acquire()
        await asyncio.to_thread(own_redis.kill)
        for _ in range(10):
            await limiter.acquire()
        assert limiter.uses_fallback
        await asyncio.to_thread(own_redis.start)
        async with asyncio.timeout(20):
            while limiter.uses_fallback:  # noqa: ASYNC110 - only Redis knows
                await asyncio.sleep(0.005)
        await limiter.acquire()
        assert not limiter.uses_fallback


@pytest.mark.anyio
@pytest.mark.usefixtures("_redis_knows_its_version")
async def test_a_redis_that_is_not_there_is_an_error_without_its_address(tmp_path: Path) -> None:
    async with RedisRateLimiter(f"unix://user:the-redis-password@{tmp_path}/none.sock", rate=FAST) as limiter:
        with pytest.raises(RateLimiterError, match=r"could not be reached \(ConnectionError\)") as caught:
            await limiter.acquire()
        assert "none.sock" not in str(caught.value)
        assert not any("the-redis-password" in text for text in everything_about(caught.value))


@pytest.mark.parametrize("url", ["the-redis-password", "http://the-redis-password@localhost"])
def test_a_url_that_is_none_is_told_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the URL of the Redis rate limiter") as caught:
        RedisRateLimiter(url, rate=FAST)
    assert not any("the-redis-password" in text for text in everything_about(caught.value))


@pytest.mark.anyio
async def test_a_redis_that_wants_a_password_says_so(redis_url: str, redis: Redis) -> None:
    await redis.acl_setuser("reader", enabled=True, passwords=["+the-password"], commands=["+hgetall"], keys=["*"])
    await redis.acl_setuser("default", enabled=False)
    try:
        for url, sentence in [
            (redis_url, "asks for a user name and a password"),
            (redis_url.replace("unix://", "unix://reader:wrong@"), "refused those that it was given"),
            (redis_url.replace("unix://", "unix://reader:the-password@"), "what the rate limiter needs.*EVALSHA"),
        ]:
            async with RedisRateLimiter(url, "account", rate=FAST, fallback=FAST) as limiter:
                with pytest.raises(RateLimiterError, match=sentence) as caught:
                    await limiter.acquire()
            assert not caught.value.transient
    finally:
        await redis.acl_setuser("default", enabled=True)
        await redis.acl_deluser("reader")


@pytest.mark.anyio
async def test_a_replica_says_so(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(RateLimiterError, match="is a replica"):
            await RedisRateLimiter(redis, "account", rate=FAST).acquire()
    finally:
        await redis.replicaof("NO", "ONE")


@pytest.mark.anyio
@pytest.mark.usefixtures("_redis_knows_its_version")
async def test_a_redis_that_does_not_answer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "RATE_TIMEOUT_S", 0.05)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_unix_server(say_nothing, tmp_path / "silent.sock"),
        RedisRateLimiter(f"unix://{tmp_path}/silent.sock", "account", rate=FAST) as limiter,
    ):
        with pytest.raises(RateLimiterError, match="did not answer in time"):
            await limiter.acquire()


@pytest.mark.anyio
async def test_a_key_that_something_else_uses_is_refused(redis: Redis) -> None:
    await redis.set("account", "a text")
    with pytest.raises(RateLimiterError, match=r"not a rate\. Give the rate limiter a key of its own"):
        await RedisRateLimiter(redis, "account", rate=FAST, fallback=FAST).acquire()
    assert await redis.get("account") == b"a text"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_limiter_says_at_once_that_it_belongs_to_another_loop_or_process(redis_url: str) -> None:
    async def use(limiter: RedisRateLimiter) -> None:
        await limiter.acquire()
        await limiter.aclose()

    async def refused(limiter: RedisRateLimiter, what: str) -> None:
        for each in (limiter.acquire(), limiter.throttled(1)):
            with pytest.raises(RateLimiterError, match=what):
                await each

    limiter = RedisRateLimiter(redis_url, "account", rate=FAST)
    asyncio.run(use(limiter))
    asyncio.run(refused(limiter, "the rate limiter belongs to another event loop.*with the same key"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(refused(limiter, "made in another process"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_neither_the_limiter_nor_the_limits_show_the_url() -> None:
    limiter = RedisRateLimiter("redis://:the-redis-password@localhost", "account", rate=5)
    assert "RedisRateLimiter(key='account', rate=5)" in repr(Limits(rate=limiter))
    assert "password" not in repr(Limits(rate=limiter))


def test_without_redis_the_extra_is_named_and_a_number_still_works() -> None:
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "import smappee_async\n"
        "smappee_async.SmappeeClient(smappee_async.Credentials('a', 'b', 'c', 'd'), limits=smappee_async.Limits(rate=5))\n"
        "smappee_async.RedisRateLimiter"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "RedisRateLimiter needs an extra: pip install 'smappee-async[redis]'" in done.stderr
