"""Sessions as an Excel workbook, written in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from smappee_async._version import __version__
from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import ConfigurationError
from smappee_async.export.xlsx_messages import Cards, End, line
from smappee_async.export.xlsx_process import xlsx_process
from smappee_async.export.zones import TimeZones
from smappee_async.models import ChunkFailure, SessionBatch, SessionState, StreamStats
from smappee_async.timerange import TimeRange

About: TypeAlias = Sequence[tuple[str, str | int]]
"""Lines of the sheet *About*: a label and a value each."""


async def write_xlsx(
    batches: AsyncIterator[SessionBatch],
    path: Path,
    *,
    zones: TimeZones,
    rfid: Callable[[str], str | None],
    about: Callable[[], About] = tuple,
    name: str | None = None,
) -> int:
    """Write sessions to an Excel workbook in a process of its own.

    If the process is slow, ``batches`` is read more slowly.

    :param path: where. Temporary files are made in a directory beside it and removed. If writing fails, what is at
        ``path`` is not a workbook.
    :param zones: for the local times.
    :param rfid: what is shown of an RFID; ``None`` for nothing. Called once for each card.
    :param about: called when ``batches`` has ended.
    :param name: what errors call the file, if ``path`` is not its own.
    :returns: the number of sessions.
    :raises ConfigurationError: the extra is not installed, or a time zone is missing.
    :raises ExportError: it could not be written, for example because the disk is full.
    """
    cards = Cards(rfid)
    parks: dict[str, set[int | str]] = {}
    async with xlsx_process(path, str(path) if name is None else name) as process:
        async for batch in batches:
            asked = batch.service_location_id if batch.service_location_id is not None else batch.serial_number or ""
            zone = _zone_of(asked, zones)
            if batch.sessions:
                parks.setdefault(zone, set()).add(asked)
            for first in range(0, len(batch.sessions), SLICE_SESSIONS):
                await process.send(line(cards.message(batch.sessions[first : first + SLICE_SESSIONS], zone)))
        await process.send(line(End([*about(), *_about_file(parks)])))
        return await process.finish()


def _zone_of(asked: int | str, zones: TimeZones) -> str:
    zone = zones.of(asked)
    name = zone.key if isinstance(zone, ZoneInfo) else None
    if name is None:
        raise ConfigurationError(
            f"the time zone of {asked} has no IANA name", advice="Use ZoneInfo(name), or the name itself"
        )
    return name


# --- the sheet About --------------------------------------------------------------------------------------------------


def about_query(
    ranges: Mapping[int, TimeRange] | Mapping[str, TimeRange] | Mapping[int | str, TimeRange], state: SessionState
) -> About:
    """What was asked: the range by session start of each park, or serial number of a station; and the state."""
    asked: dict[TimeRange, list[str]] = {}
    for target, time_range in ranges.items():
        asked.setdefault(time_range, []).append(str(target))
    lines: list[tuple[str, str | int]] = []
    for time_range, targets in asked.items():
        lines += [
            ("Parks or stations", ", ".join(targets)),
            ("Session starts from (UTC)", _text(time_range.start)),
            ("Session starts before (UTC)", "open" if time_range.end is None else _text(time_range.end)),
        ]
    return [*lines, ("State", state)]


def about_account(stats: StreamStats, failures: Sequence[object]) -> About:
    """What became of everything that was received. Each range of time that could not be read has a line of its own."""
    return [
        ("Records received", stats.received),
        ("Sessions", stats.sessions),
        ("Filtered (other state, other time)", stats.filtered),
        ("Duplicates", stats.duplicates),
        ("Invalid records (missing here)", stats.invalid),
        ("Ranges not read (missing here)", len(failures)),
        *(("Not read", _failure(each)) for each in failures),
    ]


def _failure(failure: object) -> str:
    if not isinstance(failure, ChunkFailure):
        return str(failure)
    return f"{failure.service_location_id or failure.serial_number}, {failure.time_range}: {failure.error.reason}"


def _about_file(parks: Mapping[str, set[int | str]]) -> About:
    return [
        *((f"Local times in {zone}", ", ".join(map(str, sorted(asked, key=str)))) for zone, asked in parks.items()),
        ("Written at (UTC)", _text(datetime.now(UTC))),
        ("Written by", f"smappee-async {__version__}"),
    ]


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
