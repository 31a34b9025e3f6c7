"""The time zones in which a file shows local times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import TypeAlias

from smappee_async.errors import ConfigurationError
from smappee_async.timerange import time_zone

Zones: TypeAlias = (
    str | tzinfo | Mapping[int, str | tzinfo] | Mapping[str, str | tzinfo] | Mapping[int | str, str | tzinfo]
)
"""A time zone for all sessions, or one for each service location id, or serial number of a station that was asked."""


class TimeZones:
    """The time zone of each park, or station that was asked.

    :raises ConfigurationError: a zone does not exist.
    """

    def __init__(self, tz: Zones) -> None:
        self._zones: dict[int | str, tzinfo] = {}
        if isinstance(tz, Mapping):
            self._zones.update((name, time_zone(zone)) for name, zone in tz.items())
        self._zone = None if isinstance(tz, Mapping) else time_zone(tz)

    def of(self, asked: int | str) -> tzinfo:
        """The zone of a park by its id, or of a station by its serial number.

        :raises ConfigurationError: it has none.
        """
        zone = self._zone if self._zone is not None else self._zones.get(asked)
        if zone is None:
            raise ConfigurationError(
                f"tz has no time zone for {asked}", advice="Give one for each park, or one for all"
            )
        return zone
