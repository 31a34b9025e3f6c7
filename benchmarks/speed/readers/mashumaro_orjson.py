"""mashumaro with orjson below it: a dataclass with slots, not a frozen one, because that would cost it more."""

from __future__ import annotations

from dataclasses import MISSING, field, make_dataclass
from typing import Any, Final

from mashumaro.codecs.orjson import ORJSONDecoder
from mashumaro.config import BaseConfig

from benchmarks.speed.readers.fields import FIELDS, Kind, list_of
from smappee_async.models import SessionStatus

#: Narrower than those of the other readers: each union would cost it a try for each member.
_TYPES: Final[dict[Kind, Any]] = {
    "whole": int,
    "decimal": float,
    "number": float,
    "numbers": tuple[float, ...],
    "text": str,
    "truth": bool,
    "status": SessionStatus,
    "serial_number": int,
}


class _Config(BaseConfig):
    lazy_compilation = False


#: The fields of :class:`smappee_async.ChargingSession`.
Session: Final = make_dataclass(
    "Session",
    [
        (
            each.name,
            each.type_of(_TYPES),
            field(
                default=MISSING if each.is_required else None,
                metadata={} if each.wire == each.name else {"alias": each.wire},
            ),
        )
        for each in FIELDS
    ],
    namespace={"Config": _Config, "__module__": __name__},
    slots=True,
)
_SESSIONS: Final[ORJSONDecoder[list[Any]]] = ORJSONDecoder(list_of(Session))


def read(body: bytes) -> list[Any]:
    """The sessions of a response."""
    return _SESSIONS.decode(body)
