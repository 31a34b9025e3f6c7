"""A Redis client for one event loop of one process: the host's, or one that is opened and closed here."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar, cast

from redis.asyncio import Redis, RedisCluster

from smappee_async.defaults import REDIS_TIMEOUT_S
from smappee_async.errors import ConfigurationError, SmappeeError, unwrap
from smappee_async.redis_link.failures import RedisUse, told

ResultT = TypeVar("ResultT")


class RedisLink:
    """Runs commands so that a cancellation leaves the connections in order, and no error shows what was sent.

    :param client: the Redis client.
    :param use: what Redis is used for.
    :param key: the key of the value, for errors.
    :param owned: whether :meth:`aclose` closes the connections.
    """

    def __init__(self, client: Redis | RedisCluster, use: RedisUse, key: str, *, owned: bool) -> None:
        self.client = client
        self._use = use
        self._key = key
        self._owned = owned
        self._process = os.getpid()
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._commands: set[asyncio.Task[Any]] = set()

    def check(self) -> None:
        """Allow the loop that comes first, and refuse other use at once.

        Otherwise a task would wait for ever for a response that another loop reads.

        :raises SmappeeError: this is another loop, or another process.
        """
        loop = asyncio.get_running_loop()
        if self._process != os.getpid():
            raise self._use.elsewhere(f"{self._use.owner} was made in another process, before a fork")
        if self._loop is None:
            self._loop = weakref.ref(loop)
        elif self._loop() is not loop:
            raise self._use.elsewhere(f"{self._use.owner} belongs to another event loop")

    async def run(self, command: Awaitable[ResultT]) -> ResultT:
        """Run a command in a task of its own, which ends also when the caller is cancelled.

        Otherwise a cancellation could be lost in the Redis client, or leave a connection in the middle of a response.

        :raises SmappeeError: Redis failed.
        """
        task = asyncio.create_task(self._outcome(command), name="smappee redis command")
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        return unwrap(await asyncio.shield(task))

    async def aclose(self) -> None:
        """Let commands end, and close the connections that were opened here. Closing twice does nothing."""
        if commands := self._commands.copy():
            await asyncio.wait(commands, timeout=REDIS_TIMEOUT_S)
            for command in commands:
                command.cancel()
        if self._owned:
            await self.client.aclose()

    async def _outcome(self, command: Awaitable[ResultT]) -> ResultT | BaseException:
        """What a command gives. An error is returned, because the frames of the Redis client hold what was sent."""
        try:
            return await command
        except SmappeeError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the client has errors with several roots
            return told(error, self._use, self._key)
        except BaseException as error:  # noqa: BLE001 - a cancellation, which stays one
            return error


def evaluate(connection: Redis | RedisCluster, script: str, key: str, *arguments: str) -> Coroutine[Any, Any, object]:
    """A script with one key, as a command."""
    return cast("Coroutine[Any, Any, object]", connection.eval(script, 1, key, *arguments))


def link_to(
    client_or_url: Redis | RedisCluster | str, use: RedisUse, key: str, timeout_s: float = REDIS_TIMEOUT_S
) -> RedisLink | BaseException:
    """A link to a client that the host closes, or to one of its own. The error for a URL is returned: see ``unwrap``.

    :param timeout_s: after so many seconds of silence a command of an own client fails.
    """
    if not isinstance(client_or_url, str):
        return RedisLink(client_or_url, use, key, owned=False)
    try:
        # The client must not send again: its user decides what to do if Redis fails.
        client = Redis.from_url(client_or_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None)
    except (ValueError, TypeError):
        name = use.owner.removeprefix("the ")
        return ConfigurationError(f"the URL of the Redis {name} cannot be used", advice="Use redis://HOST:6379/0")
    return RedisLink(client, use, key, owned=True)
