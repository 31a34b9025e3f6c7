"""The fields that every reader reads, as one table.

It is derived from :class:`smappee_async.ChargingSession` and from the simulator's wire names, so that a field that is
added there is added to the model of each peer as well.
"""

from __future__ import annotations

import functools
import operator
from types import GenericAlias, NoneType
from typing import Any, Final, Literal, get_args, get_type_hints

import attrs

from smappee_async import ChargingSession
from smappee_async.models import EpochMs, Number, SerialNumber, SessionStatus
from smappee_async.simulator.wire_fields import WIRE_NAMES

Kind = Literal["whole", "decimal", "number", "numbers", "text", "truth", "status", "serial_number"]

_KINDS: Final[dict[Any, Kind]] = {
    int: "whole",
    EpochMs: "whole",
    float: "decimal",
    Number: "number",
    tuple[Number, ...]: "numbers",
    str: "text",
    bool: "truth",
    SessionStatus: "status",
    SerialNumber: "serial_number",
}


@attrs.frozen
class Field:
    """One field of a session.

    :param name: of the attribute.
    :param wire: its key in the service's JSON.
    :param kind: what may stand there, apart from ``null``.
    :param is_required: whether a record without it is invalid; if not, it is ``None`` by default.
    """

    name: str
    wire: str
    kind: Kind
    is_required: bool

    def type_of(self, types: dict[Kind, Any]) -> Any:
        """The type of the attribute, where a library takes these types."""
        return types[self.kind] if self.is_required else types[self.kind] | None


def _fields() -> list[Field]:
    hints = get_type_hints(ChargingSession, include_extras=True)
    return [
        Field(field.name, WIRE_NAMES[field.name], _kind(hints[field.name]), field.default is attrs.NOTHING)
        for field in attrs.fields(ChargingSession)
        if field.name in WIRE_NAMES
    ]


def _kind(hint: Any) -> Kind:
    members = get_args(hint)
    if NoneType in members:
        hint = functools.reduce(operator.or_, [member for member in members if member is not NoneType])
    return _KINDS[hint]


def list_of(session: type) -> Any:
    """The type of a list of records of a class that was made at run time, which type checkers cannot know."""
    return GenericAlias(list, (session,))


FIELDS: Final = tuple(_fields())
