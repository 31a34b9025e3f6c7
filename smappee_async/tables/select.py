"""Which rows of parsed columns belong to their chunk, decided in Arrow, and what is remembered of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

import msgspec
import pyarrow as pa

from smappee_async.defaults import LATEST_MS
from smappee_async.models import SessionStatus
from smappee_async.secret import Opaque
from smappee_async.tables.schema import pc
from smappee_async.timerange import TimeRange

#: Rows keep the memory of the batch that they are a part of, if it is at most so many times theirs.
_SLACK: Final = 2


class Selected(Opaque, msgspec.Struct, frozen=True, eq=False):
    """The rows that are kept of several chunks, one chunk after another.

    :param lengths: how many each chunk has.
    :param unknown_statuses: how many of each chunk have each status that the documentation does not name.
    """

    fields: pa.RecordBatch
    lengths: Sequence[int]
    unknown_statuses: Sequence[Mapping[str, int]]


class ColumnKeys(Opaque, msgspec.Struct, frozen=True, eq=False):
    """What tells the sessions of some rows from others: id, start, end and station, 40 bytes a session."""

    ids: pa.Array
    from_ms: pa.Array
    to_ms: pa.Array
    serial_numbers: pa.Array

    @classmethod
    def of(cls, fields: pa.RecordBatch) -> ColumnKeys:
        """Those of the fields of records."""
        return cls(*map(fields.column, ("id", "from_ms", "to_ms", "serial_number")))

    def __len__(self) -> int:
        return len(self.ids)

    def compact(self) -> ColumnKeys:
        """The same, without the rows of a larger batch that would stay in memory with these."""
        if self.ids.get_total_buffer_size() <= _SLACK * self.ids.nbytes:
            return self
        return ColumnKeys(*(pa.concat_arrays([each]) for each in self._columns))

    def has_any(self, ids: pa.Array) -> bool:
        """Whether one of these ids is here."""
        return bool(pc.any(pc.is_in(self.ids, value_set=ids)).as_py())

    def near_the_edges(self, time_range: TimeRange, within_ms: int) -> ColumnKeys:
        """Those that started near an edge of a time range."""
        is_near = pc.less(self.from_ms, time_range.start_ms + within_ms)
        if time_range.end_ms is not None:
            is_near = pc.or_(is_near, pc.greater_equal(self.from_ms, time_range.end_ms - within_ms))
        return ColumnKeys(*(each.filter(is_near) for each in self._columns))

    def rows(self) -> Iterable[tuple[int, int, int | None, str]]:
        """Id, start, end and serial number of each."""
        return zip(*(each.to_pylist() for each in self._columns), strict=True)

    @property
    def _columns(self) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array]:
        return self.ids, self.from_ms, self.to_ms, self.serial_numbers


def ids_of(records: Sequence[object]) -> pa.Array:
    """The ids of records."""
    return pa.array([record.id for record in records], pa.int64())  # type: ignore[attr-defined]  # all have one


def repeats_any(found: ColumnKeys, remembered: list[ColumnKeys]) -> bool:
    """Whether an id is among those that are remembered."""
    return any(keys.has_any(found.ids) for keys in remembered)


def select_rows(
    fields: pa.RecordBatch,
    lengths: Sequence[int],
    time_ranges: Sequence[TimeRange],
    others: Sequence[Collection[str]],
    remembered: Iterable[ColumnKeys] = (),
) -> Selected | None:
    """The rows of each chunk that started in its time range and are not certainly of the other state.

    ``None`` if an id comes twice in a chunk, or is among those that are remembered: which of them is kept is decided by
    record.

    :param lengths: how many rows each chunk has.
    :param others: the statuses that are certainly of the other state: of sessions without an end, and with an end.
    """
    ids = fields.column("id")
    if any(len(each.unique()) != len(each) for each in _split(ids, lengths)):
        return None
    if any(keys.has_any(ids) for keys in remembered):
        return None
    start, end, status = (fields.column(name) for name in ("from_ms", "to_ms", "status"))
    is_kept = pc.greater_equal(start, _of_each([each.start_ms for each in time_ranges], lengths))
    if any(each.end_ms is not None for each in time_ranges):
        ends = [LATEST_MS if each.end_ms is None else each.end_ms for each in time_ranges]
        is_kept = pc.and_(is_kept, pc.less(start, _of_each(ends, lengths)))
    for has_end, statuses in enumerate(others):
        if statuses:
            is_other = pc.is_in(status, value_set=pa.array(map(str, statuses), pa.string()))
            is_kept = pc.and_not(is_kept, pc.and_(is_other, pc.is_valid(end) if has_end else pc.is_null(end)))
    if not pc.all(is_kept).as_py():
        fields = fields.filter(is_kept)
        lengths = [each.true_count for each in _split(is_kept, lengths)]
    return Selected(fields, lengths, _unknown_statuses(fields.column("status"), lengths))


def _unknown_statuses(status: pa.Array, lengths: Sequence[int]) -> list[Mapping[str, int]]:
    if all(SessionStatus(each).is_known for each in status.unique().to_pylist()):
        return [{}] * len(lengths)
    counts = (pc.value_counts(each).to_pylist() for each in _split(status, lengths))
    return [
        {each["values"]: each["counts"] for each in chunk if not SessionStatus(each["values"]).is_known}
        for chunk in counts
    ]


def _of_each(values: Sequence[int], lengths: Sequence[int]) -> int | pa.Array:
    """A value of each chunk, as something to compare all rows with."""
    if len(values) == 1:
        return values[0]
    return pa.concat_arrays([pa.repeat(value, length) for value, length in zip(values, lengths, strict=True)])


def _split(column: pa.Array, lengths: Sequence[int]) -> Iterator[pa.Array]:
    """The rows of each chunk."""
    for first, length in zip(accumulate(lengths, initial=0), lengths, strict=False):
        yield column.slice(first, length)
