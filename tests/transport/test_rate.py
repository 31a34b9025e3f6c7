"""No second sees more requests than the rate allows."""

from __future__ import annotations

import asyncio
import bisect

import pytest

from smappee_async.testing import VirtualTimeLoop
from smappee_async.transport.rate import rate_limiter

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize("rate", [1.0, 2.5, 10.0, 20.0, 100.0, 1000.0])
async def test_no_second_sees_more_than_the_rate_and_a_twentieth(rate: float) -> None:
    """R48."""
    limiter = await rate_limiter(rate)
    assert limiter is not None
    clock = asyncio.get_running_loop().time
    sent: list[float] = []

    async def send() -> None:
        await limiter.acquire()
        sent.append(clock())

    for _ in range(2):  # from the start, and after a time without requests
        await asyncio.gather(*(send() for _ in range(int(rate * 3))))
        await asyncio.sleep(10)

    worst = max(bisect.bisect_left(sent, begin + 1) - number for number, begin in enumerate(sent))
    assert worst <= max(1.05 * rate, rate + 1)
    count = int(rate * 3)
    assert sent[count - 1] - sent[0] == pytest.approx((count - 1) / rate, rel=0.1)


async def test_without_a_rate_there_is_no_limiter() -> None:
    assert await rate_limiter(None) is None
