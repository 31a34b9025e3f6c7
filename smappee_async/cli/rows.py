"""Sessions as a table for people: some of their fields, and times in the zone of each park."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from smappee_async.cli.output import Column, Row, TableWriter
from smappee_async.export.text import SessionText
from smappee_async.models import ChargingSession
from smappee_async.rfid import ShownRfid, rfid_as
from smappee_async.tables.text import decimal_text

_COLUMNS: Final = (
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


class SessionTable(SessionText):
    """A table of the first sessions, and a line with the totals of all.

    :param zones: the time zones to show, by park or by station.
    :param limit: how many sessions are shown.
    :param colours: whether the output is a terminal that shows them.
    """

    def __init__(self, zones: Mapping[int | str, str], *, rfid: ShownRfid, limit: int, colours: bool) -> None:
        self._zones = {name: ZoneInfo(zone) for name, zone in zones.items()}
        self._rfid: ShownRfid = rfid
        self._table = TableWriter(_COLUMNS, what="sessions", energy="energy_kwh", limit=limit, colours=colours)

    def add(self, sessions: Iterable[ChargingSession]) -> str:
        """No text yet: the widths of the columns are known at the end."""
        return self._table.add(map(self._row, sessions))

    def end(self) -> str:
        """The table."""
        return self._table.end()

    def _row(self, session: ChargingSession) -> Row:
        """With a dash for a missing time or park."""
        zone = self._zones[session.key[0]]
        kwh = session.energy_kwh
        return {
            "service_location_id": session.service_location_id or "-",
            "serial_number": session.serial_number,
            "connector": session.connector,
            "id": session.id,
            "started": _local(session.started_at, zone),
            "ended": _local(session.ended_at, zone),
            "energy_kwh": None if kwh is None else decimal_text(kwh),  # exact, for the sum
            "kwh": None if kwh is None else f"{kwh:.2f}",
            "status": str(session.status),
            "rfid": rfid_as(session.rfid, self._rfid),
        }


def _local(instant: datetime | None, zone: ZoneInfo) -> str:
    return "-" if instant is None else instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")
