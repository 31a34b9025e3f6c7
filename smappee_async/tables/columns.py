"""The columns of a session: one list for databases, files and the command.

The names and their order are a promise to programs that read a table; new columns come at the end.
A test compares the list with the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Final, Literal

import attrs

from smappee_async.models import ChargingSession

#: What a column holds; each kind of table has a type for each of them.
Kind = Literal["integer", "text", "instant", "energy", "number", "boolean", "json"]
Value = int | float | str | bool | None


@attrs.frozen
class Column:
    """One column.

    :param name: its name in every table.
    :param kind: what it holds: ``instant`` is milliseconds since 1970, ``energy`` is kWh as :class:`~decimal.Decimal`,
        ``json`` is a JSON text.
    :param of: the value of a session, of the type that the kind says.
    """

    name: str
    kind: Kind
    of: Callable[[ChargingSession], Value | Decimal]


def _field(name: str, kind: Kind, field: str | None = None) -> Column:
    return Column(name, kind, lambda session: getattr(session, field or name))


def _max_amperes(session: ChargingSession) -> str | None:
    return None if session.max_amperes is None else json.dumps(session.max_amperes)


def _extra(session: ChargingSession) -> str | None:
    return json.dumps(session.extra, sort_keys=True) if session.extra else None


COLUMNS: Final[tuple[Column, ...]] = (
    _field("service_location_id", "integer"),
    _field("id", "integer"),
    _field("serial_number", "text"),
    Column("status", "text", lambda session: str(session.status)),
    _field("connector", "integer"),
    _field("user_id", "integer"),
    _field("priority", "integer"),
    _field("minimum_excess_percentage", "integer"),
    _field("started_at", "instant", "from_ms"),
    _field("ended_at", "instant", "to_ms"),
    _field("energy_kwh", "energy"),
    _field("start_reading", "number"),
    _field("stop_reading", "number"),
    _field("energy", "number"),
    _field("range", "number"),
    _field("duration", "number"),
    _field("authentication_type", "text"),
    _field("csms_transaction_id", "text"),
    _field("smart_mode", "text"),
    _field("rfid", "text"),
    _field("suspended_by_user", "boolean"),
    _field("external_control", "boolean"),
    Column("max_amperes", "json", _max_amperes),
    Column("extra", "json", _extra),
)
