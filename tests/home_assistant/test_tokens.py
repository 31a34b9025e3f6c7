"""The client of a config entry: its tokens are saved and used again, and it is closed with the entry."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("pytest_homeassistant_custom_component", reason="needs Home Assistant's harness; see conftest.py")

from homeassistant import block_async_io
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from pytest_homeassistant_custom_component.common import MockConfigEntry

from smappee_async import ClientClosed
from smappee_async.simulator import Simulator

FINISHED = "sensor.charging_station_6100000001_connector_2_session_energy"


async def test_renewed_tokens_are_saved_and_used_after_a_restart_without_a_login(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    first = entry.data["token"]["refresh_token"]
    sim.oauth.revoke_access_tokens()
    await entry.runtime_data.async_refresh()
    kept = json.loads(json.dumps(dict(entry.data)))
    await hass.config_entries.async_remove(entry.entry_id)

    sim.oauth.revoke_access_tokens()
    after = MockConfigEntry(domain=entry.domain, data=kept, unique_id=entry.unique_id)
    after.add_to_hass(hass)
    assert await hass.config_entries.async_setup(after.entry_id)
    await hass.async_block_till_done()

    assert len({first, kept["token"]["refresh_token"], after.data["token"]["refresh_token"]}) == 3
    assert (sim.oauth.password_grants, sim.oauth.refresh_grants, sim.oauth.reuse_detections) == (1, 2, 0)
    state = hass.states.get(FINISHED)
    assert state is not None
    assert state.state == "14.25"


async def test_a_token_that_is_still_good_is_used_after_a_restart_as_it_is(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)

    assert sim.hits("token") == 1


async def test_saving_tokens_does_not_reload_the_entry(hass: HomeAssistant, sim: Simulator, entry: ConfigEntry) -> None:
    coordinator = entry.runtime_data
    sim.oauth.revoke_access_tokens()

    await coordinator.async_refresh()
    await hass.async_block_till_done()

    assert entry.runtime_data is coordinator


async def test_unloading_closes_the_client_and_leaves_the_session_of_home_assistant_open(
    hass: HomeAssistant, entry: ConfigEntry
) -> None:
    smappee = entry.runtime_data.smappee

    assert await hass.config_entries.async_unload(entry.entry_id)

    assert entry.state is ConfigEntryState.NOT_LOADED
    with pytest.raises(ClientClosed):
        await smappee.service_locations()
    assert not async_get_clientsession(hass).closed


async def test_the_client_is_closed_when_home_assistant_stops(hass: HomeAssistant, entry: ConfigEntry) -> None:
    smappee = entry.runtime_data.smappee

    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()

    with pytest.raises(ClientClosed):
        await smappee.service_locations()


async def test_the_client_is_closed_if_the_first_update_fails(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    sim.oauth.revoke_everything()

    assert not await hass.config_entries.async_setup(entry.entry_id)

    with pytest.raises(ClientClosed):
        await entry.runtime_data.smappee.service_locations()


async def test_nothing_blocks_the_event_loop(
    hass: HomeAssistant,
    sim: Simulator,
    entry: ConfigEntry,
    disable_block_async_io: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    block_async_io.enable()
    sim.oauth.revoke_access_tokens()

    assert await hass.config_entries.async_reload(entry.entry_id)

    assert sim.oauth.refresh_grants == 1
    assert "blocking call" not in caplog.text
