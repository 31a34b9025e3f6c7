"""How many requests a second one client sends: the limiter for a rate that is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio.to_thread

from smappee_async.defaults import BURST_SHARE
from smappee_async.limits import RateLimiter

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class LocalRateLimiter:
    """A rate for one process.

    :param make: :class:`aiolimiter.AsyncLimiter`, which is imported only where there is a rate.
    """

    def __init__(self, make: Callable[[float, float], AsyncLimiter], requests_per_second: float) -> None:
        # A leaky bucket lets a full burst through beside what leaks in the same second, so the burst must be small.
        burst = max(1.0, BURST_SHARE * requests_per_second)
        self.acquire = make(burst, burst / requests_per_second).acquire

    async def throttled(self, retry_after_s: float | None) -> None:
        """Do nothing: the gate that received the 429 holds its calls, and no other process shares this rate."""


async def rate_limiter(rate: float | RateLimiter | None) -> RateLimiter | None:
    """The limiter of ``Limits.rate``; ``None`` for no limit."""
    if not isinstance(rate, int | float):
        return rate
    # Few clients have a limit. The import reads files, which would hold the event loop.
    return LocalRateLimiter(await anyio.to_thread.run_sync(_load), rate)


def _load() -> Callable[[float, float], AsyncLimiter]:
    from aiolimiter import AsyncLimiter  # noqa: PLC0415 - see above

    return AsyncLimiter
