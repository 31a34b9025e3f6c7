"""Sessions as rows: all fields for programs, some of them for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.output import Cell, Column, Row
from smappee_async.models import ChargingSession

ToCell = Callable[[ChargingSession], Cell]


class Rfid(StrEnum):
    """How an RFID, which identifies a person, is shown."""

    MASK = "mask"
    SHOW = "show"
    NONE = "none"


def show_rfid(rfid: str | None, how: Rfid) -> str | None:
    """An RFID as it may be shown; masked, it keeps at most its last three characters."""
    if rfid is None or how is Rfid.NONE:
        return None
    if how is Rfid.SHOW:
        return rfid
    return f"***{rfid[-3:]}" if len(rfid) > 3 else "***"


# --- rows for programs ------------------------------------------------------------------------------------------------

#: Columns that are not a field of the record as it is: column and value, by the name of the field.
_SHOWN_AS: Final[Mapping[str, tuple[str, ToCell]]] = {
    "status": ("status", lambda session: str(session.status)),
    "from_ms": ("started_at", lambda session: _instant(session.started_at)),
    "to_ms": ("ended_at", lambda session: _instant(session.ended_at)),
    "energy": ("energy_kwh", lambda session: _decimal(session.energy_kwh)),
    "start_reading": ("start_reading_kwh", attrgetter("start_reading")),
    "stop_reading": ("stop_reading_kwh", attrgetter("stop_reading")),
    "extra": ("extra", lambda session: session.extra or None),
}

#: Programs rely on this order. A field that is added to the record gets its column by itself, after these.
_PROMISED: Final = (
    *("service_location_id", "serial_number", "connector", "id", "status", "started_at", "ended_at", "energy_kwh"),
    *("start_reading_kwh", "stop_reading_kwh", "authentication_type", "rfid", "user_id", "csms_transaction_id"),
    *("range", "duration", "priority", "smart_mode", "suspended_by_user", "external_control"),
    *("minimum_excess_percentage", "max_amperes", "extra"),
)


def columns_of(record: type[attrs.AttrsInstance]) -> dict[str, ToCell]:
    """The columns for a class of records and how to read them: the promised ones, then its other fields."""
    names = [field.name for field in attrs.fields(record)]
    columns: dict[str, ToCell] = dict(_SHOWN_AS.get(name, (name, attrgetter(name))) for name in names)
    return {name: columns[name] for name in dict.fromkeys((*_PROMISED, *columns))}


_COLUMNS: Final = columns_of(ChargingSession)
MACHINE_COLUMNS: Final = tuple(_COLUMNS)
"""The header of the CSV, and the keys of the JSON lines."""


def machine_rows(sessions: Iterable[ChargingSession], rfid: Rfid) -> Iterable[Row]:
    """Sessions with all fields: times in UTC to the millisecond, energy as exact decimal text."""
    for session in sessions:
        row = {name: to_cell(session) for name, to_cell in _COLUMNS.items()}
        row["rfid"] = show_rfid(session.rfid, rfid)
        yield row


# --- rows for people --------------------------------------------------------------------------------------------------

PEOPLE_COLUMNS: Final = (
    Column("service_location_id", "Park", right=True),
    Column("serial_number", "Station"),
    Column("connector", "Conn.", right=True),
    Column("id", "Session", right=True),
    Column("started", "Started"),
    Column("ended", "Ended"),
    Column("kwh", "kWh", right=True),
    Column("status", "Status"),
    Column("rfid", "RFID"),
)


@attrs.frozen
class PeopleRows:
    """Sessions for a table.

    :param zones: the time zones to show, by park or by station.
    """

    zones: Mapping[str, ZoneInfo]
    rfid: Rfid

    def __call__(self, sessions: Iterable[ChargingSession]) -> Iterable[Row]:
        """The rows, with a dash for a missing time or park."""
        for session in sessions:
            zone = self.zones[str(session.service_location_id or session.serial_number)]
            yield {
                "service_location_id": session.service_location_id or "-",
                "serial_number": session.serial_number,
                "connector": session.connector,
                "id": session.id,
                "started": _local(session.started_at, zone),
                "ended": _local(session.ended_at, zone),
                "energy_kwh": _decimal(session.energy_kwh),  # exact, for the sum
                "kwh": None if session.energy_kwh is None else f"{session.energy_kwh:.2f}",
                "status": str(session.status),
                "rfid": show_rfid(session.rfid, self.rfid),
            }


def _local(instant: datetime | None, zone: ZoneInfo) -> str:
    return "-" if instant is None else instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _decimal(value: Decimal | None) -> str | None:
    # Never with an exponent, because spreadsheets and parsers differ in how they read it.
    return None if value is None else f"{value:f}"
