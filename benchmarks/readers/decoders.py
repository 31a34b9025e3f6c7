"""JSON decoders alone: what is possible, before anything is made of what they give."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from smappee_async.models import SessionStatus


class Session(msgspec.Struct, rename="camel", gc=False):
    """The fields of :class:`smappee_async.ChargingSession`, as msgspec has records."""

    id: int
    serial_number: int | str
    from_ms: int = msgspec.field(name="from")
    status: SessionStatus
    to_ms: int | None = msgspec.field(default=None, name="to")
    connector: int | None = None
    authentication_type: str | None = None
    rfid: str | None = None
    csms_transaction_id: str | None = None
    user_id: int | None = None
    start_reading: float | None = None
    stop_reading: float | None = None
    energy: float | None = None
    range: int | float | None = None
    duration: int | float | None = None
    priority: int | None = None
    suspended_by_user: bool | None = None
    external_control: bool | None = None
    smart_mode: str | None = None
    minimum_excess_percentage: int | None = None
    max_amperes: tuple[int | float, ...] | None = None


_SESSIONS = msgspec.json.Decoder(list[Session])


def read_msgspec(body: bytes) -> list[Session]:
    """The sessions of a response as typed structs; keys that nobody knew are lost."""
    return _SESSIONS.decode(body)


def read_orjson(body: bytes) -> Any:
    """The sessions of a response as plain dictionaries."""
    return orjson.loads(body)
