"""What the commands that read sessions have in common: the time zones of parks, and what could not be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from smappee_async.cli.ending import explain, reason
from smappee_async.cli.together import all_of
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, DeadlineExceeded, RequestError
from smappee_async.query.session_query import OnError
from smappee_async.query.stream import SessionStream
from smappee_async.timerange import TimeRange, merge


async def zones_of(
    client: SmappeeClient, parks: Sequence[str], on_error: OnError, ends_at: float | None
) -> tuple[dict[str, str], list[str]]:
    """The time zone of each park, by id; and a line for each that could not be asked, with ``on_error="collect"``.

    :param ends_at: the deadline, by the clock of the event loop.
    :raises ConfigurationError: a park does not tell its zone.
    """
    problems: list[str] = []

    async def zone_of(park: str) -> str | None:
        try:
            location = await client.service_location(int(park))
        except RequestError as error:
            if on_error == "raise":
                raise
            problems.append(f"park {park}: {reason(error)}")
            return None
        if location.timezone is None:
            raise ConfigurationError(f"park {park} does not tell its time zone", advice="Give --tz a time zone")
        return location.timezone

    try:
        async with asyncio.timeout_at(ends_at):
            found = await all_of(map(zone_of, parks))
    except TimeoutError:
        raise DeadlineExceeded("the deadline passed before the parks' time zones were known") from None
    return {park: zone for park, zone in zip(parks, found, strict=True) if zone is not None}, problems


def problems_of(stream: SessionStream) -> list[str]:
    """A line for each time range and each record that could not be read."""
    # One line for failures of one kind: an unknown park fails for every month.
    missing: dict[tuple[str, str], list[TimeRange]] = {}
    for failure in stream.failures:
        station, park = failure.serial_number, failure.service_location_id
        where = f"park {park}" if station is None else f"station {station}"
        missing.setdefault((where, reason(failure.error)), []).append(failure.time_range)
    problems = [f"{where}, {one}: {why}" for (where, why), ranges in missing.items() for one in merge(ranges)]
    return problems + [explain(record.error) for record in stream.invalid]
