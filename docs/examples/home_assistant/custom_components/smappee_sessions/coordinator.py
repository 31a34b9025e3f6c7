"""Reads active and recent sessions, and keeps the latest of each connector."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from smappee_async import (
    AuthenticationError,
    ChargingSession,
    NotFound,
    RateLimited,
    SessionQuery,
    SmappeeClient,
    SmappeeError,
    TimeRange,
)

from .const import DOMAIN, LONGEST_SESSION, POLL_INTERVAL, RECENTLY, UPDATE_DEADLINE

_LOGGER = logging.getLogger(__name__)


class Connector(NamedTuple):
    """A connector of a charging station; its position if Smappee tells it."""

    serial_number: str
    position: int | None


@dataclass(frozen=True)
class Reading:
    """What the sensors show. It compares by value, so ``always_update=False`` works."""

    latest: Mapping[Connector, ChargingSession] = field(default_factory=dict)
    failing: frozenset[int] = frozenset()


class SmappeeCoordinator(DataUpdateCoordinator[Reading]):
    """Asks for all parks of the account in one stream, in which a park may fail alone."""

    config_entry: "SmappeeConfigEntry"

    def __init__(
        self, hass: HomeAssistant, entry: "SmappeeConfigEntry", smappee: SmappeeClient
    ) -> None:
        super().__init__(
            hass,
            _LOGGER,
            config_entry=entry,
            name=DOMAIN,
            update_interval=POLL_INTERVAL,
            always_update=False,
        )
        self.smappee = smappee
        self.data = Reading()
        #: For each park, the start from which its sessions are read.
        self._since: dict[int, datetime] = {}

    async def _async_setup(self) -> None:
        since = dt_util.utcnow() - LONGEST_SESSION
        with _as_home_assistant_tells_it():
            locations = await self.smappee.service_locations()
        self._since = {location.id: since for location in locations}

    async def _async_update_data(self) -> Reading:
        now = dt_util.utcnow()
        sessions, errors = await self._read()
        parks = {session.service_location_id for session in self.data.latest.values()}
        for location in list(errors):
            if isinstance(errors[location], NotFound) and location not in parks:
                # It is no charging park, so it is not asked again.
                del self._since[location], errors[location]
        for park in errors.keys() - self.data.failing:
            _LOGGER.warning("Park %s cannot be read: %s", park, errors[park])
        for park in self.data.failing - errors.keys():
            _LOGGER.info("Park %s can be read again", park)
        for park in self._since.keys() - errors.keys():
            self._since[park] = _next_since(now, park, sessions)
        return Reading(self._latest(sessions), frozenset(errors))

    async def _read(self) -> tuple[list[ChargingSession], dict[int, SmappeeError]]:
        """The sessions of all parks, and the errors of those that failed."""
        if not self._since:
            return [], {}
        ranges = {park: TimeRange.since(since) for park, since in self._since.items()}
        with _as_home_assistant_tells_it():
            stream = self.smappee.stream(
                SessionQuery.parks(
                    ranges,
                    state="all",
                    on_error="collect",
                    on_invalid="collect",
                    deadline=UPDATE_DEADLINE,
                )
            )
            sessions = await stream.collect()
            errors = {
                failure.service_location_id: failure.error
                for failure in stream.failures
                if failure.service_location_id is not None
            }
            if errors.keys() == ranges.keys():
                raise next(iter(errors.values()))
        if stream.invalid:
            _LOGGER.debug("%d records could not be read", len(stream.invalid))
        return sessions, errors

    def _latest(
        self, sessions: Iterable[ChargingSession]
    ) -> dict[Connector, ChargingSession]:
        """The session of each connector that began last, now or in an earlier update."""
        latest = dict(self.data.latest)
        for session in sessions:
            connector = Connector(session.serial_number, session.connector)
            known = latest.get(connector, session)
            # The same session again may have grown, or have another start.
            if session.id == known.id or session.from_ms >= known.from_ms:
                latest[connector] = session
        return latest


def _next_since(now: datetime, park: int, sessions: Iterable[ChargingSession]) -> datetime:
    """A little ago, or the start of the first session that runs, to see its end."""
    running = (
        session.started_at
        for session in sessions
        if session.service_location_id == park and session.to_ms is None
    )
    return max(now - LONGEST_SESSION, min([now - RECENTLY, *running]))


@contextmanager
def _as_home_assistant_tells_it() -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise ConfigEntryAuthFailed(str(error)) from error
    except RateLimited as error:
        raise UpdateFailed(str(error), retry_after=error.retry_after_s) from error
    except SmappeeError as error:
        raise UpdateFailed(str(error)) from error


SmappeeConfigEntry = ConfigEntry[SmappeeCoordinator]
