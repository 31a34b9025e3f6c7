"""Tokens stored in Redis, shared by processes on many machines."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from random import random
from types import TracebackType
from typing import Any, Final, Self, cast

import attrs
from redis.asyncio import Redis, RedisCluster

from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.defaults import LOCK_LEASE_S, LOCK_POLL_S, SHORTEST_LEASE_S
from smappee_async.errors import ConfigurationError, TokenStoreError, unwrap
from smappee_async.redis_link.failures import RedisUse
from smappee_async.redis_link.link import evaluate, link_to
from smappee_async.secret import Secret

# A client that lost the connection before the response came may send a script again. So each script first checks
# whether it has run before with the same arguments, and then returns the same.

#: KEYS lock. ARGV holder, lease in ms.
_ACQUIRE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

#: KEYS lock. ARGV holder. Releases the lock only if this holder has it, because another one may have it after a lease
#: has expired.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

#: KEYS record. ARGV expected generation, then the fields of the new record: first its generation, then the name of this
#: write. The record is replaced as a whole or not at all.
_REPLACE: Final = """
local stored = redis.call('HMGET', KEYS[1], 'generation', 'write')
if stored[1] == ARGV[3] and stored[2] == ARGV[5] then return 1 end
if (stored[1] or '0') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""


def _error(reason: str, *, advice: str | None, transient: bool) -> TokenStoreError:  # noqa: ARG001 - it is not told apart
    return TokenStoreError(reason, advice=advice)


_USE: Final = RedisUse(
    error=_error,
    owner="the token store",
    keeps="the tokens",
    needs="EVAL, GET, SET, DEL, HGETALL, HMGET and HSET on the key and on the key with ':lock' appended",
    value="a record of tokens",
    instead="Make one store for each event loop and each process; FileTokenStore can be shared",
)


