"""``smappee-async parks``: the service locations of the account, with time zone and currency."""

from __future__ import annotations

from typing import Final

from smappee_async.cli.ending import ExitCode, reason, run_async, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.output import Column, CsvWriter, Format, JsonLinesWriter, Row, TableWriter, Writer
from smappee_async.cli.progress import ProgressCallback, progress
from smappee_async.cli.sinks import open_sink
from smappee_async.cli.together import all_of
from smappee_async.client import SmappeeClient
from smappee_async.errors import RequestError
from smappee_async.models import ServiceLocation, ServiceLocationInfo

_COLUMNS: Final = (
    Column("service_location_id", "Park", right=True),
    Column("name", "Name"),
    Column("timezone", "Time zone"),
    Column("currency", "Currency"),
)


def show_parks(login_options: LoginOptions, format_: Format) -> ExitCode:
    """List the service locations; if the details of one cannot be read, go on and list it as missing."""
    with open_sink(None) as sink:
        writer = _writer(format_, colours=sink.is_terminal)
        with progress("Parks") as on_progress:
            rows, problems = run_async(_fetch(login_options, on_progress))
        sink.write(writer.begin() + writer.add(rows) + writer.end())
    return tell_missing(problems)


def _writer(format_: Format, *, colours: bool) -> Writer:
    match format_:
        case Format.JSONL:
            return JsonLinesWriter()
        case Format.CSV:
            return CsvWriter([column.name for column in _COLUMNS])
        case Format.TABLE:
            return TableWriter(_COLUMNS, what="parks", colours=colours)


async def _fetch(login_options: LoginOptions, on_progress: ProgressCallback) -> tuple[list[Row], list[str]]:
    """The rows, and what is missing."""
    problems: list[str] = []
    done = 0

    async def look_up(client: SmappeeClient, location: ServiceLocation, share: float) -> Row:
        nonlocal done
        info: ServiceLocationInfo | None = None
        try:
            info = await client.service_location(location.id)
        except RequestError as error:
            problems.append(f"details of {location.id}: {reason(error)}")
        done += 1
        on_progress(done * share)
        return _row(location, info)

    async with await login_options.client() as client:
        locations = await client.service_locations()
        rows = await all_of(look_up(client, location, 1 / len(locations)) for location in locations)
    return rows, problems


def _row(location: ServiceLocation, info: ServiceLocationInfo | None) -> Row:
    return {
        "service_location_id": location.id,
        "name": location.name,
        "timezone": None if info is None else info.timezone,
        "currency": None if info is None else info.currency,
    }
