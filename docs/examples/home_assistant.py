"""Charging sessions for Home Assistant: which object owns what, and how an update ends.

It runs without Home Assistant, because the names that an integration imports from it
have stand-ins here. Start ``smappee-async simulate``, set the variables that it prints,
and then::

    python home_assistant.py 1001
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from smappee_async import (
    AuthenticationError,
    ChargingSession,
    Credentials,
    MemoryTokenStore,
    RateLimited,
    RetryPolicy,
    SmappeeClient,
    SmappeeError,
    TimeRange,
    Token,
    defaults,
)

BASE_URL = os.environ.get("SMAPPEE_BASE_URL", defaults.BASE_URL)
#: A car may stay connected over a holiday. Older active sessions are not seen.
LONGEST_SESSION = timedelta(days=14)
#: Home Assistant waits for an update, so an update may not take long.
UPDATE_DEADLINE = timedelta(seconds=10)

Save = Callable[[Mapping[str, Any]], None]

# --- stand-ins; an integration imports these from homeassistant ---


class ConfigEntryAuthFailed(Exception):
    """``homeassistant.exceptions``: the user has to log in again."""


class UpdateFailed(Exception):
    """``homeassistant.helpers.update_coordinator``: a later update may succeed."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


# --- log in: the config flow --------------------------------------


async def log_in(http: aiohttp.ClientSession, answers: Mapping[str, str]) -> dict[str, Any]:
    """What the config entry keeps: client id, client secret and tokens, no password.

    :param http: ``async_get_clientsession(hass)``.
    :raises AuthenticationError: show ``invalid_auth`` in the form.
    """
    entry: dict[str, Any] = {name: answers[name] for name in ("client_id", "client_secret")}
    credentials = Credentials(
        **entry, username=answers["username"], password=answers["password"]
    )
    store = MemoryTokenStore(on_token=keep_in(entry, entry.update))
    async with SmappeeClient(
        credentials, base_url=BASE_URL, token_store=store, http_session=http
    ) as smappee:
        await smappee.service_locations()
    return entry


def keep_in(entry: Mapping[str, Any], save: Save) -> Callable[[Token], Awaitable[None]]:
    """A hook that saves each new pair of tokens, before it is used.

    :param save: calls ``hass.config_entries.async_update_entry(config_entry, data=...)``.
    """

    async def keep(token: Token) -> None:
        save({**entry, "token": token.to_dict()})

    return keep


# --- one client for each config entry: async_setup_entry ----------


def make_client(
    http: aiohttp.ClientSession, entry: Mapping[str, Any], save: Save
) -> SmappeeClient:
    """A client: open it in ``async_setup_entry``, close it in ``async_unload_entry``.

    The HTTP session stays open, because it belongs to Home Assistant.
    """
    token = Token.from_dict(entry["token"])
    return SmappeeClient(
        Credentials(
            entry["client_id"],
            entry["client_secret"],
            refresh_token=token.refresh_token,
        ),
        base_url=BASE_URL,
        token_store=MemoryTokenStore(token, on_token=keep_in(entry, save)),
        http_session=http,
        retry=RetryPolicy(attempts=2),  # the coordinator asks again by itself
    )


# --- the coordinator ----------------------------------------------


@dataclass(frozen=True)
class ParkState:
    """What the entities show. It compares by value, so ``always_update=False`` works."""

    active: tuple[ChargingSession, ...]
    today_kwh: Decimal


class ParkCoordinator:
    """In an integration: ``class ParkCoordinator(DataUpdateCoordinator[ParkState])``.

    :param tz: the zone in which the day begins.
    """

    def __init__(
        self, smappee: SmappeeClient, park: int, tz: ZoneInfo, now: Callable[[], datetime]
    ) -> None:
        self.smappee = smappee
        self.park = park
        self.tz = tz
        self._now = now

    async def _async_update_data(self) -> ParkState:
        try:
            return await self._read()
        except AuthenticationError as error:
            raise ConfigEntryAuthFailed(str(error)) from error
        except RateLimited as error:
            raise UpdateFailed(str(error), retry_after=error.retry_after_s) from error
        except SmappeeError as error:
            raise UpdateFailed(str(error)) from error

    async def _read(self) -> ParkState:
        now = self._now().astimezone(self.tz)
        today = TimeRange.day(now.year, now.month, now.day, tz=self.tz)
        lately = TimeRange.since(now - LONGEST_SESSION)
        active = self.smappee.sessions(
            self.park, lately, state="active", deadline=UPDATE_DEADLINE
        )
        ended = self.smappee.sessions(self.park, today, deadline=UPDATE_DEADLINE)
        by_start = sorted(await active.collect(), key=lambda session: session.from_ms)
        total = sum(
            (session.energy_kwh or Decimal(0) for session in await ended.collect()),
            Decimal(0),
        )
        return ParkState(tuple(by_start), total)


# --- without Home Assistant ---------------------------------------


async def main(park: int, now: Callable[[], datetime]) -> None:
    names = ("client_id", "client_secret", "username", "password")
    answers = {name: os.environ[f"SMAPPEE_{name.upper()}"] for name in names}
    async with aiohttp.ClientSession() as http:
        entry = await log_in(http, answers)
        async with make_client(http, entry, entry.update) as smappee:
            coordinator = ParkCoordinator(smappee, park, ZoneInfo("Europe/Brussels"), now)
            state = await coordinator._async_update_data()
    print(
        len(state.active),
        "active,",
        state.today_kwh,
        "kWh of sessions that started today and have ended",
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), lambda: datetime.now(ZoneInfo("UTC"))))
