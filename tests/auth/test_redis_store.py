"""The Redis store: a lock that expires, and a record that its generation protects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import exceptions
from redis.asyncio import Redis, RedisCluster

from smappee_async import ConfigurationError, StoredToken, Token, TokenStoreError
from smappee_async.auth.stores.redis import RedisLease, RedisTokenStore
from tests.walking import everything_about

pytestmark = pytest.mark.anyio

TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))
FIRST = StoredToken(generation=1, token=TOKEN)


@pytest.fixture
async def redis(redis_url: str, anyio_backend: object) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_the_record_is_one_hash_under_one_key(redis: Redis) -> None:
    store = RedisTokenStore(redis, "account")
    async with store.lock():
        await store.replace(0, FIRST)
    assert await redis.keys() == [b"account"]
    assert await redis.type("account") == b"hash"
    assert await redis.ttl("account") == -1


async def test_a_hosts_client_that_decodes_works_as_well(redis_url: str, redis: Redis) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        store = RedisTokenStore(client, "account")
        await store.replace(0, FIRST)
        assert await store.load() == FIRST
        async with store.lock():
            pass


async def test_a_hosts_client_is_not_closed(redis: Redis) -> None:
    async with RedisTokenStore(redis, "account"):
        pass
    assert await redis.ping()


async def test_two_accounts_have_two_keys(redis: Redis) -> None:
    """R37."""
    await RedisTokenStore(redis, "one").replace(0, FIRST)
    assert await RedisTokenStore(redis, "two").load() is None


async def test_the_lock_runs_out_when_its_holder_is_gone(redis: Redis) -> None:
    store = RedisTokenStore(redis, "account")
    store._lease_s = 0.03  # shorter than may be set
    gone = store.lock()
    await gone.__aenter__()
    async with asyncio.timeout(20), store.lock():
        pass
    await gone.__aexit__(None, None, None)


async def test_a_holder_that_wakes_up_late_does_not_give_back_the_lock_of_another(redis: Redis) -> None:
    """R21."""
    store = RedisTokenStore(redis, "account")
    async with store.lock() as first:
        await redis.set("account:lock", "another")
        assert isinstance(first, RedisLease)
    assert await redis.get("account:lock") == b"another"


async def test_the_lease_says_what_is_left(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """R21: the clock that says less is believed, because one may stand still while the machine sleeps."""
    async with RedisTokenStore(redis, "account", lease_s=60).lock() as lease:
        assert 59 < lease.remaining_s() <= 60
        now = lease.wall
        monkeypatch.setattr("smappee_async.auth.stores.redis.time.time", lambda: now + 61)
        assert lease.remaining_s() < 0


async def test_a_write_that_is_sent_again_is_told_the_same(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may send again if the connection broke before the response."""
    monkeypatch.setattr("smappee_async.auth.stores.redis.secrets.token_hex", lambda size: "the same")
    store = RedisTokenStore(redis, "account")
    assert await store.replace(0, FIRST)
    assert await store.replace(0, FIRST)


async def test_a_lock_that_is_asked_for_again_is_told_the_same(redis: Redis) -> None:
    store = RedisTokenStore(redis, "account")
    assert await store._acquire("me") is not None
    assert await store._acquire("me") is not None
    assert await store._acquire("another") is None


async def test_replicas_that_do_not_confirm_are_an_error(redis: Redis) -> None:
    store = RedisTokenStore(redis, "account", replicas=1, replicas_timeout_s=0.001)
    with pytest.raises(TokenStoreError, match="only 0 of 1 Redis replicas"):
        await store.replace(0, FIRST)


async def test_what_is_not_a_record_is_refused_and_left_alone(redis: Redis) -> None:
    await redis.hset("account", mapping={"somebody": "else"})
    store = RedisTokenStore(redis, "account")
    with pytest.raises(TokenStoreError, match="not a record of tokens"):
        await store.load()
    await redis.set("text", "else")
    other = RedisTokenStore(redis, "text")
    for use in (other.load, lambda: other.replace(0, FIRST)):
        with pytest.raises(TokenStoreError, match=r"not a record of tokens\. Give the token store a key of its own"):
            await use()
    assert await redis.get("text") == b"else"


@pytest.mark.usefixtures("_redis_knows_its_version")
async def test_a_redis_that_is_not_there_is_an_error_without_its_address(tmp_path: Path) -> None:
    """R17, R34."""
    async with RedisTokenStore(f"unix://user:the-redis-password@{tmp_path}/none.sock") as store:
        for work in (store.load, lambda: store.replace(0, FIRST)):
            with pytest.raises(TokenStoreError, match=r"could not be reached \(ConnectionError\)") as caught:
                await work()
            assert "none.sock" not in str(caught.value)
            assert caught.value.__context__ is None
        with pytest.raises(TokenStoreError):
            async with store.lock():
                pass


@pytest.mark.parametrize("url", ["", "http://localhost", "the-redis-password"])
def test_a_url_that_is_none_is_told_without_showing_it(url: str) -> None:
    """R34."""
    with pytest.raises(ConfigurationError, match="the URL of the Redis token store") as caught:
        RedisTokenStore(url)
    assert caught.value.__context__ is None
    assert not any("the-redis-password" in text for text in everything_about(caught.value))


