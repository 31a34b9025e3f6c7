"""LibreOffice reads a workbook as it was meant."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import anyio
import pytest

from smappee_async.export.xlsx_file import write_xlsx
from smappee_async.export.zones import TimeZones
from smappee_async.rfid import masked

from .xlsx_support import BRUSSELS, OCTOBER_MS, batch, batches, session

_TIME_LIMIT_S = 100


def _soffice() -> str:
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.skip("there is no LibreOffice; on Debian: apt-get install --no-install-recommends libreoffice-calc")
    return program


@pytest.mark.timeout(_TIME_LIMIT_S)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_libreoffice_shows_the_values(anyio_backend: object, tmp_path: Path) -> None:
    program = _soffice()
    given = session(
        id=9_223_372_036_854_775_807,
        csms_transaction_id="=1+1",
        smart_mode="<r><t>x</t></r>",
        from_ms=OCTOBER_MS + 500,
        suspended_by_user=False,
    )
    await write_xlsx(batches(batch(given)), tmp_path / "one.xlsx", zones=TimeZones(BRUSSELS), rfid=masked)

    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [
        program,
        profile,
        "--headless",
        "--convert-to",
        "csv",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "one.xlsx"),
    ]
    await anyio.run_process(command)

    with (tmp_path / "one.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert {name: row[name] for name in ("id", "csms_transaction_id", "smart_mode", "energy_kwh")} == {
        "id": "9223372036854775807",
        "csms_transaction_id": "=1+1",
        "smart_mode": "<r><t>x</t></r>",
        "energy_kwh": "7.25",
    }
    assert (row["started_at (local)"][:16], row["ended_at (UTC)"]) == ("2026-10-01 02:00", "2026-10-01 01:00:00")
    assert row["suspended_by_user"] == "FALSE"
