"""Descriptions of charging parks: place, size, and how their connectors are used."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import attrs

from .clock import epoch_ms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .sessions import SimulatedSession

_OPENED: Final = date(2015, 1, 1)


@attrs.frozen(kw_only=True)
class Profile:
    """How one connector is used in a week.

    A connector's day begins at ``opening_hour`` local time and is divided evenly among its sessions, so that they
    never overlap. Some sessions cross midnight, the end of a month and the changes of the clock. On weekday ``d``
    (Monday is 0) a connector has at least ``least[d]`` sessions and at most ``least[d] + spare[d]``.
    """

    name: str
    opening_hour: int
    least: tuple[int, ...]
    spare: tuple[int, ...]
    energy_per_session_kwh: int
    cards_per_connector: int
    long_weekend_one_in: int = 0
    """In one week of so many there is a single session from Friday until Sunday or Monday; 0 means never."""

    @property
    def sessions_per_week(self) -> float:
        """Expected sessions of a connector in a week."""
        usual = sum(self.least) + sum(self.spare) / 2
        if not self.long_weekend_one_in:
            return usual
        weekend = sum(self.least[4:]) + sum(self.spare[4:]) / 2
        return usual - (weekend - 1) / self.long_weekend_one_in


HOME: Final = Profile(
    name="home",
    opening_hour=16,
    least=(1, 0, 1, 0, 1, 1, 0),
    spare=(0, 1, 0, 1, 0, 0, 1),
    energy_per_session_kwh=18,
    cards_per_connector=3,
    long_weekend_one_in=16,
)
OFFICE: Final = Profile(
    name="office",
    opening_hour=6,
    least=(2, 2, 2, 2, 1, 0, 0),
    spare=(1, 1, 1, 1, 1, 1, 0),
    energy_per_session_kwh=16,
    cards_per_connector=4,
)
HUB: Final = Profile(
    name="hub",
    opening_hour=3,
    least=(9, 9, 9, 9, 9, 8, 8),
    spare=(3, 3, 3, 3, 3, 5, 5),
    energy_per_session_kwh=28,
    cards_per_connector=6,
)


def _known_timezone(_: object, __: object, name: str) -> None:
    ZoneInfo(name)


@attrs.frozen(kw_only=True)
class Park:
    """One charging park: a service location with charging stations of up to two connectors each.

    A park with a ``profile`` has computed sessions; a park without one has exactly those in ``sessions``.
    """

    service_location_id: int
    name: str
    timezone: str = attrs.field(default="Europe/Brussels", validator=_known_timezone)
    profile: Profile | None = None
    connectors: int = 0
    opened: date = _OPENED
    sessions: tuple[SimulatedSession, ...] = ()
    appears_ms: int | None = None
    """Before this instant the account cannot see the park; ``None``: it always can."""

    def appearing(self, at: str | datetime) -> Park:
        """The same park, which the account cannot see before an instant."""
        return attrs.evolve(self, appears_ms=epoch_ms(at))

    def appeared(self, at_ms: int) -> bool:
        """Whether the account can see the park at a moment."""
        return self.appears_ms is None or self.appears_ms <= at_ms

    @classmethod
    def home(
        cls,
        service_location_id: int,
        *,
        name: str | None = None,
        timezone: str = "Europe/Brussels",
        connectors: int = 8,
        opened: date = _OPENED,
    ) -> Park:
        """Homes of one fleet: a session in most nights, and sometimes one that lasts a whole weekend."""
        return cls._computed(
            HOME, service_location_id, name=name, timezone=timezone, connectors=connectors, opened=opened
        )

    @classmethod
    def office(
        cls,
        service_location_id: int,
        *,
        name: str | None = None,
        timezone: str = "Europe/Brussels",
        connectors: int = 20,
        opened: date = _OPENED,
    ) -> Park:
        """A car park at work: two or three sessions a working day on each connector, quiet weekends."""
        return cls._computed(
            OFFICE, service_location_id, name=name, timezone=timezone, connectors=connectors, opened=opened
        )

    @classmethod
    def hub(
        cls,
        service_location_id: int,
        *,
        name: str | None = None,
        timezone: str = "Europe/Brussels",
        sessions_per_day: float = 200,
        opened: date = _OPENED,
    ) -> Park:
        """A busy public park with as many connectors as ``sessions_per_day`` needs on average."""
        connectors = max(1, -int(-sessions_per_day * 7 // HUB.sessions_per_week))
        return cls._computed(
            HUB, service_location_id, name=name, timezone=timezone, connectors=connectors, opened=opened
        )

    @classmethod
    def fixed(
        cls,
        service_location_id: int,
        sessions: Iterable[SimulatedSession] = (),
        *,
        name: str | None = None,
        timezone: str = "Europe/Brussels",
    ) -> Park:
        """A park with exactly these sessions."""
        ordered = tuple(sorted(sessions, key=lambda session: (session.start_ms, session.id)))
        if len({session.id for session in ordered}) != len(ordered):
            raise ValueError(f"two sessions of park {service_location_id} have the same id")
        return cls(
            service_location_id=service_location_id,
            name=name or f"Park {service_location_id}",
            timezone=timezone,
            sessions=ordered,
        )

    @classmethod
    def _computed(
        cls,
        profile: Profile,
        service_location_id: int,
        *,
        name: str | None,
        timezone: str,
        connectors: int,
        opened: date,
    ) -> Park:
        if connectors < 1:
            raise ValueError(f"park {service_location_id} needs at least one connector, not {connectors}")
        return cls(
            service_location_id=service_location_id,
            name=name or f"{profile.name.capitalize()} {service_location_id}",
            timezone=timezone,
            profile=profile,
            connectors=connectors,
            opened=opened,
        )
