"""A workbook is a file as every other: whole under its name, with the account of its stream."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import openpyxl
import pytest

from smappee_async import ExportError, SessionBatch, TimeRange, export
from smappee_async.simulator import Fault
from tests.client.support import Cloud

from .xlsx_support import batch, session

pytestmark = pytest.mark.anyio
PARKS = (1001, 1002, 1003)
OCTOBER = TimeRange.month(2026, 10, tz="UTC")
ZONES = {1001: "Europe/Brussels", 1002: "Europe/London", 1003: "UTC"}


async def test_it_appears_under_its_name_with_the_account_of_the_stream(cloud: Cloud, tmp_path: Path) -> None:
    client = await cloud.connect()
    about = export.about_query(dict.fromkeys(PARKS, OCTOBER), "completed")
    made = await export.xlsx(client.sessions(PARKS, OCTOBER), tmp_path / "october.xlsx", tz=ZONES, about=about)

    lines = {row[0]: row[1] for row in openpyxl.load_workbook(made.path)["About"].iter_rows(values_only=True)}
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["october.xlsx"]
    assert lines["State"] == "completed"
    assert lines["Sessions"] == made.sessions == len(cloud.truth(PARKS, OCTOBER))


async def test_it_is_named_incomplete_if_data_is_missing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.sim.add_fault(Fault("status", status=403, service_location_id=1001))
    client = await cloud.connect()
    stream = client.sessions(PARKS, OCTOBER, on_error="collect")
    made = await export.xlsx(stream, tmp_path / "october.xlsx", tz=ZONES)
    assert (made.path.name, made.is_complete) == ("october.xlsx.incomplete", False)


def _put_a_directory_there(directory: Path) -> None:
    [temporary] = [each for each in directory.iterdir() if each.is_file()]
    temporary.unlink()
    temporary.mkdir()


async def test_an_error_calls_it_by_its_name(tmp_path: Path) -> None:
    class Obstructing:
        async def batches(self) -> AsyncIterator[SessionBatch]:
            yield batch(session())
            await asyncio.to_thread(_put_a_directory_there, tmp_path)

    with pytest.raises(ExportError, match=r"october\.xlsx' could not be written: Is a directory"):
        await export.xlsx(Obstructing(), tmp_path / "october.xlsx")
