"""``smappee-async summary``: sums over the sessions of the service, or of a copy."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.copying import missing_of_copy
from smappee_async.cli.ending import ExitCode, run_async, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.progress import Coverage, ProgressCallback, progress, seconds
from smappee_async.cli.ranges import PARK_ZONE, RangeText
from smappee_async.cli.reading import problems_of, zones_of
from smappee_async.cli.sinks import open_sink
from smappee_async.cli.summary_json import summary_json
from smappee_async.cli.summary_page import SummaryPage
from smappee_async.cli.summed import SummedPark, SummedUp
from smappee_async.errors import ConfigurationError
from smappee_async.limits import Limits
from smappee_async.query.session_query import OnError, SessionQuery
from smappee_async.report import SessionSummary
from smappee_async.rfid import ShownRfid
from smappee_async.sync import open_copy

_COPY_ZONE: Final = "UTC"


@attrs.frozen(kw_only=True)
class SummaryOptions:
    """What the command sums up.

    :param parks: service location ids, each once; of a copy, none for all of its parks.
    :param copy: the URL of the copy that is read in place of the service.
    :param zone: an IANA name, or ``PARK_ZONE``; ``None`` for the zone of each park, which a copy does not know.
    """

    parks: tuple[str, ...]
    copy: str | None = attrs.field(repr=False)
    range_text: RangeText
    zone: str | None
    on_error: OnError
    deadline: timedelta | None

    def __attrs_post_init__(self) -> None:
        if self.copy is None and not self.parks:
            raise ConfigurationError("no charging park is given", advice="Give its id, or a copy with --from")
        if self.copy is not None and self.zone == PARK_ZONE:
            raise ConfigurationError(
                "a copy does not know the time zones of its parks", advice="Give --tz a zone such as Europe/Brussels"
            )
        if self.one_zone is not None:
            self.range_text.in_zone(self.one_zone)  # refused before anything is sent

    @property
    def one_zone(self) -> str | None:
        """The zone of all parks; ``None`` if each has its own."""
        if self.zone == PARK_ZONE:
            return None
        return self.zone or (None if self.copy is None else _COPY_ZONE)


def show_summary(
    login_options: LoginOptions, options: SummaryOptions, rfid: ShownRfid, limit: int, limits: Limits, *, as_json: bool
) -> ExitCode:
    """Read the sessions, and print what they come to."""
    with open_sink(None) as sink:
        with progress("Summary") as on_progress:
            if options.copy is None:
                reading = _of_service(login_options, options, limits, on_progress)
            else:
                reading = _of_copy(options.copy, options, on_progress)
            summed = run_async(reading)
        if as_json:
            sink.write(summary_json(summed, rfid))
        else:
            sink.write(SummaryPage(summed, rfid, limit).text(colours=sink.is_terminal))
    return tell_missing(summed.missing)


# --- the service ------------------------------------------------------------------------------------------------------


async def _of_service(
    login_options: LoginOptions, options: SummaryOptions, limits: Limits, on_progress: ProgressCallback
) -> SummedUp:
    loop = asyncio.get_running_loop()
    ends_at = None if options.deadline is None else loop.time() + options.deadline.total_seconds()
    missing: list[str] = []
    async with await login_options.client(limits) as client:
        if options.one_zone is not None:
            zones = dict.fromkeys(options.parks, options.one_zone)
        else:
            zones, missing = await zones_of(client, options.parks, options.on_error, ends_at)
        parks = [
            SummedPark(service_location_id=int(park), zone=zone, time_range=options.range_text.in_zone(zone))
            for park, zone in zones.items()
        ]
        summary = SessionSummary({park.service_location_id: ZoneInfo(park.zone) for park in parks})
        if parks:
            stream = client.stream(
                SessionQuery(
                    ranges=SessionQuery.parks({park.service_location_id: park.time_range for park in parks}).ranges,
                    state="all",
                    on_error=options.on_error,
                    on_invalid=options.on_error,
                    deadline=None if ends_at is None else timedelta(seconds=max(ends_at - loop.time(), 0.001)),
                )
            )
            coverage = Coverage(on_progress, sum(seconds(park.time_range) for park in parks))
            async with stream:
                async for batch in stream.batches():
                    summary.add(batch.sessions)
                    coverage.add(batch)
            missing += problems_of(stream)
    return SummedUp(summary=summary, parks=parks, now=options.range_text.now, missing=missing)


# --- a copy -----------------------------------------------------------------------------------------------------------


async def _of_copy(url: str, options: SummaryOptions, on_progress: ProgressCallback) -> SummedUp:
    zone = options.one_zone
    assert zone is not None
    time_range = options.range_text.in_zone(zone)
    summary = SessionSummary(ZoneInfo(zone))
    wanted = [int(park) for park in options.parks]
    async with open_copy(url) as copy:
        if not copy.parks:
            raise ConfigurationError("the copy is empty", advice="Run a sync first, to the same place")
        parks = [park for park in copy.parks if not wanted or park.service_location_id in wanted]
        sessions = copy.sessions(wanted or None, time_range)
        count = done = 0
        async with sessions:
            async for batch in sessions.batches():
                summary.add(batch.sessions)
                count, done = count + len(batch.sessions), done + batch.is_last
                on_progress(done / len(parks), f"{count:,} sessions")
    return SummedUp(
        summary=summary,
        parks=[
            SummedPark(
                service_location_id=park.service_location_id,
                zone=zone,
                time_range=time_range,
                synced_until=park.synced_until,
            )
            for park in parks
        ],
        now=options.range_text.now,
        missing=missing_of_copy(parks, time_range, options.range_text.now),
        is_copy=True,
    )
