"""What the tests of the client share: a cloud to ask, and the ledger's form of a response."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs

from smappee_async import ChargingSession, RetryPolicy, SmappeeClient, TimeRange
from smappee_async.simulator import Simulator

#: Waits of microseconds: for tests of what is tried again, not of when.
QUICK = RetryPolicy(base_delay_s=0.0001, throttled_base_delay_s=0.0001, patience=None)

WIRE_NAMES = {
    "id": "id",
    "connector": "connector",
    "authentication_type": "authenticationType",
    "rfid": "rfid",
    "csms_transaction_id": "csmsTransactionId",
    "user_id": "userId",
    "from_ms": "from",
    "to_ms": "to",
    "range": "range",
    "duration": "duration",
    "priority": "priority",
    "start_reading": "startReading",
    "stop_reading": "stopReading",
    "energy": "energy",
    "suspended_by_user": "suspendedByUser",
    "external_control": "externalControl",
    "smart_mode": "smartMode",
    "minimum_excess_percentage": "minimumExcessPercentage",
}


def wire_of(session: ChargingSession) -> dict[str, Any]:
    """What the service must have said for this record to come out; written apart from the client's own conversion."""
    wire = {name: getattr(session, field) for field, name in WIRE_NAMES.items()}
    wire["status"] = session.status.value
    wire["serialNumber"] = session.serial_number
    wire["maxAmperes"] = None if session.max_amperes is None else list(session.max_amperes)
    return {name: value for name, value in wire.items() if value is not None} | dict(session.extra)


def _text(wire: Mapping[str, Any]) -> str:
    return json.dumps(wire, sort_keys=True)


@attrs.frozen
class Cloud:
    """A running simulator, and clients that log in to it."""

    sim: Simulator
    connect: Callable[..., Awaitable[SmappeeClient]]

    def truth(self, parks: Iterable[int], asked: TimeRange, state: Any = "completed") -> list[tuple[int, str]]:
        """What the ledger holds, in a form that two sides can compare."""
        return sorted(
            (park, _text(self.sim.ledger.wire(each) | {"serialNumber": str(each.serial_number)}))
            for park in parks
            for each in self.sim.ledger.sessions(park, asked.start_ms, asked.end_ms, state)
        )


def told(sessions: Iterable[ChargingSession]) -> list[tuple[int, str]]:
    """What the client said, in the ledger's form."""
    return sorted((each.service_location_id or 0, _text(wire_of(each))) for each in sessions)


StartCloud = Callable[..., Awaitable[Cloud]]
