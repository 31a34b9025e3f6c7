"""Tokens kept in Redis, shared by processes on many machines."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from random import random
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import attrs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.defaults import LOCK_LEASE_S, LOCK_POLL_S
from smappee_async.errors import ConfigurationError, TokenStoreError
from smappee_async.secret import Secret

ResultT = TypeVar("ResultT")

#: For a store's own connections. A Redis that is silent for longer is as good as gone.
_REDIS_TIMEOUT_S: Final = 5.0

# Each script asks first whether it has run before with the same arguments: a client that lost the connection before the
# response came may send it again, and must be told the same.

#: KEYS lock. ARGV holder, lease in ms.
_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

#: KEYS lock. ARGV holder. Only one's own lock is given back, not that of who came after a lease had run out.
_GIVE_BACK: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

#: KEYS record. ARGV expected generation, then the fields of the new record, the generation and the name of this write
#: first among them. The record is replaced as a whole or not at all.
_REPLACE: Final = """
local kept = redis.call('HMGET', KEYS[1], 'generation', 'write')
if kept[1] == ARGV[3] and kept[2] == ARGV[5] then return 1 end
if (kept[1] or '0') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""


class RedisTokenStore:
    """Keeps tokens in one Redis hash.

    The lock only saves calls: it ends by itself when its holder is gone, and so it cannot keep a holder that was paused
    for longer from waking up. What keeps the outcome right is that a record is replaced only if it is still of the
    generation that the writer has read.

    The record has no time to live, and holds the tokens in clear. Give Redis a policy that does not evict it
    (``maxmemory-policy noeviction`` or ``volatile-*``), a password, and TLS if the network is not your own.

    :param client_or_url: a ``redis.asyncio`` client, which stays the host's; or a URL such as
        ``rediss://user:password@host:6379/0``, for connections of the store's own, which ``aclose`` or ``async with``
        closes.
    :param key: the record's key; the lock's is the same with ``:lock`` behind it. One key per account.
    :param lease_s: how long the lock lasts if its holder dies.
    :param replicas: how many replicas must have confirmed a write (``WAIT``) before it counts. Fewer lost writes when a
        replica takes over, at the price of failing when there are not so many; no promise even then.
    :param replicas_timeout_s: how long they have for that.
    :raises ConfigurationError: the URL is none.
    """

    def __init__(
        self,
        client_or_url: Redis | str,
        key: str = "smappee-async:token",
        *,
        lease_s: float = LOCK_LEASE_S,
        replicas: int = 0,
        replicas_timeout_s: float = 1.0,
    ) -> None:
        self._owned = isinstance(client_or_url, str)
        self._redis = _connect(Secret(client_or_url)) if isinstance(client_or_url, str) else client_or_url
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
        """Close the store's own connections; a client that was given stays open. Closing twice is nothing."""
        if self._owned:
            await self._redis.aclose()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[RedisLease]:
        """Wait for the lock.

        :raises TokenStoreError: Redis failed.
        """
        holder = secrets.token_hex(16)
        tries: list[asyncio.Task[RedisLease | None]] = []
        try:
            while True:
                # A task of its own: a try that is cut off could still reach Redis after the lock was given back.
                tries = [asyncio.create_task(self._take(holder), name="smappee token lock")]
                lease = await asyncio.shield(tries[0])
                if lease is not None:
                    break
                await asyncio.sleep(LOCK_POLL_S * (0.5 + random()))
            yield lease
        finally:
            await asyncio.shield(asyncio.create_task(self._give_back(holder, tries), name="smappee token unlock"))

    async def load(self) -> StoredToken | None:
        """What is kept now.

        :raises TokenStoreError: Redis failed, or something else is kept under that key.
        """
        fields = await self._run(cast("Awaitable[dict[Any, Any]]", self._redis.hgetall(self._key)))
        if not fields:
            return None
        stored = _decode({_text(name): _text(value) for name, value in fields.items()})
        del fields
        if stored is None:
            raise TokenStoreError(
                f"what Redis holds under {self._key!r} is not a record of tokens",
                advice="Give the store a key of its own, or delete that one",
            )
        return stored

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if what is kept is of that generation.

        :raises TokenStoreError: Redis failed. Whether it wrote is unknown then, but never a part.
        """
        return bool(await self._run(self._write(expected_generation, Secret(json.dumps(_encode(new))))))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _write(self, expected_generation: int, fields: Secret) -> object:
        # One connection for both, for WAIT is about the writes of its own connection.
        async with self._redis.client() as connection:
            arguments = json.loads(fields.reveal())
            written = await _eval(connection, _REPLACE, self._key, str(expected_generation), *arguments)
            if written and self._replicas:
                timeout_ms = int(self._replicas_timeout_s * 1000)
                confirmed = await connection.wait(self._replicas, timeout_ms)
                if confirmed < self._replicas:
                    raise TokenStoreError(f"only {confirmed} of {self._replicas} Redis replicas confirmed the write")
            return written

    async def _take(self, holder: str) -> RedisLease | None:
        lease = RedisLease.starting_now(self._lease_s)
        taken = await self._run(_eval(self._redis, _TAKE, self._lock_key, holder, str(int(self._lease_s * 1000))))
        return lease if taken else None

    async def _give_back(self, holder: str, tries: list[asyncio.Task[RedisLease | None]]) -> None:
        if tries:
            await asyncio.wait(tries)
            if not tries[0].cancelled() and tries[0].exception() is not None:
                return  # Redis is not there; the lock, if it was taken at all, ends by itself
        with suppress(TokenStoreError):
            await self._run(_eval(self._redis, _GIVE_BACK, self._lock_key, holder))

    async def _run(self, command: Awaitable[ResultT]) -> ResultT:
        outcome = await _outcome(command)
        if isinstance(outcome, TokenStoreError):
            # Raised out here, for the frames in which it arose know the tokens in clear.
            raise outcome
        return outcome


async def _outcome(command: Awaitable[ResultT]) -> ResultT | TokenStoreError:
    try:
        return await command
    except TokenStoreError as error:
        return error.with_traceback(None)
    except (RedisError, OSError) as error:  # its text may hold the address, and a script's arguments
        return TokenStoreError(f"Redis, which keeps the tokens, failed ({type(error).__name__})")


@attrs.frozen
class RedisLease:
    """A lock that runs out.

    :ivar lease_s: how long it lasts from its start, which was before Redis was asked.
    """

    lease_s: float
    wall: float
    monotonic: float

    @classmethod
    def starting_now(cls, lease_s: float) -> RedisLease:
        """A lease that begins now."""
        return cls(lease_s, time.time(), time.monotonic())

    def remaining_s(self) -> float:
        """Seconds left, by whichever clock says less: one jumps, the other may stand still while the machine sleeps."""
        return self.lease_s - max(time.time() - self.wall, time.monotonic() - self.monotonic)


def _connect(url: Secret) -> Redis:
    try:
        # No resending by the client: whoever uses the store decides what to do when Redis is gone.
        return Redis.from_url(
            url.reveal(), socket_timeout=_REDIS_TIMEOUT_S, socket_connect_timeout=_REDIS_TIMEOUT_S, retry=None
        )
    except (ValueError, TypeError):
        pass
    raise ConfigurationError("the URL of the Redis token store cannot be used", advice="Use redis://HOST:6379/0")


def _eval(connection: Redis, script: str, key: str, *arguments: str) -> Coroutine[Any, Any, object]:
    return cast("Coroutine[Any, Any, object]", connection.eval(script, 1, key, *arguments))


def _text(value: object) -> str:
    """A client may or may not decode its responses."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encode(stored: StoredToken) -> list[str]:
    """Names and values, as HSET takes them."""
    fields: dict[str, str] = {
        "generation": str(stored.generation),
        "write": secrets.token_hex(8),
        "refreshing": "1" if stored.refreshing else "0",
    }
    if stored.token is not None:
        fields |= {name: str(value) for name, value in stored.token.to_dict().items() if value is not None}
    return [text for field in fields.items() for text in field]


def _decode(fields: Mapping[str, str]) -> StoredToken | None:
    """The record; ``None`` if these fields are none."""
    try:
        token = None
        if "access_token" in fields:
            token = Token.from_dict({**fields, "expires_at": float(fields["expires_at"])})
        return StoredToken(
            generation=int(fields["generation"]), token=token, refreshing={"0": False, "1": True}[fields["refreshing"]]
        )
    except (KeyError, ValueError):
        return None
