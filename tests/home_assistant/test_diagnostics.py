"""The diagnostics: no secret, and nothing that names a person."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

pytest.importorskip("pytest_homeassistant_custom_component", reason="needs Home Assistant's harness; see conftest.py")

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.components.diagnostics import get_diagnostics_for_config_entry

from smappee_async.simulator import Fault, Simulator

CARD = "04A2B3C4D5E6F7"


def personal(sim: Simulator, entry: ConfigEntry) -> list[str]:
    """Secrets, the card, the driver, the stations."""
    account, token = sim.account, entry.data["token"]
    secrets = [account.client_id, account.client_secret, account.username, account.password]
    return [
        *secrets,
        token["access_token"],
        token["refresh_token"],
        token["account"],
        CARD,
        CARD[-3:],
        "4242",
        "6100000",
    ]


async def test_diagnostics_tell_what_is_shown_and_hold_no_secret_and_no_card(
    hass: HomeAssistant, hass_client: Any, sim: Simulator, entry: ConfigEntry
) -> None:
    told = await get_diagnostics_for_config_entry(hass, hass_client, entry)

    text = json.dumps(told)
    assert [value for value in personal(sim, entry) if value in text] == []
    assert told["update"] == {"succeeded": True, "error": None, "parks_failing": 0}
    assert {"connector": 2, "status": "STOPPED", "has_ended": True, "energy_kwh": "14.25"} in told["latest_sessions"]


async def test_the_log_holds_no_secret_no_user_name_and_no_card(
    hass: HomeAssistant, sim: Simulator, integration: None, answers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    flow = await hass.config_entries.flow.async_init("smappee_sessions", context={"source": "user"})
    await hass.config_entries.flow.async_configure(flow["flow_id"], answers | {"password": "not the password"})
    await hass.config_entries.flow.async_configure(flow["flow_id"], answers)
    await hass.async_block_till_done()
    (entry,) = hass.config_entries.async_entries("smappee_sessions")
    secrets = personal(sim, entry)[:8]
    sim.add_fault(Fault("bad_json_record", service_location_id=1001, active=True))
    sim.add_fault(Fault("status", route="park_sessions", service_location_id=1002, status=500))
    await entry.runtime_data.async_refresh()
    sim.add_fault(Fault("maintenance", route="park_sessions"))
    await entry.runtime_data.async_refresh()
    sim.oauth.revoke_everything()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    assert [value for value in secrets if value in caplog.text] == []
    for line in ("records could not be read", "Park 1002 cannot be read", "maintenance", "refused the refresh token"):
        assert line in caplog.text


async def test_diagnostics_after_a_failure_name_its_kind_only(
    hass: HomeAssistant, hass_client: Any, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("maintenance"))
    await entry.runtime_data.async_refresh()

    told = await get_diagnostics_for_config_entry(hass, hass_client, entry)

    assert told["update"] == {"succeeded": False, "error": "UpdateFailed", "parks_failing": 0}
