"""How many requests a second: the seam where a limiter for several processes can take the place of the local one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio.to_thread

from smappee_async.defaults import BURST_SHARE


class RateLimiter(Protocol):
    """Limits how many requests are sent in a second."""

    async def acquire(self) -> None:
        """Wait until one more request may be sent."""
        ...


async def local_rate_limiter(requests_per_second: float | None) -> RateLimiter | None:
    """A limiter for the calls of one client; ``None`` for no limit."""
    if requests_per_second is None:
        return None
    # A leaky bucket lets a full burst through beside what leaks in the same second, so the burst must be small.
    burst = max(1.0, BURST_SHARE * requests_per_second)
    # Few clients have a limit. The import reads files, which would hold the event loop.
    make = await anyio.to_thread.run_sync(_load)
    return make(burst, burst / requests_per_second)


def _load() -> Callable[[float, float], RateLimiter]:
    from aiolimiter import AsyncLimiter  # noqa: PLC0415 - see above

    return AsyncLimiter
