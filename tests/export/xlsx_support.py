"""What the tests of workbooks share: sessions to write, and what is left of the process that writes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl

from smappee_async import ChargingSession, SessionBatch, SessionStatus, TimeRange
from smappee_async.export.xlsx_file import write_xlsx
from smappee_async.export.zones import TimeZones
from smappee_async.rfid import masked

BRUSSELS = ZoneInfo("Europe/Brussels")
#: 2026-10-01T00:00Z
OCTOBER_MS = 1_790_812_800_000


def session(**fields: Any) -> ChargingSession:
    given: dict[str, Any] = {
        "id": 1,
        "serial_number": "6001",
        "from_ms": OCTOBER_MS,
        "to_ms": OCTOBER_MS + 3_600_000,
        "status": SessionStatus.STOPPED,
        "energy": 7.25,
        "service_location_id": 1001,
    }
    return ChargingSession(**(given | fields))


def batch(*sessions: ChargingSession, park: int = 1001) -> SessionBatch:
    return SessionBatch(
        service_location_id=park, serial_number=None, time_range=TimeRange.from_ms(OCTOBER_MS), sessions=sessions
    )


async def batches(*given: SessionBatch) -> AsyncIterator[SessionBatch]:
    for each in given:
        yield each


async def written(path: Path, *sessions: ChargingSession, **options: Any) -> Any:
    """A workbook of sessions of one park, as openpyxl reads it."""
    zones = TimeZones(options.pop("zones", BRUSSELS))
    await write_xlsx(batches(batch(*sessions)), path, **{"zones": zones, "rfid": masked, **options})
    return openpyxl.load_workbook(path)


def rows(sheet: Any) -> list[dict[str, Any]]:
    """The rows of a sheet by header."""
    header, *others = sheet.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in others]


def column(book: Any, header: str, sheet: str = "Sessions") -> list[Any]:
    return [row[header] for row in rows(book[sheet])]


def writers(path: Path) -> list[int]:
    """The processes that write a workbook there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"smappee_async.export.xlsx_child" in command and os.fsencode(path) in command.split(b"\0"):
            found.append(int(process.name))
    return found


def left(path: Path) -> tuple[list[int], list[str]]:
    """The processes that write there, and the files beside it."""
    return writers(path), sorted(other.name for other in path.parent.iterdir() if other != path)
