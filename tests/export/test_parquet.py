"""Sessions as Parquet, read back."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smappee_async import export
from smappee_async.export import parquet_file
from smappee_async.models import FrozenDict
from smappee_async.rfid import HashedRfid
from smappee_async.tables.schema import SCHEMA

from .support import OCTOBER, Source, SourceInArrow, record_batch, session

pytestmark = pytest.mark.anyio

KEY = b"sixteen bytes at least"
FULL = session(
    7,
    to_ms=OCTOBER.start_ms + 3_600_000,
    rfid="04AB12CD",
    energy=14.25,
    suspended_by_user=False,
    max_amperes=(16.0, 10.0),
    extra=FrozenDict({"note": "new"}),
)


MakeSource = type[Source]


@pytest.fixture(params=[Source, SourceInArrow])
def make(request: pytest.FixtureRequest) -> MakeSource:
    """Makes a source without Arrow, or with it: the files are alike."""
    made: MakeSource = request.param
    return made


async def read(path: Path) -> pa.Table:
    return await asyncio.to_thread(pq.read_table, path)


def assert_is_that_of_every_table(schema: pa.Schema) -> None:
    # Metadata by hand, because Parquet has a name of its own for the items of a list.
    assert schema.equals(SCHEMA)
    assert schema.metadata == SCHEMA.metadata
    assert [field.metadata for field in schema] == [field.metadata for field in SCHEMA]


async def test_values_come_back_with_their_types(make: MakeSource, tmp_path: Path) -> None:
    await export.parquet(make([[FULL]]), tmp_path / "file.parquet", rfid="show")

    [row] = (await read(tmp_path / "file.parquet")).to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        "service_location_id": 1001,
        "id": 7,
        "serial_number": "6100000001",
        "status": "STOPPED",
        "started_at": datetime(2026, 10, 1, 0, 7, tzinfo=UTC),
        "ended_at": datetime(2026, 10, 1, 1, tzinfo=UTC),
        "energy_kwh": Decimal("14.250000"),
        "energy": 14.25,
        "rfid": "04AB12CD",
        "suspended_by_user": False,
        "max_amperes": [16.0, 10.0],
        "extra": '{"note": "new"}',
    }


@pytest.mark.parametrize("choice", ["show", "mask", "none", HashedRfid(KEY)])
async def test_the_schema_is_that_of_every_table_with_its_metadata(
    choice: Any, make: MakeSource, tmp_path: Path
) -> None:
    await export.parquet(make([[FULL]]), tmp_path / "file.parquet", rfid=choice)

    schema = await asyncio.to_thread(pq.read_schema, tmp_path / "file.parquet")
    assert_is_that_of_every_table(schema)


async def test_a_file_without_sessions_has_the_schema(make: MakeSource, tmp_path: Path) -> None:
    written = await export.parquet(make(), tmp_path / "file.parquet")

    table = await read(tmp_path / "file.parquet")
    assert (written.sessions, table.num_rows) == (0, 0)
    assert_is_that_of_every_table(table.schema)


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ("mask", ["***2CD", None, "***", "***2CD"]),
        ("show", ["04AB12CD", None, "AB", "04AB12CD"]),
        ("none", [None] * 4),
        (
            HashedRfid(KEY),
            [HashedRfid(KEY).of("04AB12CD"), None, HashedRfid(KEY).of("AB"), HashedRfid(KEY).of("04AB12CD")],
        ),
    ],
)
async def test_an_rfid_is_shown_as_asked_for(
    choice: Any, shown: list[str | None], make: MakeSource, tmp_path: Path
) -> None:
    rfids = ["04AB12CD", None, "AB", "04AB12CD"]
    sessions = [session(number, rfid=rfid) for number, rfid in enumerate(rfids)]

    await export.parquet(make([sessions[:2], sessions[2:]]), tmp_path / "file.parquet", rfid=choice)

    assert (await read(tmp_path / "file.parquet"))["rfid"].to_pylist() == shown


async def test_rfids_are_masked_unless_asked_for(make: MakeSource, tmp_path: Path) -> None:
    await export.parquet(make([[FULL]]), tmp_path / "file.parquet")

    assert (await read(tmp_path / "file.parquet"))["rfid"].to_pylist() == ["***2CD"]


async def test_row_groups_are_full_however_small_the_batches_are(
    make: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "_ROWS_PER_GROUP", 100)
    sessions = [session(number) for number in range(250)]
    batches = [sessions[first : first + 10] for first in range(0, 250, 10)]

    written = await export.parquet(make(batches), tmp_path / "file.parquet")

    metadata = await asyncio.to_thread(pq.read_metadata, tmp_path / "file.parquet")
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [100, 100, 50]
    assert written.sessions == 250


@pytest.mark.parametrize(
    ("energy", "kept"),
    [(1e-7, Decimal(0)), (14.249999999999986, Decimal("14.25")), (2.0**60, None), (5, Decimal(5))],
)
async def test_the_energy_of_a_record_is_rounded_to_the_column(
    energy: float, kept: Decimal | None, tmp_path: Path
) -> None:
    await export.parquet(Source([[session(energy=energy)]]), tmp_path / "file.parquet")

    [row] = (await read(tmp_path / "file.parquet")).to_pylist()
    assert (row["energy_kwh"], row["energy"]) == (kept, float(energy))


def test_a_full_disk_is_one_error() -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    writer = parquet_file._Writer(FullDisk(), "mask")
    with pytest.raises(OSError, match="No space left"):
        writer.write([record_batch([FULL])])
    writer.close()


async def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; sys.modules['pyarrow'] = None; from smappee_async import export\n"
        "asyncio.run(export.parquet(None, sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)

    assert "ImportError" in ended.stderr
    assert "pip install 'smappee-async[arrow]'" in ended.stderr


async def test_pyarrow_is_not_imported_before_it_is_asked_for() -> None:
    program = "import sys; from smappee_async import export; print('pyarrow' in sys.modules)"
    command = [sys.executable, "-c", program]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
