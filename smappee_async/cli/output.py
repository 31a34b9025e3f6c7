"""Rows as text: CSV and JSON lines for programs, a table for people."""

from __future__ import annotations

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import attrs
import msgspec
from rich.box import ASCII, SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smappee_async.cli.ending import one_line

Row = Mapping[str, object]

#: Enough for the tables here, if there is no terminal that has a width.
_WIDTH_WITHOUT_TERMINAL: Final = 140


class Format(StrEnum):
    """Format of the output."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


class FileFormat(StrEnum):
    """Format of a file of sessions."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


class SessionFormat(StrEnum):
    """Format of sessions: that of a file, or a table."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


class Writer(ABC):
    """Turns rows into text, some at a time."""

    def begin(self) -> str:
        """The text before the first row."""
        return ""

    @abstractmethod
    def add(self, rows: Iterable[Row]) -> str:
        """The text of the next rows."""

    def end(self) -> str:
        """The text after the last row."""
        return ""


class JsonLinesWriter(Writer):
    """One JSON object per line; all have the same keys, with ``null`` for what is missing."""

    def add(self, rows: Iterable[Row]) -> str:
        """A line for each row."""
        return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in rows)


class CsvWriter(Writer):
    """RFC 4180 with a header, but lines end with a line feed only.

    A missing value is an empty cell.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def begin(self) -> str:
        """The header."""
        return self._text([self._columns])

    def add(self, rows: Iterable[Row]) -> str:
        """A line for each row."""
        return self._text([_csv_cell(row[name]) for name in self._columns] for row in rows)

    def _text(self, lines: Iterable[Sequence[str]]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue()


def _csv_cell(value: object) -> str:
    return "" if value is None else str(value)


@attrs.frozen
class Column:
    """A column of a table for people.

    :param name: its key in the rows.
    :param title: its heading.
    :param right: whether it is aligned to the right, as numbers are.
    """

    name: str
    title: str
    right: bool = False


class TableWriter(Writer):
    """A table for people. It shows the first rows and counts the others.

    :param what: the plural noun for the rows.
    :param energy: the key of the values to add up: kWh as exact decimal text.
    :param limit: how many rows are shown; ``None`` for all.
    :param colours: whether the output is a terminal that shows them.
    :param plain: ASCII only.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        what: str,
        energy: str | None = None,
        limit: int | None = None,
        colours: bool = False,
        plain: bool = False,
    ) -> None:
        self._columns = columns
        self._limit = limit
        self._what = what
        self._energy = energy
        self._colours = colours
        self._box: Box = ASCII if plain else SIMPLE_HEAD
        self._shown: list[Row] = []
        self._count = 0
        self._kwh = Decimal(0)

    def add(self, rows: Iterable[Row]) -> str:
        """No text yet: the widths of the columns are known at the end."""
        for row in rows:
            self._count += 1
            if self._limit is None or self._count <= self._limit:
                self._shown.append(row)
            if self._energy is not None and isinstance(kwh := row[self._energy], str):
                self._kwh += Decimal(kwh)
        return ""

    def end(self) -> str:
        """The table, and a line with the totals."""
        table = Table(box=self._box)
        for column in self._columns:
            table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
        for row in self._shown:
            # Text, so that rich does not interpret a name as markup.
            table.add_row(*(Text(_table_cell(row[column.name])) for column in self._columns))
        shown = _render(table, colours=self._colours) if self._shown else ""
        return f"{shown}{self._summary()}\n"

    def _summary(self) -> str:
        parts = [f"{self._count:,} {self._what}"]
        if self._energy is not None:
            parts.append(f"{self._kwh:,f} kWh")
        if hidden := self._count - len(self._shown):
            parts.append(f"{hidden:,} of them not shown (--limit shows more, --format csv or jsonl all)")
        return ", ".join(parts)


def _table_cell(value: object) -> str:
    return one_line(_csv_cell(value))


def _render(table: Table, *, colours: bool) -> str:
    text = io.StringIO()
    has_width = colours or "COLUMNS" in os.environ
    width = None if has_width else _WIDTH_WITHOUT_TERMINAL
    # Rich itself respects NO_COLOR and TERM.
    Console(file=text, force_terminal=colours, width=width, legacy_windows=False).print(table)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "".join(f"{line}\n" for line in lines if line)
