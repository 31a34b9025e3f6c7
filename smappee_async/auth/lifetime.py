"""How long a token is valid, by two clocks that can both be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Self

import msgspec

from smappee_async import defaults
from smappee_async.secret import Opaque


class ClockTimes(Opaque, msgspec.Struct, frozen=True, eq=False):
    """What both clocks show at one moment, in seconds."""

    wall: float
    monotonic: float


class Clocks(Opaque, msgspec.Struct, frozen=True, eq=False):
    """The two clocks that tokens are timed with. Neither is enough alone.

    :param wall: seconds since 1970. Continues while the machine sleeps, but may jump.
    :param monotonic: seconds. Never jumps, but may stand still while the machine sleeps.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]

    def now(self) -> ClockTimes:
        """What both clocks show now."""
        return ClockTimes(self.wall(), self.monotonic())


class TokenLifetime(Opaque, msgspec.Struct, frozen=True, eq=False):
    """How long an access token is valid. The clock that says less is believed.

    So a clock that jumps, or a machine that sleeps, costs at most one renewal that was not needed yet, or one call that
    is refused and repeated.

    :param ends: when the token ends.
    :param margin_s: how many seconds before that it is renewed.
    """

    ends: ClockTimes
    margin_s: float

    @classmethod
    def of(cls, life_s: float, since: ClockTimes, jitter: float) -> Self:
        """A lifetime of ``life_s`` seconds.

        :param since: when it began.
        :param jitter: between 0 and 1; with a larger one, the token is renewed earlier.
        """
        share_s = life_s * defaults.REFRESH_MARGIN_SHARE
        margin_s = min(defaults.REFRESH_MARGIN_S, share_s) + jitter * min(defaults.REFRESH_JITTER_S, share_s)
        return cls(ClockTimes(since.wall + life_s, since.monotonic + life_s), margin_s)

    def remaining_s(self, now: ClockTimes) -> float:
        """Seconds until the token ends; negative afterwards."""
        return min(self.ends.wall - now.wall, self.ends.monotonic - now.monotonic)

    def is_fresh(self, now: ClockTimes) -> bool:
        """Whether the token is valid and need not be renewed yet."""
        return self.remaining_s(now) > self.margin_s


#: The lifetime where there is no token.
NO_LIFETIME: Final = TokenLifetime(ClockTimes(-math.inf, -math.inf), 0.0)
