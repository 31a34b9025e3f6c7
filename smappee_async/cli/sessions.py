"""``smappee-async sessions``: charging sessions of parks or stations, written as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.ending import ExitCode, run_async, tell, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import CsvWriter, Format, JsonLinesWriter, Row, TableWriter, Writer
from smappee_async.cli.progress import Coverage, ProgressCallback, progress, seconds
from smappee_async.cli.ranges import PARK_ZONE, RangeText
from smappee_async.cli.reading import problems_of, zones_of
from smappee_async.cli.rows import MACHINE_COLUMNS, PEOPLE_COLUMNS, PeopleRows, Rfid, machine_rows
from smappee_async.cli.sinks import Sink, open_sink
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError
from smappee_async.limits import Limits
from smappee_async.models import ChargingSession, SessionState
from smappee_async.query.session_query import OnError, Order, SessionQuery
from smappee_async.query.stream import SessionStream
from smappee_async.timerange import TimeRange

ToRows = Callable[[Iterable[ChargingSession]], Iterable[Row]]

#: How many sessions are written at once if they are read one by one.
_SESSIONS_PER_WRITE: Final = 500


@attrs.frozen(kw_only=True)
class SessionsOptions:
    """The query of the command.

    :param ids: service location ids of charging parks; serial numbers if ``stations`` is true. Each once.
    :param zone: an IANA name, or ``PARK_ZONE``.
    """

    ids: tuple[str, ...]
    stations: bool
    range_text: RangeText
    zone: str
    state: SessionState
    order: Order
    on_error: OnError
    deadline: timedelta | None

    def __attrs_post_init__(self) -> None:
        if self.stations and self.zone == PARK_ZONE:
            raise ConfigurationError(
                "--tz park needs charging parks, because a station does not tell its time zone",
                advice="Give --tz a zone such as Europe/Brussels",
            )
        if self.zone != PARK_ZONE:
            self.range_text.in_zone(self.zone)  # refused before anything is sent


@attrs.frozen(kw_only=True)
class Presentation:
    """How the sessions are written.

    :param limit: the number of rows in a table.
    """

    format: Format
    rfid: Rfid
    limit: int

    def writer(self, *, colours: bool) -> Writer:
        """Turns rows into text."""
        match self.format:
            case Format.JSONL:
                return JsonLinesWriter()
            case Format.CSV:
                return CsvWriter(MACHINE_COLUMNS)
            case Format.TABLE:
                return TableWriter(
                    PEOPLE_COLUMNS, what="sessions", energy="energy_kwh", limit=self.limit, colours=colours
                )

    def rows(self, zones: Mapping[str, str]) -> ToRows:
        """Turns sessions into rows; a table shows times in the time zone of each park."""
        if self.format is Format.TABLE:
            return PeopleRows({name: ZoneInfo(zone) for name, zone in zones.items()}, self.rfid)
        return lambda sessions: machine_rows(sessions, self.rfid)


def show_sessions(
    login_options: LoginOptions,
    options: SessionsOptions,
    presentation: Presentation,
    output: str | None,
    limits: Limits,
) -> ExitCode:
    """Fetch the sessions and write them as they arrive."""
    with open_sink(output) as sink:
        writer = presentation.writer(colours=sink.is_terminal)
        # Rows that appear on a terminal are progress enough, and a bar between them would disturb.
        is_written_later = sink.is_file or presentation.format is Format.TABLE
        with progress("Sessions", wanted=is_written_later) as on_progress:
            fetching = _Fetching(options, presentation, writer, sink, on_progress)
            run_async(fetching.run(login_options, limits))
        sink.write(writer.end())
        sink.is_complete = not fetching.problems
    code = tell_missing(fetching.problems)
    if sink.path is not None:
        tell(f"wrote {fetching.count:,} sessions to {sink.path}")
    return code


class _Fetching:
    """One run of the command, from the first look-up to the last row."""

    def __init__(
        self,
        options: SessionsOptions,
        presentation: Presentation,
        writer: Writer,
        sink: Sink,
        on_progress: ProgressCallback,
    ) -> None:
        self.count = 0
        self.problems: list[str] = []
        self._options = options
        self._presentation = presentation
        self._writer = writer
        self._sink = sink
        self._on_progress = on_progress

    async def run(self, login_options: LoginOptions, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        deadline = self._options.deadline
        ends_at = None if deadline is None else loop.time() + deadline.total_seconds()
        async with await login_options.client(limits) as client:
            zones = await self._zones(client, ends_at)
            await self._sink.write_soon(self._writer.begin())
            if not zones:
                return  # the time zone of every park is missing, which is in the problems
            ranges = {name: self._options.range_text.in_zone(zone) for name, zone in zones.items()}
            left = None if ends_at is None else timedelta(seconds=max(ends_at - loop.time(), 0.001))
            stream = client.stream(self._query(ranges, left))
            read = self._read_by_start if self._options.order == "start" else self._read_by_arrival
            async with stream:
                await read(stream, ranges.values(), self._presentation.rows(zones))
            self.problems += problems_of(stream)

    def _query(self, ranges: Mapping[str, TimeRange], deadline: timedelta | None) -> SessionQuery:
        options = self._options
        if options.stations:
            query = SessionQuery.stations(ranges)
        else:
            query = SessionQuery.parks({int(name): time_range for name, time_range in ranges.items()})
        return attrs.evolve(
            query,
            state=options.state,
            order=options.order,
            on_error=options.on_error,
            on_invalid=options.on_error,
            deadline=deadline,
        )

    # --- time zones ---------------------------------------------------------------------------------------------------

    async def _zones(self, client: SmappeeClient, ends_at: float | None) -> dict[str, str]:
        """The time zone of each target's range, by id."""
        options = self._options
        if options.zone != PARK_ZONE:
            return dict.fromkeys(options.ids, options.zone)
        zones, problems = await zones_of(client, options.ids, options.on_error, ends_at)
        self.problems += problems
        return zones

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read_by_arrival(self, stream: SessionStream, ranges: Collection[TimeRange], to_rows: ToRows) -> None:
        coverage = Coverage(self._on_progress, sum(map(seconds, ranges)))
        async for batch in stream.batches():
            await self._write(batch.sessions, to_rows)
            coverage.add(batch)

    async def _read_by_start(self, stream: SessionStream, ranges: Collection[TimeRange], to_rows: ToRows) -> None:
        first_ms = min(time_range.start_ms for time_range in ranges)
        total_ms = 1000 * max(map(seconds, ranges))
        waiting: list[ChargingSession] = []
        async for session in stream:
            waiting.append(session)
            if len(waiting) == _SESSIONS_PER_WRITE:
                await self._write(waiting, to_rows)
                waiting.clear()
                self._on_progress((session.from_ms - first_ms) / total_ms, f"{self.count:,} sessions")
        await self._write(waiting, to_rows)

    async def _write(self, sessions: Sequence[ChargingSession], to_rows: ToRows) -> None:
        self.count += len(sessions)
        await self._sink.write_soon(self._writer.add(to_rows(sessions)))
