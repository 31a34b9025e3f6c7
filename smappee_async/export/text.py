"""Sessions as text: CSV and JSON lines, with the columns of every table."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from smappee_async.errors import ConfigurationError
from smappee_async.export.zones import TimeZones, Zones
from smappee_async.models import ChargingSession
from smappee_async.rfid import ShownRfid, check_shown_rfid, rfid_as
from smappee_async.tables.columns import COLUMNS, Column, Kind
from smappee_async.tables.text import decimal_text, instant_text
from smappee_async.timerange import from_ms

ToText: TypeAlias = Callable[[Any], str]

CsvDialect: TypeAlias = Literal["standard", "excel-eu"]
"""``standard`` is for programs. ``excel-eu`` is for Excel where a comma separates decimals."""

NAMES: Final = tuple(column.name for column in COLUMNS)
"""The header of the CSV, and the keys of the JSON lines."""

#: Excel and others run a cell that begins with one of these as a formula; before a tab or a line end they look further.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class SessionText(ABC):
    """Turns sessions into the text of a file, some at a time."""

    def begin(self) -> str:
        """The text before the first session."""
        return ""

    @abstractmethod
    def add(self, sessions: Iterable[ChargingSession]) -> str:
        """The text of the next sessions."""

    def end(self) -> str:
        """The text after the last session."""
        return ""


class JsonLinesText(SessionText):
    """One JSON object on each line, all with the same keys; ``null`` stands for what is missing.

    Instants are texts in UTC, and energy is exact decimal text.

    :param rfid: what is shown of RFIDs.
    :raises ConfigurationError: ``rfid`` is no choice.
    """

    def __init__(self, rfid: ShownRfid = "mask") -> None:
        self._rfid: ShownRfid = check_shown_rfid(rfid)

    def add(self, sessions: Iterable[ChargingSession]) -> str:
        """A line for each session."""
        return "".join(f"{msgspec.json.encode(self.row(session)).decode()}\n" for session in sessions)

    def row(self, session: ChargingSession) -> dict[str, object]:
        """A session as the object that is encoded."""
        row = {column.name: _json_value(column, session) for column in COLUMNS}
        row["rfid"] = rfid_as(session.rfid, self._rfid)
        return row


class CsvText(SessionText):
    """CSV with a header. A missing value is an empty cell, and a truth value ``true`` or ``false``.

    The dialect ``standard`` is RFC 4180, but lines end with a line feed only. Instants are texts in UTC.

    In the dialect ``excel-eu`` semicolons separate cells, commas separate decimals, the text begins with a byte order
    mark, instants are written as Excel reads them, and an apostrophe stands before a text that Excel would run as a
    formula.

    :param rfid: what is shown of RFIDs.
    :param tz: adds ``started_local`` and ``ended_local`` in this zone; for ``excel-eu`` only.
    :raises ConfigurationError: an argument cannot work.
    """

    def __init__(self, dialect: CsvDialect = "standard", *, rfid: ShownRfid = "mask", tz: Zones | None = None) -> None:
        if dialect not in get_args(CsvDialect):
            raise ConfigurationError(f"a dialect is 'standard' or 'excel-eu', not {dialect!r}")
        if tz is not None and dialect != "excel-eu":
            raise ConfigurationError(
                f"tz cannot be used with the dialect {dialect!r}, whose times are in UTC", advice="Leave it out"
            )
        self._is_for_excel = dialect == "excel-eu"
        self._rfid: ShownRfid = check_shown_rfid(rfid)
        self._local = None if tz is None else LocalTimes(tz)
        to_texts = _EXCEL_TEXTS if self._is_for_excel else _TEXTS
        self._columns = [(column, to_texts.get(column.kind, str)) for column in COLUMNS]

    def begin(self) -> str:
        """The header."""
        local = () if self._local is None else ("started_local", "ended_local")
        return ("\ufeff" if self._is_for_excel else "") + self._lines([(*NAMES, *local)])

    def add(self, sessions: Iterable[ChargingSession]) -> str:
        """A line for each session."""
        return self._lines(map(self._cells, sessions))

    def _cells(self, session: ChargingSession) -> list[str]:
        cells = []
        for column, to_text in self._columns:
            value = rfid_as(session.rfid, self._rfid) if column.name == "rfid" else column.of(session)
            cells.append("" if value is None else to_text(value))
        if self._local is not None:
            started, ended = self._local.of(session)
            cells += [_excel_time(started), "" if ended is None else _excel_time(ended)]
        return cells

    def _lines(self, lines: Iterable[Iterable[str]]) -> str:
        text = io.StringIO()
        if self._is_for_excel:
            csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(lines)
        else:
            csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue()


class LocalTimes:
    """The start and the end of sessions in a time zone.

    :raises ConfigurationError: a zone does not exist.
    """

    def __init__(self, tz: Zones) -> None:
        self._zones = TimeZones(tz)

    def of(self, session: ChargingSession) -> tuple[datetime, datetime | None]:
        """The start, and the end of a session that has ended.

        :raises ConfigurationError: there is no zone for its park, or station.
        """
        zone = self._zones.of(session.key[0])
        ended_at = session.ended_at
        return session.started_at.astimezone(zone), None if ended_at is None else ended_at.astimezone(zone)


def _json_value(column: Column, session: ChargingSession) -> object:
    value = column.of(session)
    match column.kind, value:
        case "instant", int():
            return instant_text(value)
        case "energy", Decimal():
            return decimal_text(value)
        case kind, str() if kind != "text":
            return msgspec.Raw(value.encode())  # a JSON text
        case _:
            return value


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _excel_time(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(" ", "seconds")


def _excel_number(value: float | Decimal) -> str:
    return decimal_text(Decimal(str(value))).replace(".", ",")


def _disarmed(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


#: How values of a kind are written; others by ``str``.
_TEXTS: Final[Mapping[Kind, ToText]] = {"instant": instant_text, "energy": decimal_text, "boolean": _boolean}
_EXCEL_TEXTS: Final[Mapping[Kind, ToText]] = {
    "text": _disarmed,
    "instant": lambda instant_ms: _excel_time(from_ms(instant_ms)),
    "energy": _excel_number,
    "number": _excel_number,
    "boolean": _boolean,
}
