"""A strict loop written by hand over what ``orjson.loads`` gives, into the client's own record."""

from __future__ import annotations

from typing import Any

import orjson

from benchmarks.readers.names import WIRE_NAMES
from smappee_async import ChargingSession
from smappee_async.models import NOTHING_EXTRA, FrozenDict, SessionStatus

_KNOWN = frozenset(WIRE_NAMES.values())
_STATUSES = {str(status): status for status in SessionStatus}


def read(body: bytes) -> list[ChargingSession]:
    """The sessions of a response."""
    return [_session(record) for record in orjson.loads(body)]


def _session(record: dict[str, Any]) -> ChargingSession:
    get = record.get
    status = _text(record["status"])
    serial_number = record["serialNumber"]
    amperes = get("maxAmperes")
    return ChargingSession(
        id=_whole(record["id"]),
        serial_number=str(serial_number) if type(serial_number) is int else _text(serial_number),
        from_ms=_whole(record["from"]),
        status=_STATUSES.get(status) or SessionStatus(status),
        to_ms=None if (value := get("to")) is None else _whole(value),
        connector=None if (value := get("connector")) is None else _whole(value),
        authentication_type=None if (value := get("authenticationType")) is None else _text(value),
        rfid=None if (value := get("rfid")) is None else _text(value),
        csms_transaction_id=None if (value := get("csmsTransactionId")) is None else _text(value),
        user_id=None if (value := get("userId")) is None else _whole(value),
        start_reading=None if (value := get("startReading")) is None else float(_number(value)),
        stop_reading=None if (value := get("stopReading")) is None else float(_number(value)),
        energy=None if (value := get("energy")) is None else float(_number(value)),
        range=None if (value := get("range")) is None else _number(value),
        duration=None if (value := get("duration")) is None else _number(value),
        priority=None if (value := get("priority")) is None else _whole(value),
        suspended_by_user=None if (value := get("suspendedByUser")) is None else _truth(value),
        external_control=None if (value := get("externalControl")) is None else _truth(value),
        smart_mode=None if (value := get("smartMode")) is None else _text(value),
        minimum_excess_percentage=None if (value := get("minimumExcessPercentage")) is None else _whole(value),
        max_amperes=None if amperes is None else tuple(_number(value) for value in amperes),
        extra=NOTHING_EXTRA
        if record.keys() <= _KNOWN
        else FrozenDict({name: value for name, value in record.items() if name not in _KNOWN}),
    )


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("expected a whole number")
    return value


def _number(value: object) -> int | float:
    if type(value) is not int and type(value) is not float:
        raise TypeError("expected a number")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("expected a text")
    return value


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError("expected true or false")
    return value
