"""Runs a simulator in a thread, for tests and programs that should not serve it in their own event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from smappee_async.simulator import Simulator


@contextmanager
def in_thread(make: Callable[[], Simulator]) -> Iterator[Simulator]:
    """A simulator that runs in a thread and an event loop of its own while the block lasts.

    An exception from ``make``, or from the start, is raised here after the thread has ended.

    :param make: makes the simulator; called in that thread.
    """
    started: Future[tuple[Simulator, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with make() as simulator:
            over = asyncio.Event()
            if started.set_running_or_notify_cancel():
                started.set_result((simulator, asyncio.get_running_loop(), over))
                await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="smappee simulator", daemon=True)
    thread.start()
    try:
        simulator, _, _ = started.result()
        yield simulator
    finally:
        # If the wait was interrupted, the start is cancelled or has ended in the meantime.
        if not started.cancel() and started.exception() is None:
            _, loop, over = started.result()
            loop.call_soon_threadsafe(over.set)
        thread.join()
