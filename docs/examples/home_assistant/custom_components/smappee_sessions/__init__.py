"""Charging sessions of Smappee's charging parks: one client for each config entry."""

from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from .client import make_client
from .coordinator import SmappeeConfigEntry, SmappeeCoordinator

PLATFORMS = [Platform.SENSOR]


async def async_setup_entry(hass: HomeAssistant, entry: SmappeeConfigEntry) -> bool:
    """Open the client, read once, and make the sensors."""

    def save(token: dict[str, Any]) -> None:
        hass.config_entries.async_update_entry(entry, data={**entry.data, "token": token})

    smappee = make_client(async_get_clientsession(hass), entry.data, save)
    await smappee.__aenter__()
    # Also called if the first update fails.
    entry.async_on_unload(smappee.aclose)

    # A renewal that is under way can still be saved.
    async def stop(_: Event) -> None:
        await smappee.aclose()

    entry.async_on_unload(hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, stop))

    entry.runtime_data = SmappeeCoordinator(hass, entry, smappee)
    await entry.runtime_data.async_config_entry_first_refresh()
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Remove the sensors. Then Home Assistant calls what ``async_on_unload`` was given."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
