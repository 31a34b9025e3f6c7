"""The one gate in front of Smappee: how many calls at once, how many a second, and a pause that holds for everybody."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiolimiter import AsyncLimiter

from smappee_async.limits import Limits


class Permit(NamedTuple):
    """The right to make one call.

    :param is_probe: whether it is the one call that is let through after a pause.
    :param had_to_wait: whether time may have passed before it was given.
    """

    is_probe: bool
    had_to_wait: bool = False


class Gate:
    """Every call of a client goes through here before any of its timers starts.

    When the server says that it is too busy, :meth:`pause` holds everybody back. After the pause a single probe goes
    first; once it succeeds the rest follow, so that a service that just came back is not run over again.
    """

    def __init__(self, limits: Limits) -> None:
        # asyncio's own: anyio's limiters give way to the event loop at each permit, which costs more than all the rest.
        self._permits = asyncio.Semaphore(limits.concurrency)
        self._rate = None
        if limits.requests_per_second is not None:
            burst = max(1.0, limits.requests_per_second)
            self._rate = AsyncLimiter(burst, burst / limits.requests_per_second)
        self._clock = asyncio.get_running_loop().time
        self._opens_at = 0.0
        self._paused = False
        self._probe_is_out = False
        self._changed = asyncio.Event()
        self.down_since: float | None = None
        """When the first of the failures came that no success has followed; loop time, seconds."""

    async def enter(self) -> Permit:
        """Wait for a free permit, the end of a pause and the rate. The permit is held until :meth:`leave`."""
        had_to_wait = self._paused or self._rate is not None or self._permits.locked()
        await self._permits.acquire()
        is_probe = False
        try:
            is_probe = await self._wait_until_open()
            if self._rate is not None:
                await self._rate.acquire()
        except BaseException:
            self.leave(Permit(is_probe=is_probe))
            raise
        return Permit(is_probe, had_to_wait)

    def leave(self, permit: Permit) -> None:
        """Give a permit back."""
        self._permits.release()
        if permit.is_probe:
            self._probe_is_out = False
            self._notify()

    async def _wait_until_open(self) -> bool:
        """Wait out the pause; true for the one caller that is let through as its probe."""
        while self._paused:
            wait_s = self._opens_at - self._clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif self._probe_is_out:
                await self._changed.wait()
            else:
                self._probe_is_out = True
                return True
        return False

    def pause(self, seconds: float) -> None:
        """Hold everybody back for this long; a longer pause that is under way stays."""
        self._paused = True
        self._opens_at = max(self._opens_at, self._clock() + seconds)

    def answered(self) -> None:
        """A good response came: the service is up, and a pause that has been waited out ends."""
        self.down_since = None
        if self._paused and self._clock() >= self._opens_at:
            self._paused = False
            self._notify()

    def failed(self) -> None:
        """A call failed in a way that speaks of the service, not of the call."""
        if self.down_since is None:
            self.down_since = self._clock()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
