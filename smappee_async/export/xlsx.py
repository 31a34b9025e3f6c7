"""Sessions as an Excel workbook, written in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias, cast
from zoneinfo import ZoneInfo

from smappee_async._version import __version__
from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import ConfigurationError
from smappee_async.export.xlsx_messages import Cards, End, line
from smappee_async.export.xlsx_process import xlsx_process
from smappee_async.models import ChunkFailure, SessionBatch, SessionState, StreamStats
from smappee_async.timerange import TimeRange

Zones: TypeAlias = ZoneInfo | Mapping[int, ZoneInfo] | Mapping[str, ZoneInfo] | Mapping[int | str, ZoneInfo]
"""One time zone for all, or one for each park, by its id, and each station that is asked, by its serial number."""

About: TypeAlias = Sequence[tuple[str, str | int]]
"""Lines of the sheet *About*: a label and a value each."""


def masked(rfid: str) -> str:
    """The last three characters of an RFID behind three stars."""
    return f"***{rfid[-3:]}" if len(rfid) > 3 else "***"


async def write_xlsx(
    batches: AsyncIterator[SessionBatch],
    path: Path,
    *,
    zones: Zones,
    rfid: Callable[[str], str | None] = masked,
    about: Callable[[], About] = tuple,
) -> int:
    """Write sessions to an Excel workbook.

    The sheet *Sessions* has every column, with instants in UTC and in the time zone of the park; *Totals* has the sums
    of all, and for each local day, park, station and card, with a chart of kWh a day; *About* says what the file holds.
    More than 1,048,575 sessions go on in *Sessions 2*, because a query does not say in advance how many there are.

    A process of its own writes, so the event loop is not held; if it is slow, ``batches`` is read more slowly. It needs
    the extra ``excel``.

    :param batches: the sessions, as :meth:`SessionStream.batches` yields them.
    :param path: where. Temporary files are made in a directory beside it and removed. If writing fails, what is at
        ``path`` is not a workbook.
    :param zones: for the local times.
    :param rfid: what is shown of an RFID; ``None`` for nothing. Called once for each card.
    :param about: called when ``batches`` has ended; see :func:`about_query` and :func:`about_account`.
    :returns: the number of sessions.
    :raises ConfigurationError: the extra is not installed, or a time zone is missing.
    :raises ExportError: it could not be written, for example because the disk is full.
    """
    cards = Cards(rfid)
    parks: dict[str, set[int | str]] = {}
    async with xlsx_process(path) as process:
        async for batch in batches:
            asked = batch.service_location_id if batch.service_location_id is not None else batch.serial_number or ""
            zone = _zone_of(asked, zones)
            if batch.sessions:
                parks.setdefault(zone, set()).add(asked)
            for first in range(0, len(batch.sessions), SLICE_SESSIONS):
                await process.send(line(cards.message(batch.sessions[first : first + SLICE_SESSIONS], zone)))
        await process.send(line(End([*about(), *_about_file(parks)])))
        return await process.finish()


def _zone_of(asked: int | str, zones: Zones) -> str:
    # A mapping by park alone is not a mapping by park or station, because the types of keys do not vary.
    zone = zones if isinstance(zones, ZoneInfo) else cast("Mapping[int | str, ZoneInfo]", zones).get(asked)
    if zone is None:
        raise ConfigurationError(
            f"no time zone is known for {asked}", advice="Give zones= a time zone for each park, or one for all"
        )
    if zone.key is None:
        raise ConfigurationError(f"the time zone of {asked} has no name", advice="Make it with ZoneInfo(name)")
    return zone.key


# --- the sheet About --------------------------------------------------------------------------------------------------


def about_query(targets: Iterable[int | str], time_range: TimeRange, state: SessionState) -> About:
    """What was asked: parks, or serial numbers of stations; the range by session start; and the state."""
    return [
        ("Parks or stations", ", ".join(map(str, targets))),
        ("Session starts from (UTC)", _text(time_range.start)),
        ("Session starts before (UTC)", "open" if time_range.end is None else _text(time_range.end)),
        ("State", state),
    ]


def about_account(stats: StreamStats, failures: Sequence[ChunkFailure]) -> About:
    """What became of everything that was received. Each range of time that could not be read has a line of its own."""
    return [
        ("Records received", stats.received),
        ("Sessions", stats.sessions),
        ("Filtered (other state, other time)", stats.filtered),
        ("Duplicates", stats.duplicates),
        ("Invalid records (missing here)", stats.invalid),
        ("Ranges not read (missing here)", len(failures)),
        *(
            (
                "Not read",
                f"{failure.service_location_id or failure.serial_number}, {failure.time_range}: {failure.error.reason}",
            )
            for failure in failures
        ),
    ]


def _about_file(parks: Mapping[str, set[int | str]]) -> About:
    return [
        *((f"Local times in {zone}", ", ".join(map(str, sorted(asked, key=str)))) for zone, asked in parks.items()),
        ("Written at (UTC)", _text(datetime.now(UTC))),
        ("Written by", f"smappee-async {__version__}"),
    ]


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
