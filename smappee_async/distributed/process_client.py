"""One client in each process, whatever calls it: tasks of an engine are threads without an event loop.

A client of its own for each part would forget what was proven about responses, and would ask twice as often.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeAlias, TypeVar

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.client import SmappeeClient
from smappee_async.errors import ClientClosed, ConfigurationError

ResultT = TypeVar("ResultT")

MakeClient: TypeAlias = Callable[[], SmappeeClient]
"""Makes the client of a worker. A function of a module, because engines pickle it; called once in each process."""

#: How long the end of a process waits for its client: a renewal in progress may take as long.
_CLOSE_WAIT_S: Final = defaults.CLOSE_WAIT_S + 5.0


def client_from_env() -> SmappeeClient:
    """A client with the credentials of the environment, see :meth:`~smappee_async.Credentials.from_env`.

    ``SMAPPEE_BASE_URL`` is the URL of the service, or of a simulator.

    :raises ConfigurationError: a variable is missing, or cannot be used.
    """
    return SmappeeClient(Credentials.from_env(), base_url=os.environ.get("SMAPPEE_BASE_URL") or defaults.BASE_URL)


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
