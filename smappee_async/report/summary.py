"""Counts sessions and adds up their energy, some sessions at a time, exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, tzinfo
from decimal import Context, Decimal
from typing import Final, NamedTuple, TypeVar

import attrs

from smappee_async.models import ChargingSession

GroupT = TypeVar("GroupT")

#: Wide enough that a sum of any finite floats is exact, so that it does not depend on the order.
_EXACT: Final = Context(prec=1100)


@attrs.define
class Total:
    """Sessions of one group."""

    sessions: int = 0
    """How many there are."""
    energy_kwh: Decimal = Decimal(0)
    """Their energy together, kWh, exact."""
    without_energy: int = 0
    """How many of them have no energy, so that they are not in the sum."""

    def add(self, kwh: Decimal | None) -> None:
        """Count one session with its energy."""
        self.sessions += 1
        if kwh is None:
            self.without_energy += 1
        else:
            self.energy_kwh = _EXACT.add(self.energy_kwh, kwh)

    def __add__(self, other: Total) -> Total:
        return Total(
            self.sessions + other.sessions,
            _EXACT.add(self.energy_kwh, other.energy_kwh),
            self.without_energy + other.without_energy,
        )


class Connector(NamedTuple):
    """A connector of a charging station in a park."""

    service_location_id: int | None
    serial_number: str
    connector: int | None


class SessionSummary:
    """What sessions come to. It grows with the days, cards and connectors, not with the sessions.

    A session counts on the day, and in the hour, in which it **started**, by the local time of its park. Sessions that
    have no end yet are in :attr:`open` only, because their energy is not final. The order in which sessions are added
    does not matter; each is to be added once.

    :param zone: the zone of days and hours; or the zone of each park, by service location id, where a park that is
        missing counts in UTC.
    """

    def __init__(self, zone: tzinfo | Mapping[int, tzinfo]) -> None:
        self.total = Total()
        """The sessions that have ended."""
        self.open = Total()
        """The sessions that have no end, with their energy so far."""
        self.parks: dict[int | None, Total] = defaultdict(Total)
        """By service location id; ``None`` if stations were asked."""
        self.days: dict[date, Total] = defaultdict(Total)
        """By local day of the start; only days that have sessions."""
        self.cards: dict[str | None, Total] = defaultdict(Total)
        """By RFID, over all parks; ``None`` for sessions without a card."""
        self.connectors: dict[Connector, Total] = defaultdict(Total)
        """By connector."""
        self.hours: list[list[int]] = [[0] * 24 for _ in range(7)]
        """How many sessions started in each hour of each weekday: ``hours[0][8]`` on Mondays from 8 to 9."""
        self._zone = zone

    def add(self, sessions: Iterable[ChargingSession]) -> None:
        """Count some more sessions."""
        for session in sessions:
            self._add(session)

    def _add(self, session: ChargingSession) -> None:
        kwh = session.energy_kwh
        if session.to_ms is None:
            self.open.add(kwh)
            return
        park = session.service_location_id
        local = session.started_at.astimezone(self._zone_of(park))
        self.total.add(kwh)
        self.parks[park].add(kwh)
        self.days[local.date()].add(kwh)
        self.cards[session.rfid].add(kwh)
        self.connectors[Connector(park, session.serial_number, session.connector)].add(kwh)
        self.hours[local.weekday()][local.hour] += 1

    def _zone_of(self, park: int | None) -> tzinfo:
        if isinstance(self._zone, tzinfo):
            return self._zone
        return UTC if park is None else self._zone.get(park, UTC)


def by_energy(groups: Mapping[GroupT, Total]) -> list[tuple[GroupT, Total]]:
    """Groups with the most energy first; of equal ones, those with more sessions, and then by their names."""

    def place(group: tuple[GroupT, Total]) -> tuple[Decimal, int, str]:
        name, total = group
        return -total.energy_kwh, -total.sessions, repr(name)

    return sorted(groups.items(), key=place)
