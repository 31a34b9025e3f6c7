"""One client in each process, whatever calls it: tasks of an engine are threads without an event loop.

A client of its own for each part would forget what was proven about responses, and would ask twice as often.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.auth.stores import TokenStore
from smappee_async.client import SmappeeClient
from smappee_async.errors import ClientClosed, ConfigurationError
from smappee_async.limits import Limits, RateLimiter

ResultT = TypeVar("ResultT")
NumberT = TypeVar("NumberT", int, float)

MakeClient: TypeAlias = Callable[[], AbstractAsyncContextManager[SmappeeClient]]
"""Makes the client of a worker: a :class:`SmappeeClient`, or a context manager around one, that is not open yet. A
function of a module, because engines pickle it; called once in each process."""

#: How long the end of a process waits for its client: a renewal in progress may take as long.
_CLOSE_WAIT_S: Final = defaults.CLOSE_WAIT_S + 5.0


@asynccontextmanager
async def client_from_env() -> AsyncGenerator[SmappeeClient, None]:
    """A client with the settings of the environment, see :meth:`~smappee_async.Credentials.from_env`.

    ``SMAPPEE_REDIS_URL`` names a Redis that all workers share (the extra ``redis``): it keeps the tokens, so that one
    login is enough, and the rate, if there is one. ``SMAPPEE_REQUESTS_PER_SECOND`` is that rate, of all workers
    together; without a Redis, of each process. ``SMAPPEE_CONCURRENCY`` is the number of calls in flight of each
    process. ``SMAPPEE_BASE_URL`` is the URL of the service, or of a simulator.

    :raises ConfigurationError: a variable is missing, or cannot be used.
    :raises ImportError: there is a Redis, and the extra is not installed.
    """
    credentials = Credentials.from_env()
    redis_url = os.environ.get("SMAPPEE_REDIS_URL")
    requests_per_second = _number_from_env("SMAPPEE_REQUESTS_PER_SECOND", float)
    concurrency = _number_from_env("SMAPPEE_CONCURRENCY", int) or defaults.CONCURRENCY
    async with AsyncExitStack() as stack:
        store: TokenStore | None = None
        rate: float | RateLimiter | None = requests_per_second
        if redis_url:
            # From the package, which says which extra is missing; and only where there is a Redis.
            from smappee_async import RedisRateLimiter, RedisTokenStore  # noqa: PLC0415

            key = f"smappee-async:{credentials.account or 'account'}"
            store = await stack.enter_async_context(RedisTokenStore(redis_url, f"{key}:tokens"))
            if requests_per_second is not None:
                shared = RedisRateLimiter(redis_url, f"{key}:rate", rate=requests_per_second)
                rate = await stack.enter_async_context(shared)
        client = SmappeeClient(
            credentials,
            base_url=os.environ.get("SMAPPEE_BASE_URL") or defaults.BASE_URL,
            token_store=store,
            limits=Limits(concurrency=concurrency, rate=rate),
        )
        yield await stack.enter_async_context(client)


def _number_from_env(name: str, kind: Callable[[str], NumberT]) -> NumberT | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(f"{name} must be a number, not {text!r}") from None


class ProcessClient:
    """An open client and its event loop, in a thread of its own. It is used by any thread of the process."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._ready: Future[tuple[SmappeeClient, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._serve, name="smappee client", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            asyncio.run(self._keep_open())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the client gets it
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _keep_open(self) -> None:
        async with self._make() as client:
            over = asyncio.Event()
            self._ready.set_result((client, asyncio.get_running_loop(), over))
            await over.wait()

    def run(self, work: Callable[[SmappeeClient], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """The result of a coroutine function that is given the client; it runs in the loop of the client.

        If the caller is interrupted, the work is cancelled.

        :raises SmappeeError: what the work raises, or what opening the client has raised.
        """
        client, loop, _ = self._ready.result()
        running = asyncio.run_coroutine_threadsafe(work(client), loop)
        try:
            return running.result()
        except CancelledError:
            raise ClientClosed("the process ended while sessions were read") from None
        finally:
            running.cancel()  # if the caller was interrupted; otherwise it has ended

    @property
    def has_failed(self) -> bool:
        """Whether the client could not be opened."""
        return self._ready.done() and self._ready.exception() is not None

    def close(self) -> None:
        """Close the client, and end the thread."""
        if self.has_failed:
            return
        _, loop, over = self._ready.result()
        loop.call_soon_threadsafe(over.set)
        self._thread.join(_CLOSE_WAIT_S)


_clients: dict[tuple[int, MakeClient], ProcessClient] = {}
"""By process and by what makes them. Those of a parent stay here unused: a child must not free their connections."""
_lock = threading.Lock()


def process_client(make: MakeClient | None = None) -> ProcessClient:
    """The client of this process; made when it is first asked for, and closed when the process ends.

    :param make: makes it; :func:`client_from_env` if left out.
    """
    made = client_from_env if make is None else make
    if not callable(made):
        raise ConfigurationError(f"client must be a function that makes a client, not {type(made).__name__}")
    key = (os.getpid(), made)
    with _lock:
        found = _clients.get(key)
        if found is None or found.has_failed:
            found = _clients[key] = ProcessClient(made)
        return found


def close_clients() -> None:
    """Close the clients of this process. It happens by itself when the process ends; others are made when needed."""
    for key in [key for key in _clients if key[0] == os.getpid()]:
        _clients.pop(key).close()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


atexit.register(close_clients)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
