"""The client's fields and their names on the wire, written apart from the client's own conversion."""

from __future__ import annotations

from typing import Final

WIRE_NAMES: Final = {
    "id": "id",
    "serial_number": "serialNumber",
    "from_ms": "from",
    "status": "status",
    "to_ms": "to",
    "connector": "connector",
    "authentication_type": "authenticationType",
    "rfid": "rfid",
    "csms_transaction_id": "csmsTransactionId",
    "user_id": "userId",
    "start_reading": "startReading",
    "stop_reading": "stopReading",
    "energy": "energy",
    "range": "range",
    "duration": "duration",
    "priority": "priority",
    "suspended_by_user": "suspendedByUser",
    "external_control": "externalControl",
    "smart_mode": "smartMode",
    "minimum_excess_percentage": "minimumExcessPercentage",
    "max_amperes": "maxAmperes",
}
