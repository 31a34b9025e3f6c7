"""The form: it logs in once, keeps no password, and tells what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("pytest_homeassistant_custom_component", reason="needs Home Assistant's harness; see conftest.py")

from custom_components.smappee_sessions.const import DOMAIN
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType

from smappee_async.simulator import Fault, Simulator


async def fill_in(hass: HomeAssistant, answers: dict[str, str]) -> Any:
    """Open the form and send it."""
    form = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert (form["type"], form["step_id"], form["errors"]) == (FlowResultType.FORM, "user", {})
    result = await hass.config_entries.flow.async_configure(form["flow_id"], answers)
    await hass.async_block_till_done()
    return result


async def lose_the_login(hass: HomeAssistant, sim: Simulator, entry: ConfigEntry) -> Any:
    """Revoke all tokens and update; the form that Home Assistant then shows."""
    sim.oauth.revoke_everything()
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()
    (form,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert form["step_id"] == "reauth_confirm"
    return form


async def test_the_form_makes_an_entry_with_the_tokens_and_without_the_password(
    hass: HomeAssistant, sim: Simulator, integration: None, answers: dict[str, str]
) -> None:
    result = await fill_in(hass, answers)

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["result"].state is ConfigEntryState.LOADED
    assert set(result["data"]) == {"client_id", "client_secret", "token"}
    assert answers["password"] not in json.dumps(dict(result["data"]))
    assert sim.oauth.password_grants == 1


async def test_a_wrong_password_is_told_and_may_be_corrected(
    hass: HomeAssistant, integration: None, answers: dict[str, str]
) -> None:
    refused = await fill_in(hass, answers | {"password": "not the password"})

    accepted = await hass.config_entries.flow.async_configure(refused["flow_id"], answers)

    assert refused["errors"] == {"base": "invalid_auth"}
    assert accepted["type"] is FlowResultType.CREATE_ENTRY


async def test_an_unreachable_service_is_told(
    hass: HomeAssistant, integration: None, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.smappee_sessions.client.BASE_URL", "http://127.0.0.1:9/dev/v3")

    result = await fill_in(hass, answers)

    assert result["errors"] == {"base": "cannot_connect"}
    assert not hass.config_entries.async_entries(DOMAIN)


async def test_a_service_under_maintenance_is_told(
    hass: HomeAssistant, sim: Simulator, integration: None, answers: dict[str, str]
) -> None:
    sim.add_fault(Fault("maintenance"))

    assert (await fill_in(hass, answers))["errors"] == {"base": "cannot_connect"}


async def test_an_account_is_configured_once(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry, answers: dict[str, str]
) -> None:
    result = await fill_in(hass, answers)

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert sim.oauth.password_grants == 1


async def test_a_lost_login_is_renewed_with_the_password(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry, answers: dict[str, str]
) -> None:
    form = await lose_the_login(hass, sim, entry)
    before = entry.data["token"]

    result = await hass.config_entries.flow.async_configure(
        form["flow_id"], {name: answers[name] for name in ("username", "password")}
    )
    await hass.async_block_till_done()

    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["token"] != before
    sensor = hass.states.get("sensor.charging_station_6100000001_connector_2_session_energy")
    assert sensor is not None
    assert sensor.state == "14.25"


async def test_a_lost_login_is_not_renewed_with_a_wrong_password_or_another_account(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry, answers: dict[str, str]
) -> None:
    form = await lose_the_login(hass, sim, entry)

    wrong = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"username": answers["username"], "password": "not the password"}
    )
    other = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"username": "somebody else", "password": answers["password"]}
    )

    assert wrong["errors"] == {"base": "invalid_auth"}
    assert (other["type"], other["reason"]) == (FlowResultType.ABORT, "wrong_account")


async def test_a_login_that_was_lost_while_home_assistant_was_off_is_asked_for_at_the_start(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    sim.oauth.revoke_everything()

    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert [flow["step_id"] for flow in hass.config_entries.flow.async_progress()] == ["reauth_confirm"]
