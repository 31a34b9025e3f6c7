"""Record batches as a Parquet file: row groups of one size, RFIDs as asked for. Needs pyarrow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import BinaryIO, Final

import anyio
import pyarrow as pa
import pyarrow.parquet as pq

from smappee_async.export.new_file import NewFileThread
from smappee_async.export.source import OnProgress
from smappee_async.rfid import ShownRfid, rfid_as
from smappee_async.tables.schema import SCHEMA, table_of

#: Rows of a row group, which is what is held in memory: about 16 MB. Readers skip and share out whole row groups.
_ROWS_PER_GROUP: Final = 64 * 1024


async def write_parquet(
    file: NewFileThread, batches: AsyncIterator[pa.RecordBatch], rfid: ShownRfid, on_progress: OnProgress | None
) -> int:
    """Write record batches in the thread of the file; returns the number of rows."""
    writer = _Writer(file.file.file, rfid)
    waiting: list[pa.RecordBatch] = []
    count = rows_waiting = 0
    try:
        async for batch in batches:
            waiting.append(batch)
            count += batch.num_rows
            rows_waiting += batch.num_rows
            if rows_waiting >= _ROWS_PER_GROUP:
                await file.run(partial(writer.write, waiting))
                waiting, rows_waiting = [], 0
                if on_progress is not None:
                    on_progress(count)
        if waiting or not count:
            await file.run(partial(writer.write, waiting))  # none at all gives a file of columns without rows
    finally:
        # Shielded, and here, because pyarrow writes to the file once more when a writer is freed that is not closed.
        with anyio.CancelScope(shield=True):
            await file.run(writer.close)
    if on_progress is not None and rows_waiting:
        on_progress(count)
    return count


class _Writer:
    """Used in one thread."""

    def __init__(self, file: BinaryIO, rfid: ShownRfid) -> None:
        self._file = file
        self._rfid: ShownRfid = rfid
        self._writer: pq.ParquetWriter | None = None

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Write rows, as one row group unless there are too many."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd")
        table = with_rfids(table_of(batches), self._rfid)
        self._writer.write_table(table, row_group_size=_ROWS_PER_GROUP)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        finally:
            self._writer.is_open = False  # or it tries again when it is freed


def with_rfids(table: pa.Table, choice: ShownRfid) -> pa.Table:
    """The table with RFIDs as chosen; the schema stays the same, its metadata too."""
    if choice == "show":
        return table
    index = table.schema.get_field_index("rfid")
    # Each card once, because a card charges often.
    encoded = table.column(index).combine_chunks().dictionary_encode()
    shown = pa.array([rfid_as(rfid, choice) for rfid in encoded.dictionary.to_pylist()], pa.string())
    return table.set_column(index, table.schema.field(index), shown.take(encoded.indices))
