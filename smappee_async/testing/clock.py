"""An event loop in which waiting takes no time: for tests of retries, time-outs and expiry."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from typing import Final

#: Data between two ends in one process is there at once; this much real time is given to the odd straggler.
_GRACE_S: Final = 0.001
#: A timer is due when it lies less than this ahead: asyncio's own reckoning.
_RESOLUTION_S: Final = time.get_clock_info("monotonic").resolution


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock stands still while anything can run, and jumps when all are waiting.

    ``asyncio.sleep(3600)`` returns at once, one hour later by :meth:`time`, and the order of things is that of real
    time. Sockets work where both ends live in this loop, as with a :class:`~smappee_async.simulator.Simulator` in the
    same test; work in threads and other processes is not waited for::

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
        """Move the clock on."""
        self._now_s += seconds
        if self._now_s + _RESOLUTION_S == self._now_s:
            # So late, after some 100 days, that a nanosecond is lost in rounding and a timer would never be due.
            self._now_s = math.nextafter(self._now_s, math.inf)


class _JumpingSelector(selectors.DefaultSelector):
    """Where a real selector would sleep until the next timer, move the clock there."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, _GRACE_S))
        if not ready:
            self._loop.jump(timeout)
        return ready
