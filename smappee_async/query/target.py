"""What a query asks: one charging park, or one charging station."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self

from smappee_async.errors import CallFacts
from smappee_async.protocol.requests import Request, park_sessions, station_sessions
from smappee_async.timerange import TimeRange

_KEY: Final = r"park:(?P<park>[0-9]{1,19})|station:(?P<station>[A-Za-z0-9_-]{1,64})"


class Target(NamedTuple):
    """A charging park by its service location id, or a charging station by its serial number.

    A named tuple, because it is a key in many dictionaries, and the hash of a tuple costs least.
    """

    service_location_id: int | None = None
    serial_number: str | None = None

    @property
    def key(self) -> str:
        """The target as text in stored data: ``park:1001`` or ``station:6120009999``. This form does not change."""
        return f"park:{self.service_location_id}" if self.serial_number is None else f"station:{self.serial_number}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """The target of a :attr:`key`.

        :raises ValueError: it is no such key.
        """
        found = re.fullmatch(_KEY, key, re.ASCII)
        if found is None:
            raise ValueError(f"not the key of a park or a station: {key!r}")
        return cls(int(found["park"])) if found["park"] else cls(serial_number=found["station"])

    def request(self, base_url: str, time_range: TimeRange, *, active: bool) -> Request:
        """The request for this target's sessions that started in a time range."""
        if self.serial_number is not None:
            return station_sessions(base_url, self.serial_number, time_range, active=active)
        assert self.service_location_id is not None
        return park_sessions(base_url, self.service_location_id, time_range, active=active)

    def facts(self, time_range: TimeRange) -> CallFacts:
        """What to say in errors and events about this target and a time range."""
        return CallFacts(
            service_location_id=self.service_location_id, serial_number=self.serial_number, time_range=time_range
        )

    def __str__(self) -> str:
        return f"park {self.service_location_id}" if self.serial_number is None else f"station {self.serial_number}"
