"""The columns of a session: one list for Arrow, files, databases and the command.

The names and their order are a promise to programs that read a table; new columns come at the end.
A test compares the list with the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Final, Literal

import attrs

from smappee_async.models import ChargingSession

#: What a column holds; each kind of table has a type for each of them.
Kind = Literal["integer", "text", "instant", "energy", "number", "numbers", "boolean", "json"]
Value = int | float | str | bool | None


@attrs.frozen
class Column:
    """One column.

    :param name: its name in every table.
    :param kind: what it holds: ``instant`` is milliseconds since 1970, ``energy`` is kWh as :class:`~decimal.Decimal`,
        ``numbers`` is a list of numbers, and ``json`` a JSON text.
    :param of: the value of a session, of the type that the kind says; a list of numbers as JSON text, because many
        tables have no lists.
    :param field: the field of the record that it shows; ``None`` if it is computed of several.
    :param is_required: whether every session has a value.
    :param unit: the unit of its values.
    :param is_personal: whether its values tell who charged.
    """

    name: str
    kind: Kind
    of: Callable[[ChargingSession], Value | Decimal]
    field: str | None = None
    is_required: bool = False
    unit: str | None = None
    is_personal: bool = False


def _field(
    name: str,
    kind: Kind,
    field: str | None = None,
    *,
    of: Callable[[ChargingSession], Value] | None = None,
    is_required: bool = False,
    unit: str | None = None,
    is_personal: bool = False,
) -> Column:
    shown = field or name
    return Column(name, kind, of or attrgetter(shown), shown, is_required, unit, is_personal)


def _max_amperes(session: ChargingSession) -> str | None:
    return None if session.max_amperes is None else json.dumps(session.max_amperes)


def _extra(session: ChargingSession) -> str | None:
    return json.dumps(session.extra, sort_keys=True) if session.extra else None


COLUMNS: Final[tuple[Column, ...]] = (
    _field("service_location_id", "integer"),
    _field("id", "integer", is_required=True),
    _field("serial_number", "text", is_required=True),
    _field("status", "text", of=lambda session: str(session.status), is_required=True),
    _field("connector", "integer"),
    _field("user_id", "integer"),
    _field("priority", "integer"),
    _field("minimum_excess_percentage", "integer"),
    _field("started_at", "instant", "from_ms", is_required=True),
    _field("ended_at", "instant", "to_ms"),
    Column("energy_kwh", "energy", attrgetter("energy_kwh"), unit="kWh"),
    _field("start_reading", "number", unit="kWh"),
    _field("stop_reading", "number", unit="kWh"),
    _field("energy", "number", unit="kWh"),
    _field("range", "number"),
    _field("duration", "number"),
    _field("authentication_type", "text"),
    _field("csms_transaction_id", "text"),
    _field("smart_mode", "text"),
    _field("rfid", "text", is_personal=True),
    _field("suspended_by_user", "boolean"),
    _field("external_control", "boolean"),
    _field("max_amperes", "numbers", of=_max_amperes, unit="A"),
    _field("extra", "json", of=_extra),
)
