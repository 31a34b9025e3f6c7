"""``smappee-async sessions``: charging sessions of parks or stations, written as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from smappee_async.cli.ending import ExitCode, run_async, tell, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import SessionFormat
from smappee_async.cli.presentation import Presentation
from smappee_async.cli.progress import Coverage, ProgressCallback, ReadSoFar, progress, seconds
from smappee_async.cli.ranges import PARK_ZONE, RangeText
from smappee_async.cli.reading import problems_of, zones_of
from smappee_async.cli.sinks import Sink, open_sink, tell_leftovers
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError
from smappee_async.export import Exported, about_query
from smappee_async.export.text import SessionText
from smappee_async.limits import Limits
from smappee_async.models import ChargingSession, SessionBatch, SessionState, StreamStats
from smappee_async.query.session_query import OnError, Order, SessionQuery
from smappee_async.query.stream import SessionStream
from smappee_async.timerange import TimeRange

if TYPE_CHECKING:
    import pyarrow as pa

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


def show_sessions(
    login_options: LoginOptions, options: SessionsOptions, presentation: Presentation, limits: Limits
) -> ExitCode:
    """Fetch the sessions and write them as they arrive."""
    if presentation.is_only_for_files:
        return _export_sessions(login_options, options, presentation, limits)
    with open_sink(presentation.output) as sink:
        # Rows that appear on a terminal are progress enough, and a bar between them would disturb.
        is_written_later = sink.is_file or presentation.format is SessionFormat.TABLE
        with progress("Sessions", wanted=is_written_later) as on_progress:
            writing = _Writing(presentation, options.order, sink, on_progress)
            fetching = _Fetching(options, writing.write)
            run_async(fetching.run(login_options, limits))
        sink.write(writing.end())
        sink.is_complete = not fetching.problems
    code = tell_missing(fetching.problems)
    if sink.path is not None:
        tell(f"wrote {writing.count:,} sessions to {sink.path}")
    return code


def _export_sessions(
    login_options: LoginOptions, options: SessionsOptions, presentation: Presentation, limits: Limits
) -> ExitCode:
    """The same for a format that is not text."""
    tell_leftovers(presentation.path)
    written: Exported | None = None
    with progress("Sessions") as on_progress:

        async def write(selected: _Selected) -> None:
            nonlocal written
            so_far = ReadSoFar(on_progress, selected.stream, sum(map(seconds, selected.ranges.values())))
            about = about_query(selected.ranges, options.state)
            written = await presentation.export(selected, selected.zones, about=about, on_progress=so_far)

        fetching = _Fetching(options, write)
        run_async(fetching.run(login_options, limits))
    code = tell_missing(fetching.problems)
    if written is not None:
        tell(f"wrote {written.sessions:,} sessions to {written.path}")
    return code


@attrs.frozen(kw_only=True)
class _Selected:
    """What was asked for, as a source of a file.

    :param ranges: the time range of each target.
    :param zones: the time zone of each park or station.
    :param lacks: what could not be read before the stream began.
    """

    stream: SessionStream
    ranges: Mapping[str, TimeRange]
    zones: Mapping[int | str, str]
    lacks: Sequence[str]

    def batches(self) -> AsyncIterator[SessionBatch]:
        return self.stream.batches()

    def arrow(self) -> AsyncIterator[pa.RecordBatch]:
        return self.stream.arrow()

    @property
    def stats(self) -> StreamStats:
        return self.stream.stats

    @property
    def failures(self) -> Sequence[object]:
        return (*self.lacks, *self.stream.failures)

    @property
    def invalid(self) -> Sequence[object]:
        return self.stream.invalid


class _Fetching:
    """Asks for the sessions, and has them used.

    :param use: is awaited with them, unless nothing can be asked for.
    """

    def __init__(self, options: SessionsOptions, use: Callable[[_Selected], Awaitable[None]]) -> None:
        self.problems: list[str] = []
        self._options = options
        self._use = use

    async def run(self, login_options: LoginOptions, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        deadline = self._options.deadline
        ends_at = None if deadline is None else loop.time() + deadline.total_seconds()
        async with await login_options.client(limits) as client:
            zones = await self._zones(client, ends_at)
            if not zones:
                return  # the time zone of every park is missing, which is in the problems
            ranges = {name: self._options.range_text.in_zone(zone) for name, zone in zones.items()}
            left = None if ends_at is None else timedelta(seconds=max(ends_at - loop.time(), 0.001))
            to_key = str if self._options.stations else int
            by_key = {to_key(name): zone for name, zone in zones.items()}
            async with client.stream(self._query(ranges, left)) as stream:
                await self._use(_Selected(stream=stream, ranges=ranges, zones=by_key, lacks=tuple(self.problems)))
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


class _Writing:
    """Writes the sessions as text, as they arrive."""

    def __init__(self, presentation: Presentation, order: Order, sink: Sink, on_progress: ProgressCallback) -> None:
        self.count = 0
        self._order = order
        self._presentation = presentation
        self._sink = sink
        self._on_progress = on_progress
        self._text: SessionText | None = None

    async def write(self, selected: _Selected) -> None:
        text = self._text = self._presentation.text(selected.zones, colours=self._sink.is_terminal)
        await self._sink.write_soon(text.begin())
        read = self._by_start if self._order == "start" else self._by_arrival
        await read(selected, text)

    def end(self) -> str:
        """What follows the last session."""
        if self._text is not None:
            return self._text.end()
        text = self._presentation.text({}, colours=self._sink.is_terminal)
        return text.begin() + text.end()

    async def _by_arrival(self, selected: _Selected, text: SessionText) -> None:
        coverage = Coverage(self._on_progress, sum(map(seconds, selected.ranges.values())))
        async for batch in selected.stream.batches():
            await self._add(batch.sessions, text)
            coverage.add(batch)

    async def _by_start(self, selected: _Selected, text: SessionText) -> None:
        ranges = selected.ranges.values()
        first_ms = min(time_range.start_ms for time_range in ranges)
        total_ms = 1000 * max(map(seconds, ranges))
        waiting: list[ChargingSession] = []
        async for session in selected.stream:
            waiting.append(session)
            if len(waiting) == _SESSIONS_PER_WRITE:
                await self._add(waiting, text)
                waiting.clear()
                self._on_progress((session.from_ms - first_ms) / total_ms, f"{self.count:,} sessions")
        await self._add(waiting, text)

    async def _add(self, sessions: Sequence[ChargingSession], text: SessionText) -> None:
        self.count += len(sessions)
        await self._sink.write_soon(text.add(sessions))