class RedisTokenStore:
    """Stores tokens in one Redis hash.

    The lock only saves calls. It expires when its holder dies, so a holder that was paused for longer can continue
    without it. The record stays right nevertheless, because it is replaced only if it is still of the generation that
    the writer has read.

    The record has no time to live, and contains the tokens in clear text. Give Redis a policy that does not evict it
    (``maxmemory-policy noeviction`` or ``volatile-*``), a password, and TLS if you do not own the network.

    A store belongs to one event loop of one process, as the connections of the Redis client do.

    :param client_or_url: a ``redis.asyncio`` client, which the host closes: ``Redis``, ``RedisCluster``, or what
        ``Sentinel.master_for`` gives. Or a URL such as ``rediss://user:password@host:6379/0``; then the store opens
        connections, and ``aclose`` or ``async with`` closes them.
    :param key: the key of the record. The key of the lock is the same with ``:lock`` appended. Use one key for each
        account.
    :param lease_s: after how many seconds the lock expires if its holder dies; at least 30, so that a renewal fits.
    :param replicas: how many replicas must confirm a write (``WAIT``). This loses fewer writes when a replica takes
        over, but is no guarantee. A write fails if fewer replicas confirm it. Not with a ``RedisCluster``.
    :param replicas_timeout_s: within how many seconds they must confirm it.
    :raises ConfigurationError: the URL cannot be used, or the lease is too short for a renewal.
    """

    def __init__(
        self,
        client_or_url: Redis | RedisCluster | str,
        key: str = "smappee-async:token",
        *,
        lease_s: float = LOCK_LEASE_S,
        replicas: int = 0,
        replicas_timeout_s: float = 1.0,
    ) -> None:
        outcome = link_to(client_or_url, _USE, key)
        del client_or_url  # a URL may contain a password, and an error would show this frame
        self._link = unwrap(outcome)
        self._redis = self._link.client
        if not SHORTEST_LEASE_S <= lease_s < math.inf:
            raise ConfigurationError(
                f"lease_s={lease_s:g} is too short for one renewal, or is no number of seconds",
                advice=f"Use at least {SHORTEST_LEASE_S:g} seconds, or leave it at {LOCK_LEASE_S:g}",
            )
        if replicas and isinstance(self._redis, RedisCluster):
            raise ConfigurationError(
                "replicas cannot be waited for with a RedisCluster",
                advice="Leave replicas at 0; a cluster has the setting min-replicas-to-write",
            )
        self._key = key
        self._lock_key = f"{key}:lock"
        self._lease_s = lease_s
        self._replicas = replicas
        self._replicas_timeout_s = replicas_timeout_s

    def __repr__(self) -> str:
        return f"RedisTokenStore(key={self._key!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let commands end, and close the connections that the store opened. Closing twice does nothing."""
        await self._link.aclose()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[RedisLease]:
        """Wait for the lock.

        :raises TokenStoreError: Redis failed.
        """
        self._link.check()
        holder = secrets.token_hex(16)
        tries: list[asyncio.Task[RedisLease | None]] = []  # at most one
        try:
            while True:
                # In a task, because a try that is cancelled could reach Redis after the lock was released.
                tries = [asyncio.create_task(self._acquire(holder), name="smappee token lock")]
                lease = await asyncio.shield(tries[0])
                if lease is not None:
                    break
                await asyncio.sleep(LOCK_POLL_S * (0.5 + random()))
            yield lease
        finally:
            await asyncio.shield(asyncio.create_task(self._release(holder, tries), name="smappee token unlock"))

    async def load(self) -> StoredToken | None:
        """The record; ``None`` if there is none.

        :raises TokenStoreError: Redis failed, or something else is stored under the key.
        """
        self._link.check()
        return await self._link.run(self._read())

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if the record is of this generation.

        :raises TokenStoreError: Redis failed. It may have written the whole record or nothing.
        """
        self._link.check()
        return bool(await self._link.run(self._write(expected_generation, Secret(json.dumps(_encode(new))))))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _read(self) -> StoredToken | None:
        fields = await cast("Awaitable[dict[Any, Any]]", self._redis.hgetall(self._key))
        if not fields:
            return None
        stored = _decode({_text(name): _text(value) for name, value in fields.items()})
        if stored is None:
            raise _USE.not_the_value(self._key)
        return stored

    async def _write(self, expected_generation: int, fields: Secret) -> object:
        arguments = (str(expected_generation), *json.loads(fields.reveal()))
        if not self._replicas or isinstance(self._redis, RedisCluster):
            return await evaluate(self._redis, _REPLACE, self._key, *arguments)
        # One connection for both, because WAIT is about the writes of its own connection.
        async with self._redis.client() as connection:
            written = await evaluate(connection, _REPLACE, self._key, *arguments)
            if written:
                timeout_ms = int(self._replicas_timeout_s * 1000)
                confirmed = await connection.wait(self._replicas, timeout_ms)
                if confirmed < self._replicas:
                    raise TokenStoreError(f"only {confirmed} of {self._replicas} Redis replicas confirmed the write")
            return written

    async def _acquire(self, holder: str) -> RedisLease | None:
        lease = RedisLease.starting_now(self._lease_s)
        taken = await self._link.run(
            evaluate(self._redis, _ACQUIRE, self._lock_key, holder, str(int(self._lease_s * 1000)))
        )
        return lease if taken else None

    async def _release(self, holder: str, tries: list[asyncio.Task[RedisLease | None]]) -> None:
        if tries:
            await asyncio.wait(tries)
            if not tries[0].cancelled() and tries[0].exception() is not None:
                return  # Redis does not answer; if it gave the lock, the lock expires
        with suppress(TokenStoreError):
            await self._link.run(evaluate(self._redis, _RELEASE, self._lock_key, holder))


@attrs.frozen
class RedisLease:
    """A lock that expires.

    :ivar lease_s: how many seconds it lasts. They count from before the call to Redis.
    """

    lease_s: float
    wall: float
    monotonic: float

    @classmethod
    def starting_now(cls, lease_s: float) -> RedisLease:
        """A lease that begins now."""
        return cls(lease_s, time.time(), time.monotonic())

    def remaining_s(self) -> float:
        """Seconds left, by the clock that says less: one may jump, the other stands still while the machine sleeps."""
        return self.lease_s - max(time.time() - self.wall, time.monotonic() - self.monotonic)


def _text(value: object) -> str:
    """Text from a response. Some clients decode responses, others do not."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encode(stored: StoredToken) -> list[str]:
    """Names and values in turn, as HSET takes them."""
    fields: dict[str, str] = {
        "generation": str(stored.generation),
        "write": secrets.token_hex(8),
        "refreshing": "1" if stored.refreshing else "0",
    }
    if stored.token is not None:
        fields |= {name: str(value) for name, value in stored.token.to_dict().items() if value is not None}
    return [text for field in fields.items() for text in field]


def _decode(fields: Mapping[str, str]) -> StoredToken | None:
    """The record; ``None`` if the fields are not one."""
    try:
        token = None
        if "access_token" in fields:
            token = Token.from_dict({**fields, "expires_at": float(fields["expires_at"])})
        return StoredToken(
            generation=int(fields["generation"]), token=token, refreshing={"0": False, "1": True}[fields["refreshing"]]
        )
    except (KeyError, ValueError):
        return None