async def test_a_cancelled_call_leaves_the_connections_in_order(redis_url: str, redis: Redis) -> None:
    """R29: the next call must not read the response to the cancelled one."""
    async with RedisTokenStore(redis_url, "account") as store:
        await store.replace(0, FIRST)
        for turns in range(30):
            task = asyncio.create_task(store.load())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert await store.load() == FIRST


@pytest.mark.parametrize("lease_s", [0, 0.6, 20, 29.9, -1, float("nan"), float("inf")])
def test_a_lease_that_is_too_short_for_a_renewal_is_refused_with_the_number_that_would_do(lease_s: float) -> None:
    """R21."""
    with pytest.raises(ConfigurationError, match="Use at least 30 seconds"):
        RedisTokenStore("redis://localhost", lease_s=lease_s)
    RedisTokenStore("redis://localhost", lease_s=30)


def test_a_cluster_can_be_used_but_its_replicas_not_waited_for() -> None:
    cluster = RedisCluster(host="localhost")
    RedisTokenStore(cluster)
    with pytest.raises(ConfigurationError, match="min-replicas-to-write"):
        RedisTokenStore(cluster, replicas=1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (exceptions.AuthenticationError("NOAUTH"), "asks for a user name and a password.*redis://USER:PASSWORD@HOST"),
        (exceptions.NoPermissionError("NOPERM"), "does not allow.*Allow the user EVAL"),
        (exceptions.ReadOnlyError("READONLY"), "is a replica.*Sentinel"),
        (exceptions.OutOfMemoryError("OOM"), r"is full \(maxmemory\).*Raise maxmemory"),
        (exceptions.BusyLoadingError("LOADING"), "is not ready"),
        (exceptions.ClusterDownError("CLUSTERDOWN"), "is not ready"),
        (exceptions.RedisClusterException("no node"), "is not ready"),
        (exceptions.MovedError("1234 127.0.0.1:7001"), "is a cluster.*RedisCluster"),
        (exceptions.TimeoutError("Timeout reading from host"), "did not answer in time"),
        (exceptions.ConnectionError("Error 111 connecting to host"), "could not be reached.*host, port and TLS"),
        (ConnectionResetError(104, "reset"), "could not be reached"),
        (exceptions.ResponseError("ERR script: WRONGTYPE Operation"), "not a record of tokens"),
        (exceptions.ResponseError("ERR other"), r"failed \(ResponseError\)"),
        (RuntimeError("of the client"), r"failed \(RuntimeError\)"),
    ],
)
async def test_each_failure_of_redis_has_a_sentence_and_shows_no_text_of_the_client(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    """R17, R34."""
    store = RedisTokenStore(redis, "account")

    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(redis, "eval", fails)
    monkeypatch.setattr(redis, "hgetall", fails)
    for use in (store.load, lambda: store.replace(0, FIRST), store.lock().__aenter__):
        with pytest.raises(TokenStoreError, match=sentence) as caught:
            await use()
        assert str(error) not in str(caught.value)


async def test_a_redis_that_wants_a_password_says_so(redis_url: str, redis: Redis) -> None:
    """R17: a real answer of Redis, without and with a wrong password, and of a user who may not do it."""
    await redis.acl_setuser(
        "reader", enabled=True, passwords=["+the-redis-password"], commands=["+hgetall"], keys=["*"]
    )
    await redis.acl_setuser("default", enabled=False)
    try:
        for url, sentence in [
            (redis_url, "asks for a user name and a password"),
            (redis_url.replace("unix://", "unix://reader:wrong@"), "refused those that it was given"),
        ]:
            async with RedisTokenStore(url, "account") as store:
                with pytest.raises(TokenStoreError, match=sentence):
                    await store.load()
        async with RedisTokenStore(redis_url.replace("unix://", "unix://reader:the-redis-password@")) as store:
            assert await store.load() is None
            with pytest.raises(TokenStoreError, match="does not allow its user"):
                await store.replace(0, FIRST)
    finally:
        await redis.acl_setuser("default", enabled=True)
        await redis.acl_deluser("reader")


async def test_a_redis_that_is_full_says_so(redis: Redis) -> None:
    """R17."""
    store = RedisTokenStore(redis, "account")
    await store.replace(0, FIRST)
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(TokenStoreError, match="is full"):
            async with store.lock():
                pass
        assert await store.load() == FIRST
    finally:
        await redis.config_set("maxmemory", "0")


async def test_a_cancelled_write_is_whole_and_leaves_the_connections_in_order(redis_url: str, redis: Redis) -> None:
    """R29."""
    async with RedisTokenStore(redis_url, "account") as store:
        for turns in range(20):
            before = await store.load() or StoredToken()
            task = asyncio.create_task(store.replace(before.generation, before.following(TOKEN)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            after = await store.load() or StoredToken()
            assert after.generation in (before.generation, before.generation + 1)
