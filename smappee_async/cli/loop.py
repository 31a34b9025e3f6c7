"""Runs the asynchronous part of a command so that every request to end it takes the way of Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

ResultT = TypeVar("ResultT")
Handler = Callable[[int, FrameType | None], object]

#: Signals that ask to end in good order, besides SIGINT, which asyncio takes care of.
ENDING_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def run_async(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """:func:`asyncio.run`, which the ending signals end as SIGINT does: by cancelling ``main``.

    An exception out of a signal handler may come up anywhere in the event loop, and get lost there or leave things half
    done. So the handlers that stand for these signals are asked to raise only outside the loop, or the second time.

    :raises KeyboardInterrupt: a signal ended it.
    """
    was_ended = False

    async def ended_by_signals() -> ResultT:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def end() -> bool:
            nonlocal was_ended
            if was_ended or task.done():
                return False
            was_ended = True
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # it may be asleep
            return True

        with _ending(end):
            return await main

    try:
        return asyncio.run(ended_by_signals())
    except asyncio.CancelledError:
        if not was_ended:
            raise
    raise KeyboardInterrupt


@contextmanager
def _ending(end: Callable[[], bool]) -> Iterator[None]:
    """Let signals that have a handler call ``end`` instead of raising, for as long as that says that it helps."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows handlers in the main thread only
        return

    def taking(before: Handler) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                before(number, frame)
            except KeyboardInterrupt:
                if not end():
                    raise

        return handle

    taken: dict[int, Handler] = {}
    for number in ENDING_SIGNALS:
        before = signal.getsignal(number)
        if callable(before):
            taken[number] = before
            signal.signal(number, taking(before))
    try:
        yield
    finally:
        for number, before in taken.items():
            signal.signal(number, before)
