"""``smappee-async watch``: a live table on a terminal, JSON lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from smappee_async.cli.ending import ExitCode, one_line, run_async
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import JsonLinesWriter, Row
from smappee_async.cli.sinks import Sink, open_sink
from smappee_async.export.text import JsonLinesText
from smappee_async.limits import Limits
from smappee_async.models import ChargingSession
from smappee_async.rfid import ShownRfid, rfid_as
from smappee_async.sync import RfidChoice, SessionEvent, SessionWatch, watch

#: Lines of the screen that are no row of the table.
_FRAME_LINES: Final = 5
_COLUMNS: Final = ("Event", "At", "Park", "Station", "Conn.", "Session", "Started", "kWh", "Status", "RFID")


@attrs.frozen(kw_only=True)
class WatchOptions:
    """The options of the command."""

    parks: Sequence[int]
    every: timedelta
    idle_every: timedelta
    to: str | None
    since: datetime | None
    consumer: str
    rfid: ShownRfid
    keep_rfid: RfidChoice


class _View(Protocol):
    async def show(self, event: SessionEvent, events: SessionWatch) -> None:
        """Show an event."""
        ...


def show_watch(login_options: LoginOptions, options: WatchOptions, limits: Limits) -> ExitCode:
    """Show the events until the command is interrupted."""
    with open_sink(None) as sink:
        if not sink.is_terminal:
            run_async(_watch(login_options, options, limits, _Lines(sink, options.rfid)))
            return ExitCode.OK
        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            view = _LiveTable(live, console, options.rfid)
            view.draw("waiting for the first event")
            run_async(_watch(login_options, options, limits, view))
    return ExitCode.OK


async def _watch(login_options: LoginOptions, options: WatchOptions, limits: Limits, view: _View) -> None:
    async with (
        await login_options.client(limits) as client,
        watch(
            client,
            options.parks,
            every=options.every,
            idle_every=options.idle_every,
            to=options.to,
            since=options.since,
            consumer=options.consumer,
            rfid=options.keep_rfid,
        ) as events,
    ):
        async for event in events:
            await view.show(event, events)


@attrs.define
class _Lines:
    """One JSON object for each event."""

    _sink: Sink
    _rfid: ShownRfid
    _writer: JsonLinesWriter = attrs.field(factory=JsonLinesWriter)

    async def show(self, event: SessionEvent, events: SessionWatch) -> None:  # noqa: ARG002 - see _View
        """Write a line. It is written before the next event is asked for, so that none is skipped after a restart."""
        await self._sink.write_soon(self._writer.add([event_row(event, self._rfid)]))


def event_row(event: SessionEvent, rfid: ShownRfid) -> Row:
    """An event for programs: its number, kind and time, and the session before and after."""
    lines = JsonLinesText(rfid)

    def session(given: ChargingSession | None) -> Row | None:
        return None if given is None else lines.row(given)

    at = event.at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return {
        "number": event.number,
        "kind": event.kind,
        "at": at,
        "service_location_id": event.session.service_location_id,
        "id": event.session.id,
        "before": session(event.before),
        "after": session(event.after),
    }


@attrs.define
class _LiveTable:
    """The sessions of the latest events, the last one first, as many as the screen has lines."""

    _live: Live
    _console: Console
    _rfid: ShownRfid
    _latest: dict[tuple[int | str, int], SessionEvent] = attrs.field(factory=dict)

    async def show(self, event: SessionEvent, events: SessionWatch) -> None:
        """Put a session at the top."""
        self._latest.pop(event.session.key, None)
        self._latest[event.session.key] = event
        while len(self._latest) > max(1, self._console.height - _FRAME_LINES):
            del self._latest[next(iter(self._latest))]
        failed = f", {len(events.failures)} parks cannot be read" if events.failures else ""
        self.draw(f"event {event.number:,}{failed}; Ctrl-C ends")

    def draw(self, caption: str) -> None:
        """Draw the table anew."""
        table = Table(caption=caption, expand=False)
        for name in _COLUMNS:
            table.add_column(name, justify="right" if name in ("Park", "Conn.", "Session", "kWh") else "left")
        for event in reversed(self._latest.values()):
            table.add_row(*(Text(one_line(cell)) for cell in self._cells(event)), style=_STYLES[event.kind])
        self._live.update(table, refresh=True)

    def _cells(self, event: SessionEvent) -> Sequence[str]:
        session, kwh = event.session, event.session.energy_kwh
        return (
            event.kind,
            f"{event.at.astimezone():%H:%M:%S}",
            str(session.service_location_id),
            session.serial_number,
            "" if session.connector is None else str(session.connector),
            str(session.id),
            f"{session.started_at.astimezone():%m-%d %H:%M}",
            "" if kwh is None else f"{kwh:.2f}",
            str(session.status),
            rfid_as(session.rfid, self._rfid) or "",
        )


_STYLES: Final = {
    "started": "green",
    "updated": "",
    "ended": "dim",
    "corrected": "yellow",
    "vanished": "red",
    "returned": "yellow",
}
