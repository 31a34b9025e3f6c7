"""What a user attaches to an issue: no secret, and nothing that names a person."""

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant

from .coordinator import SmappeeConfigEntry

TO_REDACT = {"client_id", "client_secret", "token"}


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: SmappeeConfigEntry
) -> dict[str, Any]:
    """The state of the integration.

    Fields of a session are named one by one, because a session holds an RFID, and a field
    that is added to it may be personal too.
    """
    coordinator = entry.runtime_data
    failure = coordinator.last_exception
    return {
        "entry": async_redact_data(dict(entry.data), TO_REDACT),
        "update": {
            "succeeded": coordinator.last_update_success,
            "error": failure and type(failure).__name__,
            "parks_failing": len(coordinator.data.failing),
        },
        "latest_sessions": [
            {
                "connector": session.connector,
                "status": session.status.value,
                "has_ended": session.to_ms is not None,
                "energy_kwh": str(session.energy_kwh),
            }
            for session in coordinator.data.latest.values()
        ],
    }
