"""The rules of the shared rate once more, in Python: an oracle of the scripts, and a Redis in virtual time."""

from __future__ import annotations

import asyncio
import itertools

from redis.exceptions import ConnectionError as RedisConnectionError

from smappee_async.transport.redis_rate import _DIGESTS, _RESERVE, _RETURN

SECOND = 1_000_000


class Twin:
    """Slots, pause and cut, in microseconds. It remembers every cut and computes the share from them."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.paused_until = 0
        self.cuts: list[int] = []

    def share(self, now: int) -> float:
        share = 1.0
        for cut_at, next_at in itertools.pairwise([*self.cuts, now]):
            share = min(1.0, share * 0.7 + (next_at - cut_at) / (120 * SECOND))
        return share

    def reserve(self, now: int, rate: float, *, is_confirmed: bool) -> tuple[int, int]:
        if is_confirmed and now >= self.paused_until:
            return 0, 0
        slot = max(now, self.free_at, self.paused_until)
        self.free_at = slot + SECOND / (rate * self.share(now))
        return int(slot - now), max(0, self.paused_until - now)

    def throttled(self, now: int, pause: int) -> tuple[int, int]:
        if not self.cuts or now - self.cuts[-1] >= 2 * SECOND:
            self.cuts.append(now)
        self.paused_until = max(self.paused_until, now + pause)
        return 0, self.paused_until - now

    def returned(self, now: int) -> tuple[int, int]:
        if now > self.free_at + SECOND:
            self.paused_until = max(self.paused_until, now + SECOND)
        return 0, max(0, self.paused_until - now)


class TwinRedis:
    """Takes the place of a Redis client; its clock is that of the event loop."""

    def __init__(self) -> None:
        self.twin = Twin()
        self.scripts = 0
        self.error: Exception | None = None
        self.answers_after_s = 0.0

    async def evalsha(self, digest: str, keys: int, key: str, now: str, *arguments: str) -> list[int]:
        assert (keys, key, now) == (1, "account", "")
        await asyncio.sleep(self.answers_after_s)
        if self.error is not None:
            raise self.error
        self.scripts += 1
        now_us = round(asyncio.get_running_loop().time() * SECOND) + SECOND
        if digest == _DIGESTS[_RESERVE]:
            rate, confirmed = arguments
            return list(self.twin.reserve(now_us, float(rate), is_confirmed=confirmed == "1"))
        if digest == _DIGESTS[_RETURN]:
            return list(self.twin.returned(now_us))
        return list(self.twin.throttled(now_us, int(arguments[0])))

    def is_gone(self) -> None:
        self.error = RedisConnectionError("gone")

    def is_back(self) -> None:
        """With nothing in it."""
        self.error = None
        self.twin = Twin()
