"""The service's JSON: how a session, and every other response, is written on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .assumptions import Assumptions
    from .sessions import SimulatedSession

Record: TypeAlias = dict[str, object]
"""One JSON object of the wire, with the service's own keys."""

JSON_TYPE: Final = "application/json;charset=UTF-8"

_encoder: Final = msgspec.json.Encoder()
encode: Final[Callable[[object], bytes]] = _encoder.encode
"""JSON text of a value, in UTF-8."""


def record(session: SimulatedSession, at_ms: int, assumptions: Assumptions) -> Record:
    """The record that the service sends for a session at a moment.

    Some keys are documented (service.md#park-sessions); the others were seen in
    public clients. While a session is open, ``to`` and ``stopReading`` are absent and ``energy`` is the energy so far.
    """
    is_open = session.open_at(at_ms)
    serial_number: int | str = session.serial_number
    if assumptions.serial_number_type == "text":
        serial_number = str(serial_number)
    documented, seen = assumptions.field_profile != "seen", assumptions.field_profile != "documented"

    wire: Record = {"id": session.id, "serialNumber": serial_number}
    if seen:
        wire["connector"] = session.connector
    if session.authentication_type is not None:
        wire["authenticationType"] = session.authentication_type
    if session.rfid is not None:
        wire["rfid"] = session.rfid
    if documented and session.csms_transaction_id is not None:
        wire["csmsTransactionId"] = session.csms_transaction_id
    if seen and session.user_id is not None:
        wire["userId"] = session.user_id
    wire["from"] = session.start_ms
    if not is_open:
        wire["to"] = session.end_ms
    wire["status"] = session.status_at(at_ms) if is_open else "STOPPED"
    if documented:
        wire["range"] = session.target_range
        wire["duration"] = session.target_duration
    wire["priority"] = session.priority
    if seen:
        wire["suspendedByUser"] = session.suspended_by_user
        wire["externalControl"] = session.external_control
        if session.smart_mode is not None:
            wire["smartMode"] = session.smart_mode
        wire["minimumExcessPercentage"] = session.minimum_excess_percentage
        wire["maxAmperes"] = session.max_amperes
    wire["startReading"] = session.start_reading_ckwh / 100
    if not is_open:
        wire["stopReading"] = (session.start_reading_ckwh + session.energy_ckwh) / 100
    if seen:
        wire["energy"] = (session.energy_ckwh_at(at_ms) if is_open else session.energy_ckwh) / 100
    if session.extra is not None:
        wire.update(session.extra)
    return wire


def encode_records(records: Iterable[Mapping[str, object]]) -> bytes:
    """The records as a JSON array."""
    return encode(list(records))
