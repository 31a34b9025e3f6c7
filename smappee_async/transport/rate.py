"""How many requests a second: the seam where a limiter for several processes can take the place of the local one."""

from __future__ import annotations

from typing import Protocol

from aiolimiter import AsyncLimiter

from smappee_async.defaults import BURST_SHARE


class RateLimiter(Protocol):
    """Limits how many requests are sent in a second."""

    async def acquire(self) -> None:
        """Wait until one more request may be sent."""
        ...


def local_rate_limiter(requests_per_second: float | None) -> RateLimiter | None:
    """A limiter for the calls of one client; ``None`` for no limit."""
    if requests_per_second is None:
        return None
    # A leaky bucket lets a full burst through beside what leaks in the same second, so the burst must be small.
    burst = max(1.0, BURST_SHARE * requests_per_second)
    return AsyncLimiter(burst, burst / requests_per_second)
