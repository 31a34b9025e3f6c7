"""What is remembered of rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from smappee_async.tables.select import ColumnKeys


def keys(count: int) -> ColumnKeys:
    """Those of sessions of which every second one has no end."""
    numbers = range(count)
    ends = [None if number % 2 else number + 1 for number in numbers]
    stations = [f"6{number:03}" for number in numbers]
    ids, from_ms, to_ms = (pa.array(values, pa.int64()) for values in (numbers, numbers, ends))
    return ColumnKeys(ids, from_ms, to_ms, pa.array(stations, pa.string()))


def memory_of(those: ColumnKeys) -> int:
    columns = (those.ids, those.from_ms, those.to_ms, those.serial_numbers)
    return sum(column.get_total_buffer_size() for column in columns)


@pytest.mark.parametrize("length", [0, 1, 70])
def test_compact_keys_keep_no_other_rows_in_memory(length: int) -> None:
    whole = keys(1_000)
    columns = (whole.ids, whole.from_ms, whole.to_ms, whole.serial_numbers)
    part = ColumnKeys(*(column.slice(30, length) for column in columns))
    assert list(part.compact().rows()) == list(whole.rows())[30 : 30 + length]
    assert memory_of(part.compact()) <= 40 * length + 10


def test_keys_of_a_whole_batch_are_compact() -> None:
    whole = keys(1_000)
    assert whole.compact() is whole
