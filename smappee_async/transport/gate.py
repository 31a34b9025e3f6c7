"""The gate in front of Smappee: how many calls at once, how many a second, and a pause that holds all of them."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from smappee_async.limits import RateLimiter


class Permit(NamedTuple):
    """The right to make one call.

    :param is_probe: whether it is the one call that is allowed after a pause.
    :param had_to_wait: whether time may have passed before it was given.
    """

    is_probe: bool
    had_to_wait: bool = False


#: The usual one, made once.
_PERMIT: Final = Permit(is_probe=False)


class Gate:
    """Every call of a client passes the gate before any of its timers starts.

    When the server says that it is too busy, :meth:`pause` holds all calls. After the pause one call goes first, as a
    probe. The others follow when it succeeds, so that a service that has just recovered is not overloaded again.

    :param concurrency: how many calls may hold a permit at once.
    :param rate: limits the calls in a second; ``None`` for no limit.
    """

    def __init__(self, concurrency: int, rate: RateLimiter | None) -> None:
        # asyncio's semaphore, because anyio's limiter yields to the event loop for each permit. That would cost more
        # than everything else here.
        self._permits = asyncio.Semaphore(concurrency)
        self._rate = rate
        self._clock = asyncio.get_running_loop().time
        self._opens_at = 0.0
        self.is_paused = False
        """Whether calls are held."""
        self._probe_is_out = False
        self._changed = asyncio.Event()
        self.pause_reason = ""
        """Why calls are held: the sentence that :meth:`pause` was given last."""
        self.down_since: float | None = None
        """Loop time, in seconds, of the first failure that no success has followed."""

    @property
    def pause_s(self) -> float | None:
        """How many seconds the pause still lasts, 0 while its probe is awaited; ``None`` without a pause."""
        return max(0.0, self._opens_at - self._clock()) if self.is_paused else None

    async def enter(self) -> Permit:
        """Wait for a permit, for the end of a pause and for the rate. The permit is held until :meth:`leave`."""
        had_to_wait = self.is_paused or self._rate is not None or self._permits.locked()
        await self._permits.acquire()  # at once, if nothing has to be waited for
        if not had_to_wait:
            return _PERMIT
        is_probe = False
        try:
            while True:
                is_probe = await self._wait_until_open()
                if self._rate is not None:
                    await self._rate.acquire()
                if is_probe or not self.is_paused:
                    break  # otherwise a pause has begun while the rate was waited for
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
        """Wait for the end of the pause; true for the one caller that becomes its probe."""
        while self.is_paused:
            wait_s = self._opens_at - self._clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif self._probe_is_out:
                await self._changed.wait()
            else:
                self._probe_is_out = True
                return True
        return False

    def pause(self, seconds: float, reason: str) -> None:
        """Hold all calls for this long. A longer pause that has begun already stays."""
        self.is_paused = True
        self.pause_reason = reason
        self._opens_at = max(self._opens_at, self._clock() + seconds)

    async def throttled(self, retry_after_s: float | None) -> None:
        """The service said that it receives too many requests: the limiter may be shared with other processes."""
        if self._rate is not None:
            await self._rate.throttled(retry_after_s)

    def succeeded(self) -> None:
        """The service gave a definite response, so it is up; a pause whose time has passed ends."""
        self.down_since = None
        if self.is_paused and self._clock() >= self._opens_at:
            self.is_paused = False
            self._notify()

    def failed(self) -> None:
        """A call failed because of the service or the network, not because of what was asked."""
        if self.down_since is None:
            self.down_since = self._clock()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
