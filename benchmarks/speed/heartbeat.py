"""A heartbeat in an event loop: measures for how long the loop is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

_BEAT_S = 0.001


@attrs.define
class Heartbeat:
    """Sleeps a millisecond at a time, and records how late it wakes up.

    :param late_s: how late each beat was. This is what other tasks notice; it includes what the machine did besides.
    :param held_s: the CPU time of this thread within each beat: for how long the loop itself was held.
    """

    late_s: list[float] = attrs.field(factory=list)
    held_s: list[float] = attrs.field(factory=list)

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_BEAT_S)
            self.held_s.append(time.thread_time() - cpu_s)
            self.late_s.append(time.perf_counter() - wall_s - _BEAT_S)


@contextmanager
def beating() -> Iterator[Heartbeat]:
    """A heartbeat that runs while the block does."""
    heartbeat = Heartbeat()
    task = asyncio.get_running_loop().create_task(heartbeat.beat())
    try:
        yield heartbeat
    finally:
        task.cancel()
