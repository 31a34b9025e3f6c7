"""Where one store object may be used: on which threads and event loops, and in which process."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import random

import anyio

from smappee_async.defaults import LOCK_POLL_S
from smappee_async.errors import TokenStoreError


class Turns:
    """A lock between all tasks of a process. A lock of asyncio or anyio works in one event loop only.

    The tasks of one loop take turns in the order in which they came. Loops of several threads take turns by polling,
    because no lock wakes a task of another loop. After a fork the child begins anew.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._among_threads = threading.Lock()
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, anyio.Lock] = weakref.WeakKeyDictionary()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for the turn, and hold it."""
        if self._process != os.getpid():
            # What is held here is held by tasks of the parent, which do not run in this process.
            self._begin()
        among_threads = self._among_threads
        async with self._of_loop.setdefault(asyncio.get_running_loop(), anyio.Lock()):
            while not among_threads.acquire(blocking=False):  # noqa: ASYNC110 - another loop has it
                await asyncio.sleep(LOCK_POLL_S * (0.5 + random()))
            try:
                yield
            finally:
                among_threads.release()


def check_process(process: int) -> None:
    """Refuse tokens that were copied by a fork.

    :param process: the process in which they were put into memory.
    :raises TokenStoreError: this is another process.
    """
    if process != os.getpid():
        raise _elsewhere("the token store in memory was made in another process, before a fork")


def _elsewhere(reason: str) -> TokenStoreError:
    return TokenStoreError(
        reason, advice="Make one store for each event loop and each process; FileTokenStore can be shared"
    )
