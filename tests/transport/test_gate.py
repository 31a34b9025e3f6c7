"""The gate asks the limiter that it was given, and says how long a pause lasts."""

from __future__ import annotations

import pytest

from smappee_async.transport.gate import Gate

pytestmark = pytest.mark.anyio


class CountingLimiter:
    """A limiter that only counts: the seam for one that several processes share."""

    def __init__(self) -> None:
        self.acquired = 0

    async def acquire(self) -> None:
        self.acquired += 1

    async def throttled(self, retry_after_s: float | None) -> None:
        raise AssertionError("the gate was told of no 429")


async def test_each_call_asks_the_limiter_once() -> None:
    limiter = CountingLimiter()
    gate = Gate(2, limiter)
    for _ in range(3):
        gate.leave(await gate.enter())
    assert limiter.acquired == 3


async def test_an_open_gate_has_no_pause() -> None:
    assert Gate(1, None).pause_s is None


async def test_a_pause_says_how_long_it_lasts_and_why() -> None:
    gate = Gate(1, None)
    gate.pause(60, "Smappee answered 429")
    assert gate.pause_s == pytest.approx(60, abs=5)
    assert gate.pause_reason == "Smappee answered 429"


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    gate = Gate(1, None)
    gate.pause(60, "long")
    gate.pause(1, "short")
    assert gate.pause_s == pytest.approx(60, abs=5)


class PausesMeanwhile(CountingLimiter):
    """A limiter during whose first wait the service says that it is too busy."""

    gate: Gate

    async def acquire(self) -> None:
        await super().acquire()
        if self.acquired == 1:
            self.gate.pause(0, "Smappee answered 429")


async def test_a_pause_that_begins_while_the_rate_is_waited_for_is_kept() -> None:
    limiter = PausesMeanwhile()
    limiter.gate = gate = Gate(2, limiter)
    permit = await gate.enter()
    assert permit.is_probe
    assert limiter.acquired == 2
    gate.leave(permit)
