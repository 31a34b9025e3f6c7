"""An event loop in which waiting takes no time: for tests of retries, time-outs and expiry."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Sized
from typing import Final

#: Data between two ends in one process arrives almost at once; this much real time is allowed for it.
_GRACE_S: Final = 0.001
#: For asyncio, a timer is due if it is less than this ahead.
_RESOLUTION_S: Final = time.get_clock_info("monotonic").resolution


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock stands still while a task can run, and jumps when all tasks wait.

    ``asyncio.sleep(3600)`` returns at once, one hour later by :meth:`time`; the order of events is that of real time.
    Sockets work if both ends are in this loop, as with a :class:`~smappee_async.simulator.Simulator` in the same test.
    The clock does not wait for threads and other processes::

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())

    With anyio's pytest plugin: ``anyio_backend = ("asyncio", {"loop_factory": VirtualTimeLoop})``.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now_s += seconds
        if self._now_s + _RESOLUTION_S == self._now_s:
            # After some 100 days a nanosecond is lost in rounding, and a timer would never be due.
            self._now_s = math.nextafter(self._now_s, math.inf)

    def only_timers_are_due(self) -> bool:
        """Whether the next turn runs timers alone: no task and no callback is ready."""
        ready: Sized = self._ready  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - asyncio's
        return not ready


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the clock to the next timer where a real selector would sleep until then."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            if self._loop.only_timers_are_due():
                # A limiter sets a timer whose length is lost in rounding again and again, until the clock goes on.
                self._loop.jump(_RESOLUTION_S)
            return super().select(timeout)
        ready = super().select(min(timeout, _GRACE_S))
        if not ready:
            self._loop.jump(timeout)
        return ready
