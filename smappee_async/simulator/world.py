"""The parks that an account can see, and all sessions in them, computed from a seed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from uuid import UUID

import attrs

from .changes import Changes, ChangingBlock, Versioner, explicit, moved_ms
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

    from .changes import Versions
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
# Many homes with a session a day or two, some offices with about thirty, and a few hubs with all the rest.
_DEMO_PROFILES: Final = (HUB, HOME, OFFICE, HOME, HOME, HOME, OFFICE, HOME, HOME, HOME, OFFICE, HOME)
_DEMO_CONNECTORS: Final = {HOME: (1, 1, 2, 1), OFFICE: (18, 15, 21, 16)}
_DEMO_OFFICES_SHARE: Final = 0.4
"""The most of all sessions that offices have: where few are asked for, offices are smaller."""
_DEMO_FIRST_ID: Final = 10_001
_KEPT_SESSIONS: Final = 200_000
"""Sessions that are kept with their versions, in about 115 MB."""
NO_CHANGES: Final = Changes()
"""Sessions begin and end, and do not change otherwise."""
# With connectors for 48 average weeks, a year of 52 weeks has 8 % more sessions than it needs. That is several times
# the random spread of the year of one connector.
_DEMO_WEEKS_IN_A_YEAR: Final = 48


@attrs.frozen
class Station:
    """One charging station and the park it stands in."""

    serial_number: int
    service_location_id: int


class World:
    """Charging parks with their sessions, past and future; the same seed gives the same world.

    :param changes: how the sessions of computed parks change after they were listed; by default they do not.
    """

    def __init__(self, parks: Iterable[Park], *, seed: int = 0, changes: Changes = NO_CHANGES) -> None:
        self.seed = seed
        self.changes = changes
        self._versioner = Versioner(changes, seed=seed)
        self._blocks: OrderedDict[tuple[int, int], ChangingBlock] = OrderedDict()
        self.kept_sessions = 0
        """How many sessions are kept with their versions; none in a world that does not change."""
        self._moved_ms: dict[int, int] = {}
        self.parks: Mapping[int, Park] = _by_id(parks)
        self.stations: dict[int, Station] = {}
        self._schedules: dict[int, Schedule] = {}
        connectors = 0
        for park in self.parks.values():
            if park.profile is None:
                serial_numbers = iter(sorted({session.serial_number for session in park.sessions}))
                self._schedules[park.service_location_id] = FixedSchedule(park.sessions)
                if any(session.later for session in park.sessions):
                    self._moved_ms[park.service_location_id] = max(map(moved_ms, park.sessions))
            else:
                schedule = ComputedSchedule(park, park.profile, seed=seed, first_connector=connectors)
                serial_numbers = schedule.serial_numbers()
                self._schedules[park.service_location_id] = schedule
                if changes.any:
                    self._moved_ms[park.service_location_id] = changes.moved_minutes * 60_000
                connectors += park.connectors + park.connectors % 2  # the next park begins with a new station
            for serial_number in serial_numbers:
                # A station is in one park. If two parks with fixed sessions name the same station, it is in the first.
                self.stations.setdefault(serial_number, Station(serial_number, park.service_location_id))
        if connectors > CONNECTORS_IN_A_WORLD:
            raise ValueError(f"{connectors} connectors are too many; a world has at most {CONNECTORS_IN_A_WORLD}")

    @classmethod
    def of(cls, parks: Iterable[Park], *, seed: int = 0, changes: Changes = NO_CHANGES) -> World:
        """A world of the parks given."""
        return cls(parks, seed=seed, changes=changes)

    @classmethod
    def demo(
        cls, *, seed: int = 1, parks: int = 24, sessions_per_year: int = 200_000, changes: Changes = NO_CHANGES
    ) -> World:
        """A mixture of homes, offices and hubs in several time zones.

        A home has about one session a day, an office thirty, and the hubs have the rest, which is hundreds a day.
        Each calendar year after the opening has at least ``sessions_per_year`` sessions, all parks together.
        """
        if parks < 1:
            raise ValueError(f"a world needs at least one park, not {parks}")
        return cls(_demo_parks(seed, parks, sessions_per_year), seed=seed, changes=changes)

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
        return at_ms - LONGEST_SESSION_MS - self.changes.open_ms

    def changing(self, service_location_id: int) -> bool:
        """Whether sessions of a park may have several versions."""
        return service_location_id in self._moved_ms

    def versions(self, service_location_id: int, session: SimulatedSession) -> Versions | None:
        """The versions of a session of :meth:`sessions`; ``None`` if it begins and ends, and changes no further."""
        if self.parks[service_location_id].profile is None:
            return explicit(session)
        return self._versioner.drawn(session)

    def moved_ms(self, service_location_id: int) -> int:
        """By how much the starts of a changing park may be corrected at most."""
        return self._moved_ms[service_location_id]

    def served(self, service_location_id: int, key: int) -> ChangingBlock:
        """One block of the schedule of a park whose sessions change. The latest blocks are kept."""
        place = (service_location_id, key)
        block = self._blocks.get(place)
        if block is not None:
            self._blocks.move_to_end(place)
            return block
        sessions = [session for part in self._schedules[service_location_id].parts(key) for session in part]
        block = self._blocks[place] = ChangingBlock(
            [(session, self.versions(service_location_id, session)) for session in sessions]
        )
        self.kept_sessions += len(sessions)
        while self.kept_sessions > _KEPT_SESSIONS and len(self._blocks) > 1:
            _, dropped = self._blocks.popitem(last=False)
            self.kept_sessions -= len(dropped.entries)
        return block

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


def _demo_parks(seed: int, parks: int, sessions_per_year: int) -> Iterator[Park]:
    profiles = [_DEMO_PROFILES[number % len(_DEMO_PROFILES)] for number in range(parks)]
    draws = [mix_all(seed, number) for number in range(parks)]
    offices = profiles.count(OFFICE)
    largest = int(_DEMO_OFFICES_SHARE * sessions_per_year / max(1, offices) // _year_of_a_connector(OFFICE))
    connectors: dict[int, int] = {}
    for number, profile in enumerate(profiles):
        if profile is not HUB:
            sizes = _DEMO_CONNECTORS[profile]
            size = sizes[draws[number] % len(sizes)]
            connectors[number] = max(1, min(size, largest)) if profile is OFFICE else size
    rest = sessions_per_year - sum(_year_of_a_connector(profiles[each]) * size for each, size in connectors.items())
    weights = {number: 3 + draws[number] % 4 for number, profile in enumerate(profiles) if profile is HUB}
    for number, profile in enumerate(profiles):
        if profile is HUB:
            share = max(0.0, rest) * weights[number] / sum(weights.values())
            connectors[number] = int(share // _year_of_a_connector(HUB)) + 1
        yield Park(
            service_location_id=_DEMO_FIRST_ID + number,
            name=f"{profile.name.capitalize()} {_DEMO_FIRST_ID + number}",
            timezone=_DEMO_ZONES[number % len(_DEMO_ZONES)],
            profile=profile,
            connectors=connectors[number],
        )


def _year_of_a_connector(profile: Profile) -> float:
    return profile.sessions_per_week * _DEMO_WEEKS_IN_A_YEAR
