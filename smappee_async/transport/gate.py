"""The one gate in front of Smappee: how many calls at once, how many a second, and a pause that holds for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiolimiter import AsyncLimiter

from smappee_async.limits import Limits


class Gate:
    """Every call of a client goes through here before any of its timers starts.

    When the server says that it is too busy, :meth:`pause` holds everybody back. After the pause a single probe goes
    first; once it succeeds the rest follow, so that a service that just came back is not run over again.
    """

    def __init__(self, limits: Limits) -> None:
        self._places = anyio.CapacityLimiter(limits.concurrency)
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

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a free place, the end of a pause and the rate; then hold the place."""
        # A new borrower each time: a task may hold several places, one inside the other.
        async with _Borrowed(self._places):
            is_probe = await self._wait_until_open()
            try:
                if self._rate is not None:
                    await self._rate.acquire()
                yield
            finally:
                if is_probe:
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
        """A good answer came: the service is up, and a pause that has been waited out ends."""
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


class _Borrowed:
    """One place of the limiter, borrowed in a name of its own."""

    def __init__(self, places: anyio.CapacityLimiter) -> None:
        self._places = places

    async def __aenter__(self) -> None:
        await self._places.acquire_on_behalf_of(self)

    async def __aexit__(self, *_: object) -> None:
        self._places.release_on_behalf_of(self)
