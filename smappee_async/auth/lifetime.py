"""How long a token is good, by two clocks that both can be wrong."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from smappee_async import defaults


@attrs.frozen
class ClockTimes:
    """Both clocks at one moment, in seconds."""

    wall: float
    monotonic: float


@attrs.frozen
class Clocks:
    """Time as the token's life needs it: neither clock is enough alone.

    :param wall: seconds since 1970. Goes on while the machine sleeps, but may jump.
    :param monotonic: seconds. Never jumps, but may stand still while the machine sleeps.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]

    def now(self) -> ClockTimes:
        """Both at once."""
        return ClockTimes(self.wall(), self.monotonic())


@attrs.frozen
class TokenLifetime:
    """How long a token is good, by both clocks; the one that says less is believed.

    After a jump or a sleep that costs one renewal too many, or one call that is refused and repeated, and never more.
    """

    ends: ClockTimes
    margin_s: float

    @classmethod
    def of(cls, life_s: float, since: ClockTimes, jitter: float) -> TokenLifetime:
        """A life of so many seconds.

        :param since: when it began.
        :param jitter: between 0 and 1, drawn once per process.
        """
        share_s = life_s * defaults.REFRESH_MARGIN_SHARE
        margin_s = min(defaults.REFRESH_MARGIN_S, share_s) + jitter * min(defaults.REFRESH_JITTER_S, share_s)
        return cls(ClockTimes(since.wall + life_s, since.monotonic + life_s), margin_s)

    def left_s(self, now: ClockTimes) -> float:
        """Seconds left."""
        return min(self.ends.wall - now.wall, self.ends.monotonic - now.monotonic)

    def is_fresh(self, now: ClockTimes) -> bool:
        """It serves, and need not be renewed yet."""
        return self.left_s(now) > self.margin_s
