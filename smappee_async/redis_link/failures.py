"""What Redis says when it fails, as a sentence with advice.

What the Redis client raises is only looked at: its text may contain the address and the arguments of a script.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final, Protocol

import attrs
from redis import exceptions

from smappee_async.errors import SmappeeError


class MakesError(Protocol):
    """Makes the error that the users of a part of the package expect."""

    def __call__(self, reason: str, *, advice: str | None, transient: bool) -> SmappeeError:
        """An error; ``transient`` if the failure may pass by itself."""
        ...


@attrs.frozen(kw_only=True)
class RedisUse:
    """What Redis is used for, as its errors say it.

    :param error: makes an error.
    :param owner: who uses it, such as ``the token store``.
    :param keeps: what is kept there, such as ``the tokens``.
    :param needs: what its user must be allowed, as words after "Allow the user".
    :param value: what the value under the key is, such as ``a record of tokens``.
    :param instead: what to do where it cannot be used, because it belongs elsewhere.
    """

    error: MakesError
    owner: str
    keeps: str
    needs: str
    value: str
    instead: str

    def elsewhere(self, reason: str) -> SmappeeError:
        """The error for use in another event loop or process."""
        return self.error(reason, advice=self.instead, transient=False)

    def not_the_value(self, key: str) -> SmappeeError:
        """The error for a value that something else has written."""
        return self.error(
            f"the value under the Redis key {key!r} is not {self.value}",
            advice=f"Give {self.owner} a key of its own, or delete this one",
            transient=False,
        )


#: The first that fits says what to tell. What says more comes before what says less. The last member says whether it
#: may pass by itself.
_SENTENCES: Final[tuple[tuple[tuple[type[Exception], ...], str, str, bool], ...]] = (
    (
        (exceptions.AuthenticationError, exceptions.AuthorizationError),
        "asks for a user name and a password, or refused those that it was given",
        "Give them in the URL: redis://USER:PASSWORD@HOST:6379/0, or redis://:PASSWORD@HOST:6379/0",
        False,
    ),
    (
        (exceptions.NoPermissionError,),
        "does not allow its user what {owner} needs",
        "Allow the user {needs}",
        False,
    ),
    (
        (exceptions.ReadOnlyError,),
        "is a replica and takes no writes",
        "Connect to the primary; with Sentinel, give {owner} a client of Sentinel.master_for(...)",
        True,
    ),
    (
        (exceptions.OutOfMemoryError,),
        "is full (maxmemory) and takes no writes",
        "Raise maxmemory, or use another Redis for {keeps}",
        True,
    ),
    (
        (exceptions.BusyLoadingError, exceptions.ClusterError, exceptions.RedisClusterException),
        "is not ready: it is starting, or a part of its cluster is down",
        "Wait, or look at the state of Redis",
        True,
    ),
    (
        (exceptions.AskError, exceptions.ClusterCrossSlotError),
        "is a cluster, and the client is not",
        "Give {owner} a redis.asyncio.RedisCluster",
        False,
    ),
    (
        (ssl.SSLError,),
        "does not speak TLS at this port, or has a certificate that is not trusted",
        "Check the port, and give the file of your own CA: rediss://HOST:6379/0?ssl_ca_certs=FILE",
        False,
    ),
    (
        (exceptions.TimeoutError, TimeoutError),
        "did not answer in time",
        "Check Redis, the network, and whether this port speaks TLS (rediss://) or not",
        True,
    ),
    (
        (exceptions.ConnectionError, OSError),
        "could not be reached",
        "Check that Redis runs, and that host, port and TLS (rediss://) are right",
        True,
    ),
)


def told(error: Exception, use: RedisUse, key: str) -> SmappeeError:
    """The error for one of the Redis client.

    :param key: the key of the value.
    """
    kind = type(error).__name__
    # Scripts put text around the error code.
    if isinstance(error, exceptions.ResponseError) and "WRONGTYPE" in str(error):
        return use.not_the_value(key)
    causes = list(_causes(error))  # the client wraps what it finds, and not always in the same way
    for kinds, what, advice, transient in _SENTENCES:
        if any(isinstance(each, kinds) for each in causes):
            words = {"owner": use.owner, "keeps": use.keeps, "needs": use.needs}
            reason = f"Redis, which keeps {use.keeps}, {what.format(**words)} ({kind})"
            return use.error(reason, advice=advice.format(**words), transient=transient)
    return use.error(f"Redis, which keeps {use.keeps}, failed ({kind})", advice=None, transient=False)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
