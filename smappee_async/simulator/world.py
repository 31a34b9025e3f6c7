"""The parks that an account can see, and all sessions in them, computed from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import attrs

from .mixing import mix_all
from .parks import HOME, HUB, OFFICE, Park, Profile
from .schedule import (
    CONNECTORS_IN_A_WORLD,
    LONGEST_SESSION_MS,
    ComputedSchedule,
    FixedSchedule,
    Schedule,
    by_start,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .sessions import SimulatedSession

_DEMO_ZONES: Final = (
    "Europe/Brussels",
    "Europe/London",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # changes its clock by half an hour
    "Europe/Amsterdam",
    "Europe/Lisbon",
    "America/Santiago",  # changes its clock at midnight
)
_DEMO_PROFILES: Final = (OFFICE, HOME, HUB, OFFICE, HOME)
_DEMO_FIRST_ID: Final = 10_001
# With connectors for 48 average weeks, a year of 52 weeks has 8 % more sessions than it needs. That is several times
# the random spread of the year of one connector.
_DEMO_WEEKS_IN_A_YEAR: Final = 48


@attrs.frozen
class Station:
    """One charging station and the park it stands in."""

    serial_number: int
    service_location_id: int


class World:
    """Charging parks with their sessions, past and future; the same seed gives the same world."""

    def __init__(self, parks: Iterable[Park], *, seed: int = 0) -> None:
        self.seed = seed
        self.parks: Mapping[int, Park] = _by_id(parks)
        self.stations: dict[int, Station] = {}
        self._schedules: dict[int, Schedule] = {}
        connectors = 0
        for park in self.parks.values():
            if park.profile is None:
                serial_numbers = iter(sorted({session.serial_number for session in park.sessions}))
                self._schedules[park.service_location_id] = FixedSchedule(park.sessions)
            else:
                schedule = ComputedSchedule(park, park.profile, seed=seed, first_connector=connectors)
                serial_numbers = schedule.serial_numbers()
                self._schedules[park.service_location_id] = schedule
                connectors += park.connectors + park.connectors % 2  # the next park begins with a new station
            for serial_number in serial_numbers:
                # A station is in one park. If two parks with fixed sessions name the same station, it is in the first.
                self.stations.setdefault(serial_number, Station(serial_number, park.service_location_id))
        if connectors > CONNECTORS_IN_A_WORLD:
            raise ValueError(f"{connectors} connectors are too many; a world has at most {CONNECTORS_IN_A_WORLD}")

    @classmethod
    def of(cls, parks: Iterable[Park], *, seed: int = 0) -> World:
        """A world of the parks given."""
        return cls(parks, seed=seed)

    @classmethod
    def demo(cls, *, seed: int = 1, parks: int = 24, sessions_per_year: int = 200_000) -> World:
        """A mixture of homes, offices and hubs in several time zones.

        Each calendar year after the opening has at least ``sessions_per_year`` sessions, all parks together.
        """
        if parks < 1:
            raise ValueError(f"a world needs at least one park, not {parks}")
        weights = [1 + mix_all(seed, number) % 8 for number in range(parks)]
        total = sum(weights)
        return cls(
            (_demo_park(number, sessions_per_year * weight / total) for number, weight in enumerate(weights)),
            seed=seed,
        )

    def schedule(self, service_location_id: int) -> Schedule:
        """The sessions of one park, in blocks.

        :raises LookupError: there is no such park.
        """
        return self._schedules[service_location_id]

    def sessions(self, service_location_id: int, start_ms: int, end_ms: int) -> Iterator[SimulatedSession]:
        """Sessions that start in ``[start_ms, end_ms)``, by start, whether or not they have begun yet."""
        schedule = self._schedules[service_location_id]
        for key, _, _ in schedule.blocks(start_ms, end_ms):
            block = [session for part in schedule.parts(key) for session in part]
            block.sort(key=by_start)
            yield from (session for session in block if start_ms <= session.start_ms < end_ms)

    def earliest_open_ms(self, service_location_id: int, at_ms: int) -> int:
        """No session that is open at ``at_ms`` started before this."""
        if self.parks[service_location_id].profile is None:
            return -(1 << 62)
        return at_ms - LONGEST_SESSION_MS

    def uuid(self, service_location_id: int) -> str:
        """The service location's own uuid: the same in every run."""
        high, low = mix_all(self.seed, service_location_id, 5), mix_all(self.seed, service_location_id, 6)
        return str(UUID(int=high << 64 | low, version=4))

    def gateway_serial_number(self, service_location_id: int) -> str:
        """Serial number of the location's gateway, which is not that of any charging station."""
        return f"51{mix_all(self.seed, service_location_id, 7) % 10**8:08d}"


def _by_id(parks: Iterable[Park]) -> dict[int, Park]:
    by_id: dict[int, Park] = {}
    for park in parks:
        if by_id.setdefault(park.service_location_id, park) is not park:
            raise ValueError(f"two parks have the service location id {park.service_location_id}")
    return by_id


def _demo_park(number: int, sessions_per_year: float) -> Park:
    profile: Profile = _DEMO_PROFILES[number % len(_DEMO_PROFILES)]
    per_connector = profile.sessions_per_week * _DEMO_WEEKS_IN_A_YEAR
    return Park(
        service_location_id=_DEMO_FIRST_ID + number,
        name=f"{profile.name.capitalize()} {_DEMO_FIRST_ID + number}",
        timezone=_DEMO_ZONES[number % len(_DEMO_ZONES)],
        profile=profile,
        connectors=int(sessions_per_year // per_connector) + 1,
    )
