"""The diagnostics: no secret, and nothing that names a person."""

from __future__ import annotations

import json
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


async def test_diagnostics_after_a_failure_name_its_kind_only(
    hass: HomeAssistant, hass_client: Any, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("maintenance"))
    await entry.runtime_data.async_refresh()

    told = await get_diagnostics_for_config_entry(hass, hass_client, entry)

    assert told["update"] == {"succeeded": False, "error": "UpdateFailed", "parks_failing": 0}
