"""How often sessions of which age are read again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from smappee_async.errors import ConfigurationError

_HOUR_MS: Final = 3_600_000
_CLOCK_DIFFERENCE_MS: Final = 60_000
_MS: Final = timedelta(milliseconds=1)


@attrs.frozen
class Tier:
    """Sessions that started at most ``age`` ago are read again when ``every`` has passed.

    :param age: how long ago a session started.
    :param every: how often it is read; zero for each sync.
    """

    age: timedelta
    every: timedelta

    def __attrs_post_init__(self) -> None:
        if self.age <= timedelta(0) or self.every < timedelta(0):
            raise ConfigurationError(
                f"a tier needs a positive age and an interval, not {self.age} and {self.every}",
                advice="Use Tier(age=timedelta(days=14), every=timedelta(days=1))",
            )

    @property
    def age_ms(self) -> int:
        """The age in milliseconds."""
        return self.age // _MS

    def is_due(self, last_read_ms: int, now_ms: int) -> bool:
        """Whether its sessions are to be read now: always, if it is read in every visit.

        A little early counts: a sync that runs each hour would otherwise miss a tier by a second, and read it an hour
        late. A last read in the future shows that the clock of the service was wrong, unless it is so near that two
        of its servers differ.
        """
        every_ms = self.every // _MS
        if not every_ms:
            return True
        slack_ms = min(every_ms // 20, _HOUR_MS)
        return last_read_ms > now_ms + _CLOCK_DIFFERENCE_MS or now_ms - last_read_ms >= every_ms - slack_ms


#: Sessions change within hours of their end, seldom within weeks, and hardly ever after a year.
DEFAULT_TIERS: Final[tuple[Tier, ...]] = (
    Tier(age=timedelta(days=2), every=timedelta(0)),
    Tier(age=timedelta(days=14), every=timedelta(days=1)),
    Tier(age=timedelta(days=90), every=timedelta(days=7)),
    Tier(age=timedelta(days=400), every=timedelta(days=30)),
)


def check_tiers(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """The tiers, youngest first.

    :raises ConfigurationError: there is none, or an older one is read more often than a younger one.
    """
    ordered = tuple(sorted(tiers, key=lambda tier: tier.age))
    if not ordered or [tier.every for tier in ordered] != sorted(tier.every for tier in ordered):
        raise ConfigurationError(
            "tiers are at least one, and older sessions are not read more often than younger ones",
            advice="Leave tiers out for the default",
        )
    return ordered
