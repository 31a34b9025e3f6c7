"""What Redis says when it fails, as a sentence with advice.

What the Redis client raises is only looked at: its text may contain the address and the arguments of a script, which
are the tokens.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from redis import exceptions

from smappee_async.errors import TokenStoreError

#: The first that fits says what to tell. What says more comes before what says less.
_SENTENCES: Final[tuple[tuple[tuple[type[Exception], ...], str, str], ...]] = (
    (
        (exceptions.AuthenticationError, exceptions.AuthorizationError),
        "asks for a user name and a password, or refused those that it was given",
        "Give them in the URL: redis://USER:PASSWORD@HOST:6379/0, or redis://:PASSWORD@HOST:6379/0",
    ),
    (
        (exceptions.NoPermissionError,),
        "does not allow its user what the token store needs",
        "Allow the user EVAL, GET, SET, DEL, HGETALL, HMGET and HSET on the key and on the key with ':lock' appended",
    ),
    (
        (exceptions.ReadOnlyError,),
        "is a replica and takes no writes",
        "Connect to the primary; with Sentinel, give the store a client of Sentinel.master_for(...)",
    ),
    (
        (exceptions.OutOfMemoryError,),
        "is full (maxmemory) and takes no writes",
        "Raise maxmemory, or keep the tokens in a Redis of their own",
    ),
    (
        (exceptions.BusyLoadingError, exceptions.ClusterError, exceptions.RedisClusterException),
        "is not ready: it is starting, or a part of its cluster is down",
        "Wait, or look at the state of Redis",
    ),
    (
        (exceptions.AskError, exceptions.ClusterCrossSlotError),
        "is a cluster, and the client is not",
        "Give the store a redis.asyncio.RedisCluster",
    ),
    (
        (ssl.SSLError,),
        "does not speak TLS at this port, or has a certificate that is not trusted",
        "Check the port, and give the file of your own CA: rediss://HOST:6379/0?ssl_ca_certs=FILE",
    ),
    (
        (exceptions.TimeoutError, TimeoutError),
        "did not answer in time",
        "Check Redis, the network, and whether this port speaks TLS (rediss://) or not",
    ),
    (
        (exceptions.ConnectionError, OSError),
        "could not be reached",
        "Check that Redis runs, and that host, port and TLS (rediss://) are right",
    ),
)


def told(error: Exception, key: str) -> TokenStoreError:
    """The error of the store for an error of the Redis client.

    :param key: the key of the record.
    """
    kind = type(error).__name__
    # Scripts put text around the error code.
    if isinstance(error, exceptions.ResponseError) and "WRONGTYPE" in str(error):
        return not_a_record(key)
    causes = list(_causes(error))  # the client wraps what it finds, and not always in the same way
    for kinds, what, advice in _SENTENCES:
        if any(isinstance(each, kinds) for each in causes):
            return TokenStoreError(f"Redis, which keeps the tokens, {what} ({kind})", advice=advice)
    return TokenStoreError(f"Redis, which keeps the tokens, failed ({kind})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def not_a_record(key: str) -> TokenStoreError:
    """The error for a value that something else has written."""
    return TokenStoreError(
        f"the value under the Redis key {key!r} is not a record of tokens",
        advice="Give the store a key of its own, or delete this one",
    )
