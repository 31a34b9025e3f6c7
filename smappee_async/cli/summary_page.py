"""A summary as a page for people: bars, tables and a heat map."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from smappee_async.cli.ending import one_line
from smappee_async.cli.summed import SummedUp
from smappee_async.report import Total, by_energy
from smappee_async.rfid import ShownRfid, rfid_as

#: As terminals have it, if there is none.
_WIDTH_WITHOUT_TERMINAL: Final = 80
#: More days are shown as months.
_MOST_DAYS: Final = 62
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: How many sessions, in quarters of the most.
_SHADES: Final = ("░", "▒", "▓", "█")
_SHADES_STYLE: Final = "yellow"
_WIDEST_HOUR: Final = 4
_ENERGY_STYLE: Final = "green"
_SESSIONS_STYLE: Final = "blue"


class SummaryPage:
    """One page.

    :param limit: how many cards and connectors are shown; the others are added up in one row.
    """

    def __init__(self, summed: SummedUp, rfid: ShownRfid, limit: int) -> None:
        self._summed = summed
        self._summary = summed.summary
        self._rfid: ShownRfid = rfid
        self._limit = limit

    def text(self, *, colours: bool) -> str:
        """The page as text.

        :param colours: whether the output is a terminal, which has a width and may show colours.
        """
        file = io.StringIO()
        has_width = colours or "COLUMNS" in os.environ
        width = None if has_width else _WIDTH_WITHOUT_TERMINAL
        # Rich itself respects NO_COLOR and TERM.
        console = Console(
            file=file, force_terminal=colours, width=width, legacy_windows=False, highlight=False, emoji=False
        )
        for part in self._parts(console.width):
            console.print(part)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        return "".join(f"{line}\n" for line in lines)

    def _parts(self, width: int) -> Iterator[RenderableType]:
        yield from self._head()
        if not self._summary.total.sessions:
            return
        yield from self._days()
        if len(self._summed.parks) > 1:
            parks = [
                ((str(park.service_location_id), park.zone), self._summary.parks.get(park.service_location_id, Total()))
                for park in self._summed.parks
            ]
            yield from _ranking("Parks", ("Park", "Time zone"), parks, limit=None)
        if self._rfid != "none":
            cards = [
                ((rfid_as(card, self._rfid) or "no card",), total) for card, total in by_energy(self._summary.cards)
            ]
            yield from _ranking("Cards", ("Card",), cards, limit=self._limit)
        yield from self._connectors()
        yield from self._hours(width)

    # --- the parts ----------------------------------------------------------------------------------------------------

    def _head(self) -> Iterator[RenderableType]:
        summed, total, running = self._summed, self._summary.total, self._summary.open
        yield Text(_title(summed), style="bold")
        yield Text(_counted(total, "ended"))
        if running.sessions:
            yield Text(f"{_counted(running, 'still open')} so far, not counted below")
        for park in summed.parks:
            end = park.time_range.end
            if park.synced_until is not None and (end is None or park.synced_until < end):
                until = f"{park.synced_until:%Y-%m-%d %H:%M} UTC"
                yield Text(f"Park {park.service_location_id}: as the copy had it at its last sync, {until}")
        for line in summed.missing:
            yield Text(f"INCOMPLETE, missing: {one_line(line)}", style="bold red")

    def _days(self) -> Iterator[RenderableType]:
        days = self._summed.days()
        assert days is not None
        first, last = days
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        found = self._summary.days
        if len(every) <= _MOST_DAYS:
            rows = [(f"{day:%a} {day}", found.get(day, Total())) for day in every]
            title = "Days"
        else:
            rows = list(_months(every, found).items())
            title = "Months"
        yield _heading(title)
        yield _bars(rows)

    def _connectors(self) -> Iterator[RenderableType]:
        has_parks = len(self._summed.parks) > 1
        rows = []
        for connector, total in by_energy(self._summary.connectors):
            names = (connector.serial_number, "-" if connector.connector is None else str(connector.connector))
            rows.append(((str(connector.service_location_id), *names) if has_parks else names, total))
        titles = ("Park", "Station", "Conn.") if has_parks else ("Station", "Conn.")
        yield from _ranking("Connectors", titles, rows, limit=self._limit)

    def _hours(self, width: int) -> Iterator[RenderableType]:
        hours = self._summary.hours
        most = max(map(max, hours))
        wide = max(1, min(_WIDEST_HOUR, (width - 6) // 24))
        yield _heading("Sessions by weekday and hour of their start")
        step = 1 if wide > 2 else 3 if wide == 2 else 6
        marks = "".join(f"{hour:02d}".ljust(wide * step) for hour in range(0, 24, step))
        yield Text(f"     {marks.rstrip()}", style="dim")
        for weekday, counts in zip(_WEEKDAYS, hours, strict=True):
            line = Text(f"{weekday}  ")
            for count in counts:
                shade = _shade(count, most)
                line.append("·".ljust(wide) if shade is None else _SHADES[shade] * wide, _hour_style(shade))
            yield line
        yield _legend(most)


def _title(summed: SummedUp) -> str:
    parks = [str(park.service_location_id) for park in summed.parks]
    zones = sorted({park.zone for park in summed.parks})
    what = f"Park {parks[0]}" if len(parks) == 1 else f"{len(parks)} parks"
    days = summed.days()
    when = "no days" if days is None else str(days[0]) if days[0] == days[1] else f"{days[0]} to {days[1]}"
    if any(park.time_range.end is None for park in summed.parks):
        when = f"{when}, and on"
    where = zones[0] if len(zones) == 1 else "each park's time zone"
    return f"{what}, {when} ({where}{', from a copy' if summed.is_copy else ''})"


def _counted(total: Total, what: str) -> str:
    noun = "session" if total.sessions == 1 else "sessions"
    without = f" ({total.without_energy:,} of them without energy)" if total.without_energy else ""
    return f"{total.sessions:,} {noun} {what}{without}: {_kwh(total.energy_kwh)} kWh"


def _months(days: Sequence[date], found: Mapping[date, Total]) -> Mapping[str, Total]:
    months: dict[str, Total] = defaultdict(Total)
    for day in days:
        months[f"{day:%Y-%m}"] += found.get(day, Total())
    return months


def _heading(title: str) -> Text:
    return Text(f"\n{title}", style="bold")


def _bars(rows: Sequence[tuple[str, Total]]) -> Table:
    most_kwh = max((total.energy_kwh for _, total in rows), default=Decimal(0))
    most = max((total.sessions for _, total in rows), default=0)
    table = _table()
    table.add_column("Started")
    table.add_column("kWh", justify="right")
    table.add_column("", ratio=2)
    table.add_column("Sessions", justify="right")
    table.add_column("", ratio=1)
    for name, total in rows:
        table.add_row(
            name,
            _kwh(total.energy_kwh),
            _bar(total.energy_kwh, most_kwh, _ENERGY_STYLE),
            f"{total.sessions:,}",
            _bar(Decimal(total.sessions), Decimal(most), _SESSIONS_STYLE),
        )
    return table


def _ranking(
    title: str, columns: Sequence[str], rows: Sequence[tuple[Sequence[str], Total]], *, limit: int | None
) -> Iterator[RenderableType]:
    """A table of groups, the ones with the most energy first; those that are not shown in one row."""
    most = max((total.energy_kwh for _, total in rows), default=Decimal(0))
    table = _table()
    for column in columns:
        table.add_column(column, overflow="fold")
    table.add_column("Sessions", justify="right")
    table.add_column("kWh", justify="right")
    table.add_column("", ratio=1)
    shown = rows if limit is None else rows[:limit]
    for names, total in shown:
        cells = [Text(one_line(name)) for name in names]
        table.add_row(
            *cells, f"{total.sessions:,}", _kwh(total.energy_kwh), _bar(total.energy_kwh, most, _ENERGY_STYLE)
        )
    if others := rows[len(shown) :]:
        rest = sum((total for _, total in others), Total())
        names = [f"{len(others):,} more", *[""] * (len(columns) - 1)]
        table.add_row(*names, f"{rest.sessions:,}", _kwh(rest.energy_kwh), "", style="dim")
    yield _heading(title)
    yield table


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False)


def _bar(value: Decimal, most: Decimal, style: str) -> RenderableType:
    if value <= 0 or most <= 0:
        return ""
    return Bar(1.0, 0, float(value / most), color=style)


def _kwh(kwh: Decimal) -> str:
    return f"{kwh:,.2f}"


def _shade(count: int, most: int) -> int | None:
    """Which shade: a quarter of the most, from 0; ``None`` for nothing."""
    return None if count == 0 else (4 * count - 1) // most


def _hour_style(shade: int | None) -> str:
    return "dim" if shade is None else _SHADES_STYLE


def _legend(most: int) -> Text:
    """What each shade stands for; a shade that no number has is left out."""
    line = Text("     · none")
    for shade, sign in enumerate(_SHADES):
        first, last = shade * most // 4 + 1, (shade + 1) * most // 4
        if first <= last:
            line.append(f"   {sign * 2} ", _SHADES_STYLE)
            line.append(str(first) if first == last else f"{first:,}-{last:,}")
    return line
