"""pydantic v2: strict, unknown keys are kept, the whole array in one call of its validator."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from pydantic import Field as Described

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
_MEMBERS: Final[dict[str, Any]] = {
    field.name: (
        Annotated[field.type_of(_TYPES), Described(alias=field.wire)],
        ... if field.is_required else None,
    )
    for field in FIELDS
}
#: The fields of :class:`smappee_async.ChargingSession`.
Session: Final[type[BaseModel]] = create_model(
    "Session", __config__=ConfigDict(strict=True, extra="allow", frozen=True), **_MEMBERS
)
_SESSIONS: Final[TypeAdapter[list[BaseModel]]] = TypeAdapter(list_of(Session))


def read(body: bytes) -> list[BaseModel]:
    """The sessions of a response."""
    return _SESSIONS.validate_json(body)


def read_parsed(records: list[object]) -> list[BaseModel]:
    """The sessions of a response that ``json.loads`` has parsed."""
    return _SESSIONS.validate_python(records, strict=False)
