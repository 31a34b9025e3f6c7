"""``smappee-async sessions``: charging sessions of parks or stations, written as they arrive."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.ending import ExitCode, explain, reason, run_async, tell, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import CsvWriter, Format, JsonLinesWriter, Row, TableWriter, Writer
from smappee_async.cli.progress import Coverage, ProgressCallback, progress, seconds
from smappee_async.cli.ranges import PARK_ZONE, RangeText
from smappee_async.cli.rows import MACHINE_COLUMNS, PEOPLE_COLUMNS, PeopleRows, Rfid, machine_rows
from smappee_async.cli.sinks import Sink, open_sink
from smappee_async.cli.together import all_of
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, DeadlineExceeded, RequestError
from smappee_async.limits import Limits
from smappee_async.models import ChargingSession, SessionState
from smappee_async.query.plan import merge
from smappee_async.query.session_query import OnError, Order
from smappee_async.query.stream import SessionStream
from smappee_async.timerange import TimeRange

Write = Callable[[Sequence[ChargingSession]], Awaitable[None]]

#: How many sessions are written at once where they do not come in batches.
_LOT: Final = 500


@attrs.frozen(kw_only=True)
class SessionsOptions:
    """What is asked for.

    :param ids: service location ids of charging parks; serial numbers if it is about ``stations``.
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
                "--tz park needs charging parks, for a station does not say where it stands",
                advice="Give --tz a zone such as Europe/Brussels",
            )
        for text in () if self.stations else self.ids:
            if not (text.isascii() and text.isdecimal()):
                raise ConfigurationError(
                    f"a charging park is given by its service location id, a whole number, not {text!r}",
                    advice="'smappee-async parks' lists them; serial numbers of stations go with --stations",
                )
        if self.zone != PARK_ZONE:
            self.range_text.in_zone(self.zone)  # refused before anything is sent


@attrs.frozen(kw_only=True)
class Presentation:
    """How the response is shown.

    :param limit: how many rows of a table are shown.
    """

    format: Format
    rfid: Rfid
    limit: int

    def writer(self, *, colours: bool) -> Writer:
        """What makes text of the rows."""
        match self.format:
            case Format.JSONL:
                return JsonLinesWriter()
            case Format.CSV:
                return CsvWriter(MACHINE_COLUMNS)
            case Format.TABLE:
                return TableWriter(
                    PEOPLE_COLUMNS, what="sessions", energy="energy_kwh", limit=self.limit, colours=colours
                )

    def rows(self, zones: Mapping[str, str]) -> Callable[[Iterable[ChargingSession]], Iterable[Row]]:
        """What makes rows of sessions; people read them in the zone of their park."""
        if self.format is Format.TABLE:
            return PeopleRows({name: ZoneInfo(zone) for name, zone in zones.items()}, self.rfid)
        return lambda sessions: machine_rows(sessions, self.rfid)


def show_sessions(
    account: LoginOptions, options: SessionsOptions, presentation: Presentation, output: str | None, limits: Limits
) -> ExitCode:
    """Ask, and write what comes."""
    with open_sink(output) as sink:
        writer = presentation.writer(colours=sink.is_terminal)
        # On a terminal the rows themselves show how far it is, and a bar would stand between them.
        seen_later = sink.is_file or presentation.format is Format.TABLE
        with progress("Sessions", wanted=seen_later) as report:
            reading = _Reading(options, presentation, writer, sink, report)
            run_async(reading.run(account, limits))
        sink.write(writer.end())
        sink.is_complete = not reading.problems
    tell_missing(reading.problems)
    if sink.path is not None:
        tell(f"wrote {reading.count:,} sessions to {sink.path}")
    return ExitCode.INCOMPLETE if reading.problems else ExitCode.OK


@attrs.frozen
class _Group:
    """Parks, or stations, that are asked for the same stretch of time."""

    ids: tuple[str, ...]
    time_range: TimeRange


