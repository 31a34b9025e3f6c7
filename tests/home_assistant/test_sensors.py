"""The sensors: the energy of each connector's latest session, and what happens to it when parks fail."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("pytest_homeassistant_custom_component", reason="needs Home Assistant's harness; see conftest.py")

import attrs
from custom_components.smappee_sessions.const import DOMAIN, POLL_INTERVAL
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from smappee_async.simulator import Fault, Simulator

HOME, OFFICE, EMPTY = 1001, 1002, 1003
RUNNING = "sensor.charging_station_6100000001_connector_1_session_energy"
FINISHED = "sensor.charging_station_6100000001_connector_2_session_energy"
AT_THE_OFFICE = "sensor.charging_station_6100000002_connector_1_session_energy"
LATER = "sensor.charging_station_6100000002_connector_2_session_energy"


def energy(hass: HomeAssistant, sensor: str) -> str | None:
    """What a sensor shows; ``None`` if there is no such sensor."""
    state = hass.states.get(sensor)
    return None if state is None else state.state


async def poll(hass: HomeAssistant) -> None:
    """Let the time of the next update come."""
    async_fire_time_changed(hass, dt_util.utcnow() + POLL_INTERVAL + timedelta(seconds=1))
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_running_and_finished_sessions_show_their_energy(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    (running,) = (each for each in sim.ledger.sessions(HOME, 0, None, "active"))

    assert energy(hass, RUNNING) == str(sim.ledger.wire(running)["energy"])
    assert energy(hass, FINISHED) == "14.25"
    assert energy(hass, AT_THE_OFFICE) == "33.33"


async def test_a_sensor_is_an_energy_in_kwh_that_begins_anew_with_the_session(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    state = hass.states.get(RUNNING)
    (running,) = sim.ledger.sessions(HOME, 0, None, "active")

    assert state is not None
    shown = {name: state.attributes[name] for name in ("unit_of_measurement", "device_class", "state_class")}
    assert shown == {"unit_of_measurement": "kWh", "device_class": "energy", "state_class": "total"}
    assert dt_util.parse_datetime(state.attributes["last_reset"]) == dt_util.utc_from_timestamp(running.start_ms / 1000)


async def test_each_station_is_a_device_and_each_connector_has_an_id_of_its_own(
    hass: HomeAssistant, entry: ConfigEntry
) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)

    assert {name for device in devices for name in device.identifiers} == {
        (DOMAIN, "6100000001"),
        (DOMAIN, "6100000002"),
    }
    assert {entity.unique_id for entity in entities} == {
        "6100000001_1_session_energy",
        "6100000001_2_session_energy",
        "6100000002_1_session_energy",
    }


async def test_a_running_session_grows_and_ends(hass: HomeAssistant, sim: Simulator, entry: ConfigEntry) -> None:
    first = energy(hass, RUNNING)
    sim.clock.move(timedelta(hours=1))
    await poll(hass)
    later = energy(hass, RUNNING)
    sim.clock.move(timedelta(hours=10))
    await poll(hass)

    assert first is not None
    assert later is not None
    assert 0 < float(first) < float(later) < 24.0
    assert energy(hass, RUNNING) == "24.0"


async def test_a_connector_that_is_first_used_later_gets_its_sensor_then(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    assert energy(hass, LATER) is None

    sim.clock.move(timedelta(hours=5))
    await poll(hass)

    assert energy(hass, LATER) == "8.0"


async def test_an_update_asks_twice_for_each_park_from_the_start_of_what_runs(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    (running,) = sim.ledger.sessions(HOME, 0, None, "active")
    sim.reset_log()

    await poll(hass)

    assert sorted((log.service_location_id, log.active) for log in sim.requests) == [
        (HOME, False),
        (HOME, True),
        (OFFICE, False),
        (OFFICE, True),
        (EMPTY, False),
        (EMPTY, True),
    ]
    since = {log.service_location_id: log.start_ms for log in sim.requests}
    assert since[HOME] == running.start_ms
    assert since[OFFICE] == pytest.approx(sim.clock.now_ms - 6 * 3_600_000, abs=600_000)


@pytest.mark.parametrize("status", [500, 401, 403, 404])
async def test_a_park_that_fails_leaves_the_others(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry, status: int
) -> None:
    sim.add_fault(Fault("status", route="park_sessions", service_location_id=HOME, status=status))

    await poll(hass)
    while_it_fails = energy(hass, FINISHED), energy(hass, AT_THE_OFFICE)
    sim.clear_faults()
    await entry.runtime_data.async_refresh()

    assert while_it_fails == ("unavailable", "33.33")
    assert energy(hass, AT_THE_OFFICE) == "33.33"
    if status != 401:  # which is remembered for a while, so that it costs no renewal of the token each time
        assert energy(hass, FINISHED) == "14.25"


async def test_sessions_that_ended_while_their_park_failed_are_read_afterwards(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("status", route="park_sessions", service_location_id=HOME, status=500))
    sim.clock.move(timedelta(hours=11))
    await poll(hass)
    sim.clear_faults()

    await poll(hass)

    assert energy(hass, RUNNING) == "24.0"


async def test_a_service_location_that_is_no_park_is_asked_once(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("status", route="park_sessions", service_location_id=EMPTY, status=404))
    await poll(hass)
    sim.reset_log()

    await poll(hass)

    assert {log.service_location_id for log in sim.requests} == {HOME, OFFICE}
    assert energy(hass, FINISHED) == "14.25"


async def test_a_session_whose_start_is_corrected_goes_on(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.clock.move(timedelta(hours=11))
    coordinator = entry.runtime_data
    coordinator.data.latest.update(
        {
            connector: attrs.evolve(session, from_ms=session.from_ms + 60_000)
            for connector, session in coordinator.data.latest.items()
        }
    )

    await poll(hass)

    assert energy(hass, RUNNING) == "24.0"


async def test_one_odd_record_leaves_the_others(hass: HomeAssistant, sim: Simulator, entry: ConfigEntry) -> None:
    sim.add_fault(Fault("bad_json_record", service_location_id=HOME, active=True))

    await poll(hass)

    assert energy(hass, FINISHED) == "14.25"


async def test_an_outage_makes_the_sensors_unavailable_until_it_ends(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("maintenance"))
    await poll(hass)
    in_the_outage = energy(hass, FINISHED)
    sim.clear_faults()

    await poll(hass)

    assert in_the_outage == "unavailable"
    assert energy(hass, FINISHED) == "14.25"


async def test_a_rate_limit_says_when_the_next_update_comes(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    sim.add_fault(Fault("status", route="park_sessions", status=429, retry_after="1800"))

    await poll(hass)

    assert entry.runtime_data.last_exception.retry_after == 1800


async def test_an_outage_at_the_start_is_tried_again_by_home_assistant(
    hass: HomeAssistant, sim: Simulator, entry: ConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    sim.add_fault(Fault("maintenance"))

    await hass.config_entries.async_setup(entry.entry_id)

    assert entry.state is ConfigEntryState.SETUP_RETRY
