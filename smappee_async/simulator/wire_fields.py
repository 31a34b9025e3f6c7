"""The wire names of a session, for programs that judge a client: the demo, the loss account, and tests.

It is written out here, apart from the client's conversion and apart from :mod:`.wire`, because a judge that shares a
table with what it judges cannot find a mistake in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

WIRE_NAMES: Final[Mapping[str, str]] = {
    "id": "id",
    "serial_number": "serialNumber",
    "connector": "connector",
    "authentication_type": "authenticationType",
    "rfid": "rfid",
    "csms_transaction_id": "csmsTransactionId",
    "user_id": "userId",
    "from_ms": "from",
    "to_ms": "to",
    "status": "status",
    "range": "range",
    "duration": "duration",
    "priority": "priority",
    "suspended_by_user": "suspendedByUser",
    "external_control": "externalControl",
    "smart_mode": "smartMode",
    "minimum_excess_percentage": "minimumExcessPercentage",
    "max_amperes": "maxAmperes",
    "start_reading": "startReading",
    "stop_reading": "stopReading",
    "energy": "energy",
}
"""From the name of a session's field, as users of a client see it, to its key in the service's JSON."""

_FIELDS: Final = tuple(WIRE_NAMES.items())


class SessionRecord(Protocol):
    """A session as a client hands it over: it also has the attributes of :data:`WIRE_NAMES`."""

    @property
    def extra(self) -> Mapping[str, object]:
        """What the client kept under the service's own keys."""
        ...


def wire_record(session: SessionRecord) -> dict[str, object]:
    """The record that a session must have been on the wire.

    A field that is ``None`` was absent. A serial number of digits is returned as a number, as the service documents it:
    compare it as text where the service may send a text. What is in ``extra`` is added under its own keys.

    :param session: of any client; has the attributes of :data:`WIRE_NAMES` and a mapping ``extra``.
    :returns: plain JSON values: a status is a text, an array is a list.
    """
    record: dict[str, object] = {key: value for name, key in _FIELDS if (value := getattr(session, name)) is not None}
    record["status"] = str(record["status"])
    amperes = record.get("maxAmperes")
    if isinstance(amperes, tuple):
        record["maxAmperes"] = list(amperes)
    serial_number = record["serialNumber"]
    if isinstance(serial_number, str) and serial_number.isdecimal() and serial_number[0] != "0":
        record["serialNumber"] = int(serial_number)
    record.update(session.extra)
    return record