class _Reading:
    """One run of the command, from the first look-up to the last row."""

    def __init__(
        self, options: SessionsOptions, presentation: Presentation, writer: Writer, sink: Sink, report: ProgressCallback
    ) -> None:
        self.count = 0
        self.problems: list[str] = []
        self._question = options
        self._presentation = presentation
        self._writer = writer
        self._sink = sink
        self._report = report

    async def run(self, account: LoginOptions, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        deadline = self._question.deadline
        ends_at = None if deadline is None else loop.time() + deadline.total_seconds()
        async with await account.client(limits) as client:
            zones = await self._zones(client, ends_at)
            groups = self._groups(zones)
            to_rows = self._presentation.rows(zones)

            async def write(sessions: Sequence[ChargingSession]) -> None:
                self.count += len(sessions)
                await self._sink.write_soon(self._writer.add(to_rows(sessions)))

            def ask(group: _Group) -> SessionStream:
                left = None if ends_at is None else timedelta(seconds=max(ends_at - loop.time(), 0.001))
                return self._ask(client, group, left)

            await self._sink.write_soon(self._writer.begin())
            if self._question.order == "start":
                await self._read_by_start(groups, ask, write)
            else:
                await self._read_by_arrival(groups, ask, write)

    # --- what to ask --------------------------------------------------------------------------------------------------

    async def _zones(self, client: SmappeeClient, ends_at: float | None) -> dict[str, str]:
        """The zone in which each park's range is meant."""
        options = self._question
        ids = dict.fromkeys(options.ids)
        if options.zone != PARK_ZONE:
            return dict.fromkeys(ids, options.zone)
        try:
            async with asyncio.timeout_at(ends_at):
                found = await all_of(self._zone_of(client, name) for name in ids)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the parks' time zones were known") from None
        return {name: zone for name, zone in zip(ids, found, strict=True) if zone is not None}

    async def _zone_of(self, client: SmappeeClient, name: str) -> str | None:
        try:
            location = await client.service_location(int(name))
        except RequestError as error:
            if self._question.on_error == "raise":
                raise
            self.problems.append(f"park {name}: {reason(error)}")
            return None
        if location.timezone is None:
            raise ConfigurationError(f"park {name} does not say its time zone", advice="Give --tz a zone for it")
        return location.timezone

    def _groups(self, zones: Mapping[str, str]) -> list[_Group]:
        by_range: dict[TimeRange, list[str]] = {}
        for name, zone in zones.items():
            by_range.setdefault(self._question.range_text.in_zone(zone), []).append(name)
        return [_Group(tuple(ids), time_range) for time_range, ids in by_range.items()]

    def _ask(self, client: SmappeeClient, group: _Group, deadline: timedelta | None) -> SessionStream:
        options = self._question
        if options.stations:
            return client.station_sessions(
                group.ids,
                group.time_range,
                state=options.state,
                order=options.order,
                on_error=options.on_error,
                on_invalid=options.on_error,
                deadline=deadline,
            )
        return client.sessions(
            map(int, group.ids),
            group.time_range,
            state=options.state,
            order=options.order,
            on_error=options.on_error,
            on_invalid=options.on_error,
            deadline=deadline,
        )

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read_by_arrival(
        self, groups: Sequence[_Group], ask: Callable[[_Group], SessionStream], write: Write
    ) -> None:
        coverage = Coverage(self._report, sum(len(group.ids) * seconds(group.time_range) for group in groups))
        for group in groups:
            stream = ask(group)
            async with stream:
                async for batch in stream.batches():
                    await write(batch.sessions)
                    coverage.add(batch)
            self._note_problems(stream)

    async def _read_by_start(
        self, groups: Sequence[_Group], ask: Callable[[_Group], SessionStream], write: Write
    ) -> None:
        streams = [ask(group) for group in groups]
        first_ms = min((group.time_range.start_ms for group in groups), default=0)
        total_ms = 1000 * max((seconds(group.time_range) for group in groups), default=1.0)
        lot: list[ChargingSession] = []
        async with AsyncExitStack() as stack:
            for stream in streams:
                await stack.enter_async_context(stream)
            async for session in _merged(streams):
                lot.append(session)
                if len(lot) == _LOT:
                    await write(lot)
                    lot.clear()
                    self._report((session.from_ms - first_ms) / total_ms, f"{self.count:,} sessions")
            await write(lot)
        for stream in streams:
            self._note_problems(stream)

    def _note_problems(self, stream: SessionStream) -> None:
        # One line for what is of one kind: a park that is not there fails for every month.
        lost: dict[tuple[str, str], list[TimeRange]] = {}
        for failure in stream.failures:
            station, park = failure.serial_number, failure.service_location_id
            where = f"park {park}" if station is None else f"station {station}"
            lost.setdefault((where, reason(failure.error)), []).append(failure.time_range)
        for (where, why), ranges in lost.items():
            self.problems += [f"{where}, {time_range}: {why}" for time_range in merge(ranges)]
        self.problems += [explain(record.error) for record in stream.invalid]


async def _merged(streams: Sequence[SessionStream]) -> AsyncIterator[ChargingSession]:
    """The sessions of several streams, each ordered by start, in the order of their start."""
    sources = [aiter(stream) for stream in streams]
    heads: list[tuple[int, int, ChargingSession]] = []
    for number, source in enumerate(sources):
        if (session := await anext(source, None)) is not None:
            heads.append((session.from_ms, number, session))
    heapq.heapify(heads)
    while heads:
        _, number, session = heads[0]
        yield session
        if (following := await anext(sources[number], None)) is not None:
            heapq.heapreplace(heads, (following.from_ms, number, following))
        else:
            heapq.heappop(heads)
