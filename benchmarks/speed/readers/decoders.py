"""JSON decoders alone: what is possible before anything is made of what they return."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from benchmarks.speed.readers.fields import FIELDS, Kind, list_of
from smappee_async.models import SessionStatus

_TYPES: Final[dict[Kind, Any]] = {
    "whole": int,
    "decimal": float,
    "number": int | float,
    "numbers": tuple[int | float, ...],
    "text": str,
    "truth": bool,
    "status": SessionStatus,
    "serial_number": int | str,
}
#: The fields of :class:`smappee_async.ChargingSession`, as msgspec has records.
Session: Final = msgspec.defstruct(
    "Session",
    [
        (field.name, field.type_of(_TYPES), msgspec.field(default=msgspec.NODEFAULT if field.is_required else None))
        for field in FIELDS
    ],
    rename={field.name: field.wire for field in FIELDS},
    gc=False,
)
_SESSIONS: Final[msgspec.json.Decoder[list[Any]]] = msgspec.json.Decoder(list_of(Session))


def read_msgspec(body: bytes) -> list[Any]:
    """The sessions of a response as typed structs; unknown keys are lost."""
    return _SESSIONS.decode(body)


def read_orjson(body: bytes) -> Any:
    """The sessions of a response as plain dictionaries."""
    return orjson.loads(body)
