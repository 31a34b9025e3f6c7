"""One sensor for each connector: the energy of its latest session, running or finished."""

from datetime import datetime
from decimal import Decimal

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorStateClass,
)
from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity
from smappee_async import ChargingSession

from .const import DOMAIN
from .coordinator import Connector, SmappeeConfigEntry, SmappeeCoordinator

PARALLEL_UPDATES = 0  # the coordinator reads for all of them


async def async_setup_entry(
    hass: HomeAssistant,
    entry: SmappeeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add a sensor for each connector, also for those that are seen later."""
    coordinator = entry.runtime_data
    added: set[Connector] = set()

    @callback
    def add_new() -> None:
        new = coordinator.data.latest.keys() - added
        added.update(new)
        async_add_entities(SessionEnergy(coordinator, connector) for connector in new)

    add_new()
    entry.async_on_unload(coordinator.async_add_listener(add_new))


class SessionEnergy(CoordinatorEntity[SmappeeCoordinator], SensorEntity):
    """The energy of a connector's latest session. It begins anew with each session."""

    _attr_has_entity_name = True
    _attr_device_class = SensorDeviceClass.ENERGY
    _attr_state_class = SensorStateClass.TOTAL
    _attr_native_unit_of_measurement = UnitOfEnergy.KILO_WATT_HOUR
    _attr_suggested_display_precision = 2

    def __init__(self, coordinator: SmappeeCoordinator, connector: Connector) -> None:
        super().__init__(coordinator)
        self._connector = connector
        serial_number, position = connector
        self._attr_unique_id = f"{serial_number}_{position or 0}_session_energy"
        self._attr_translation_key = "session_energy"
        if position is not None:
            self._attr_translation_key = "connector_session_energy"
            self._attr_translation_placeholders = {"connector": str(position)}
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, serial_number)},
            manufacturer="Smappee",
            name=f"Charging station {serial_number}",
            serial_number=serial_number,
        )

    @property
    def _session(self) -> ChargingSession:
        return self.coordinator.data.latest[self._connector]

    @property
    def available(self) -> bool:
        """Whether the park of the station was read; other parks may fail."""
        failing = self.coordinator.data.failing
        return super().available and self._session.service_location_id not in failing

    @property
    def native_value(self) -> Decimal | None:
        """Energy in kWh, exact."""
        return self._session.energy_kwh

    @property
    def last_reset(self) -> datetime:
        """The start of the session, from which the energy counts."""
        return self._session.started_at
