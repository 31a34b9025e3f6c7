"""Sessions as rows: every field for machines, a handful of them for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.output import Cell, Column, Row
from smappee_async.models import ChargingSession


class Rfid(StrEnum):
    """What becomes of the RFID, which names a person."""

    MASK = "mask"
    SHOW = "show"
    NONE = "none"


def show_rfid(rfid: str | None, how: Rfid) -> str | None:
    """An RFID as it may be shown: masked, it keeps its last three characters at most."""
    if rfid is None or how is Rfid.NONE:
        return None
    if how is Rfid.SHOW:
        return rfid
    return f"***{rfid[-3:]}" if len(rfid) > 3 else "***"


_MACHINE: Final[Mapping[str, Callable[[ChargingSession], Cell]]] = {
    "service_location_id": lambda session: session.service_location_id,
    "serial_number": lambda session: session.serial_number,
    "connector": lambda session: session.connector,
    "id": lambda session: session.id,
    "status": lambda session: str(session.status),
    "started_at": lambda session: _instant(session.started_at),
    "ended_at": lambda session: _instant(session.ended_at),
    "energy_kwh": lambda session: _decimal(session.energy_kwh),
    "start_reading_kwh": lambda session: session.start_reading,
    "stop_reading_kwh": lambda session: session.stop_reading,
    "authentication_type": lambda session: session.authentication_type,
    "rfid": lambda session: session.rfid,
    "user_id": lambda session: session.user_id,
    "csms_transaction_id": lambda session: session.csms_transaction_id,
    "range": lambda session: session.range,
    "duration": lambda session: session.duration,
    "priority": lambda session: session.priority,
    "smart_mode": lambda session: session.smart_mode,
    "suspended_by_user": lambda session: session.suspended_by_user,
    "external_control": lambda session: session.external_control,
    "minimum_excess_percentage": lambda session: session.minimum_excess_percentage,
    "max_amperes": lambda session: session.max_amperes,
}
MACHINE_COLUMNS: Final = tuple(_MACHINE)
"""The header of the CSV and the keys of the JSON lines. Programs lean on them: new ones only at the end."""

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


def machine_rows(sessions: Iterable[ChargingSession], rfid: Rfid) -> Iterable[Row]:
    """Sessions with every field, times in UTC to the millisecond, energy as exact decimal text."""
    for session in sessions:
        row = {name: value(session) for name, value in _MACHINE.items()}
        row["rfid"] = show_rfid(session.rfid, rfid)
        yield row


@attrs.frozen
class PeopleRows:
    """Sessions as a person reads them.

    :param zones: the zones of their times, by park or by station.
    """

    zones: Mapping[str, ZoneInfo]
    rfid: Rfid

    def __call__(self, sessions: Iterable[ChargingSession]) -> Iterable[Row]:
        """The rows, with a dash where there is nothing."""
        for session in sessions:
            zone = self.zones[str(session.service_location_id or session.serial_number)]
            yield {
                "service_location_id": session.service_location_id or "-",
                "serial_number": session.serial_number,
                "connector": session.connector,
                "id": session.id,
                "started": _local(session.started_at, zone),
                "ended": _local(session.ended_at, zone),
                "energy_kwh": _decimal(session.energy_kwh),  # exact, to be added up
                "kwh": None if session.energy_kwh is None else f"{session.energy_kwh:.2f}",
                "status": str(session.status),
                "rfid": show_rfid(session.rfid, self.rfid),
            }


def _local(instant: datetime | None, zone: ZoneInfo) -> str:
    return "-" if instant is None else instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _decimal(value: Decimal | None) -> str | None:
    # Never with an exponent, which spreadsheets and parsers read each in their own way.
    return None if value is None else f"{value:f}"
