"""The workbook: its sheets, their columns and the chart. It needs the extra ``excel``.

Rows go to temporary files as they come, so a workbook of any size needs little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta, tzinfo
from typing import BinaryIO, Final, Literal

import msgspec
from xlsxwriter import Workbook
from xlsxwriter.chart import Chart
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from smappee_async.export.xlsx_totals import Totals
from smappee_async.models import ChargingSession
from smappee_async.report.summary import Total
from smappee_async.secret import Opaque
from smappee_async.tables.columns import COLUMNS, Column, Kind
from smappee_async.timerange import from_ms

#: What Excel allows in a sheet.
ROWS_OF_A_SHEET: Final = 1_048_576
#: A cell has 32,767 units of UTF-16, of which a character may need two.
_RICH_TEXT_OF_A_CELL: Final = 16_383
_WAS_CUT: Final = -2
#: Excel keeps 15 digits of a number.
_EXACT_BELOW: Final = 10**15

_MS_A_DAY: Final = 86_400_000
_MILLISECOND: Final = timedelta(milliseconds=1)
#: 1970-01-01 as Excel counts days.
_EPOCH_DAY: Final = 25_569

#: Widths in characters. The arrow of the filter covers some of a header.
_ARROW: Final = 3
_MARGIN: Final = 3
_WIDEST: Final = 40
_NARROWEST: Final = 8

Form = Literal["text", "number", "energy", "instant", "day", "count", "boolean", "value"]
Cell = str | int | float | bool | None

#: When it is printed.
_COLUMNS_OF_A_PAGE: Final = 16

_FORM_OF: Final[dict[Kind, Form]] = {
    "integer": "number",
    "text": "text",
    "instant": "instant",
    "energy": "energy",
    "number": "number",
    "numbers": "text",
    "boolean": "boolean",
    "json": "text",
}
#: Number formats are Excel's own language; it shows them in the language of its user.
_NUMBER_FORMATS: Final[dict[Form, str]] = {
    "text": "General",
    "number": "General",
    # Excel shows TRUE and FALSE in its own language whatever the format; LibreOffice would show 1 and 0.
    "boolean": '"TRUE";"TRUE";"FALSE"',
    "energy": "#,##0.00####",
    "instant": "yyyy-mm-dd hh:mm:ss",
    "day": "yyyy-mm-dd",
    "count": "#,##0",
    "value": "#,##0",
}
_LEFT: Final[frozenset[Form]] = frozenset({"text", "instant", "day", "boolean", "value"})
_WIDTHS: Final[dict[Form, int]] = {"instant": 20, "day": 11, "energy": 12}


class SheetColumn(Opaque, msgspec.Struct, frozen=True):
    """A column of a sheet.

    :ivar header: its header.
    :ivar form: how its cells are written.
    :ivar of: the value of a session in a time zone; instants as Excel counts days.
    """

    header: str
    form: Form
    of: Callable[[ChargingSession, tzinfo], Cell]


def day_number(instant_ms: int, zone: tzinfo | None = None) -> float:
    """An instant as Excel counts days: in UTC, or as the clocks of a time zone showed it."""
    if zone is not None:
        offset = from_ms(instant_ms).astimezone(zone).utcoffset()
        assert offset is not None
        instant_ms += offset // _MILLISECOND
    return instant_ms / _MS_A_DAY + _EPOCH_DAY


def _sheet_columns(columns: Iterable[Column]) -> Iterator[SheetColumn]:
    for column in columns:
        if column.kind == "instant":
            yield SheetColumn(f"{column.name} (UTC)", "instant", _instant(column, is_local=False))
            yield SheetColumn(f"{column.name} (local)", "instant", _instant(column, is_local=True))
        else:
            yield SheetColumn(column.name, "text" if _is_identifier(column) else _FORM_OF[column.kind], _plain(column))


def _is_identifier(column: Column) -> bool:
    """Whether a column has numbers that nobody calculates with, which may have more digits than Excel keeps."""
    return column.kind == "integer" and (column.name == "id" or column.name.endswith("_id"))


def _instant(column: Column, *, is_local: bool) -> Callable[[ChargingSession, tzinfo], Cell]:
    def value(session: ChargingSession, zone: tzinfo) -> Cell:
        instant_ms = column.of(session)
        return None if instant_ms is None else day_number(int(instant_ms), zone if is_local else None)

    return value


def _plain(column: Column) -> Callable[[ChargingSession, tzinfo], Cell]:
    of = column.of
    if column.kind == "energy":
        return lambda session, _: None if (value := of(session)) is None else float(value)
    return lambda session, _: of(session)  # type: ignore[return-value]  # a Decimal is of the kind energy


SESSION_COLUMNS: Final = tuple(_sheet_columns(COLUMNS))
"""The columns of the sheet *Sessions*: those of every table, each instant in UTC and in the time zone of the park."""

_TOTAL_COLUMNS: Final[tuple[tuple[str, Form], ...]] = (
    ("Total of", "text"),
    ("Day (local)", "day"),
    ("Park", "text"),
    ("Station", "text"),
    ("Card", "text"),
    ("Sessions", "count"),
    ("kWh", "energy"),
    ("Without kWh", "count"),
)
_DAY, _KWH = 1, 6


class Sheet(Opaque):
    """One sheet, a table with a header that stays in sight. Rows are written from the top to the bottom.

    :ivar rows: how many rows it has, with the header.
    :ivar cut: how many texts were longer than a cell may be.
    """

    def __init__(self, book: Book, name: str, columns: Sequence[tuple[str, Form]], *, has_filter: bool = True) -> None:
        self.name = name
        self._has_filter = has_filter
        self.rows = 0
        self.cut = 0
        self._sheet: Worksheet = book.workbook.add_worksheet(name)
        self._forms: list[Form] = [form for _, form in columns]
        self._formats = [book.formats[form] for form in self._forms]
        self._widths = [max(_WIDTHS.get(form, _NARROWEST), len(header) + _ARROW) for header, form in columns]
        for number, (header, form) in enumerate(columns):
            self._sheet.write_string(0, number, header, book.header_left if form in _LEFT else book.header_right)
        self.rows = 1
        self._sheet.freeze_panes(1, 0)
        self._sheet.repeat_rows(0)
        self._sheet.set_landscape()
        self._sheet.set_paper(9)  # A4
        self._sheet.fit_to_pages(1 + len(columns) // _COLUMNS_OF_A_PAGE, 0)

    def add(self, cells: Iterable[Cell]) -> None:
        """Add a row. Texts are texts whatever they begin with: none becomes a formula, a link or a number."""
        sheet, row = self._sheet, self.rows
        for number, value in enumerate(cells):
            if value is None:
                continue
            form = self._forms[number]
            if form == "boolean" and isinstance(value, bool):
                sheet.write_boolean(row, number, value, self._formats[number])
            elif form == "text" or isinstance(value, str) or not -_EXACT_BELOW < value < _EXACT_BELOW:
                self._write_text(row, number, str(value))
            else:
                sheet.write_number(row, number, value, self._formats[number])
        self.rows += 1

    def _write_text(self, row: int, number: int, text: str) -> None:
        self._widths[number] = max(self._widths[number], min(len(text) + _MARGIN, _WIDEST))
        if not text.startswith("<r>"):
            # It cuts a text that is too long, and says so.
            self.cut += self._sheet.write_string(row, number, text, self._formats[number]) == _WAS_CUT
            return
        # xlsxwriter takes a text from <r> to </r> for rich text that it has made itself, and does not escape it.
        self.cut += len(text) > _RICH_TEXT_OF_A_CELL
        text = text[:_RICH_TEXT_OF_A_CELL]
        self._sheet.write_rich_string(row, number, text[0], text[1], text[2:], self._formats[number])

    def insert(self, chart: Chart, row: int, number: int) -> None:
        """Put a chart beside the table, its upper left corner on a cell."""
        self._sheet.insert_chart(row, number, chart)

    def end(self) -> None:
        """Set what depends on all rows."""
        if self._has_filter:
            self._sheet.autofilter(0, 0, self.rows - 1, len(self._forms) - 1)
        self._sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{ROWS_OF_A_SHEET}"})
        for number, width in enumerate(self._widths):
            self._sheet.set_column(number, number, width)


class Book(Opaque):
    """A workbook that is being written.

    :param file: gets the workbook when it is closed; the caller closes it.
    :param scratch: a directory for temporary files.
    :param rows_of_a_sheet: where the sessions go on in another sheet: *Sessions 2*, and so on.
    """

    def __init__(self, file: BinaryIO, scratch: str, *, rows_of_a_sheet: int = ROWS_OF_A_SHEET) -> None:
        self.workbook = Workbook(file, {"constant_memory": True, "tmpdir": scratch})
        self.workbook.use_zip64()
        # The indent keeps a text apart from a number on its left.
        left, header = {"align": "left", "indent": 1}, {"bold": True, "bg_color": "#DCE6F1", "bottom": 1}
        self.header_left: Format = self.workbook.add_format({**header, **left})
        self.header_right: Format = self.workbook.add_format({**header, "align": "right"})
        self.formats: dict[Form, Format] = {
            form: self.workbook.add_format({"num_format": number_format, **(left if form in _LEFT else {})})
            for form, number_format in _NUMBER_FORMATS.items()
        }
        self._rows_of_a_sheet = rows_of_a_sheet
        self._sheets: list[Sheet] = []
        self._totals = Totals()
        self._next_sheet()

    def add(self, sessions: Iterable[ChargingSession], cards: Iterable[int | None], zone: tzinfo) -> None:
        """Add sessions of parks in one time zone; see :class:`~smappee_async.export.xlsx_messages.Sessions`."""
        for session, card in zip(sessions, cards, strict=True):
            if self._sheets[-1].rows == self._rows_of_a_sheet:
                self._next_sheet()
            self._sheets[-1].add(column.of(session, zone) for column in SESSION_COLUMNS)
            self._totals.add(session, card=card, day=int(day_number(session.from_ms, zone)))

    def close(self, about: Iterable[tuple[str, str | int]]) -> int:
        """Write the other sheets, and the file. Returns the number of sessions."""
        totals = self._totals
        self._write_totals()
        cut = sum(sheet.cut for sheet in self._sheets)
        self._write_about(
            [
                *about,
                ("Sessions in this file", totals.all.sessions),
                ("Sessions whose kWh are unknown", totals.all.without_energy),
                *([("Texts cut at the length that a cell may have", cut)] if cut else []),
            ]
        )
        for sheet in self._sheets:
            sheet.end()
        self.workbook.close()
        return totals.all.sessions

    def _next_sheet(self) -> None:
        number = len(self._sheets) + 1
        name = "Sessions" if number == 1 else f"Sessions {number}"
        self._sheets.append(Sheet(self, name, [(column.header, column.form) for column in SESSION_COLUMNS]))

    def _write_totals(self) -> None:
        sheet = Sheet(self, "Totals", _TOTAL_COLUMNS)
        self._sheets.append(sheet)
        for cells in _total_rows(self._totals):
            sheet.add(cells)
        if self._totals.days:
            self._draw(sheet, days=len(self._totals.days))

    def _draw(self, sheet: Sheet, *, days: int) -> None:
        """A chart of kWh a day. The rows of the days follow the header and the row of all sessions."""
        chart = self.workbook.add_chart({"type": "column"})
        assert chart is not None
        first, last = 2, 1 + days
        chart.add_series(
            {
                "name": "kWh",
                "categories": [sheet.name, first, _DAY, last, _DAY],
                "values": [sheet.name, first, _KWH, last, _KWH],
                "fill": {"color": "#2F75B5"},
                "gap": 40,
            }
        )
        chart.set_title({"name": "kWh a day", "overlay": False})
        chart.set_legend({"none": True})
        chart.set_x_axis({"date_axis": True, "num_format": "yyyy-mm-dd", "num_font": {"rotation": -90}})
        chart.set_y_axis({"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#D9D9D9"}}})
        chart.show_hidden_data()  # a filter on the sheet leaves the chart as it is
        chart.set_size({"width": 900, "height": 420})
        sheet.insert(chart, 1, len(_TOTAL_COLUMNS) + 1)

    def _write_about(self, about: Sequence[tuple[str, str | int]]) -> None:
        sheet = Sheet(self, "About", [("About this file", "text"), ("Value", "value")], has_filter=False)
        self._sheets.append(sheet)
        for label, value in about:
            sheet.add((label, value))


def _total_rows(totals: Totals) -> Iterator[tuple[Cell, ...]]:
    yield _total_row("all", totals.all)
    for day, total in sorted(totals.days.items()):
        yield _total_row("day", total, day=day)
    for park, total in sorted(totals.parks.items(), key=lambda item: item[0] or 0):
        yield _total_row("park", total, park=park)
    for (park, station), total in sorted(totals.stations.items(), key=lambda item: (item[0][0] or 0, item[0][1])):
        yield _total_row("station", total, park=park, station=station)
    for (number, shown), total in sorted(totals.cards.items(), key=lambda item: (item[0][1] or "", item[0][0] or 0)):
        yield _total_row("card", total, card=_card(number, shown))


def _card(number: int | None, shown: str | None) -> str:
    if shown is not None:
        return shown
    return "no card" if number is None else "not shown"


def _total_row(
    of: str,
    total: Total,
    *,
    day: int | None = None,
    park: int | None = None,
    station: str | None = None,
    card: str | None = None,
) -> tuple[Cell, ...]:
    return (of, day, park, station, card, total.sessions, float(total.energy_kwh), total.without_energy)
