"""Which rows of parsed columns belong to one chunk, decided in Arrow, and what is remembered of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import pyarrow as pa

from smappee_async.secret import Opaque
from smappee_async.tables.schema import pc
from smappee_async.timerange import TimeRange


class Selected(Opaque, msgspec.Struct, frozen=True, eq=False):
    """The rows that are kept.

    :param statuses: how many of them have each status.
    """

    fields: pa.RecordBatch
    statuses: Mapping[str, int]


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

    def has_any(self, ids: pa.Array) -> bool:
        """Whether one of these ids is here."""
        return bool(pc.any(pc.is_in(self.ids, value_set=ids)).as_py())

    def near_the_edges(self, time_range: TimeRange, within_ms: int) -> ColumnKeys:
        """Those that started near an edge of a time range."""
        is_near = pc.less(self.from_ms, time_range.start_ms + within_ms)
        if time_range.end_ms is not None:
            is_near = pc.or_(is_near, pc.greater_equal(self.from_ms, time_range.end_ms - within_ms))
        columns = (self.ids, self.from_ms, self.to_ms, self.serial_numbers)
        return ColumnKeys(*(each.filter(is_near) for each in columns))

    def rows(self) -> Iterable[tuple[int, int, int | None, str]]:
        """Id, start, end and serial number of each."""
        columns = (self.ids, self.from_ms, self.to_ms, self.serial_numbers)
        return zip(*(each.to_pylist() for each in columns), strict=True)


def ids_of(records: Sequence[object]) -> pa.Array:
    """The ids of records."""
    return pa.array([record.id for record in records], pa.int64())  # type: ignore[attr-defined]  # all have one


def repeats_any(found: ColumnKeys, remembered: list[ColumnKeys]) -> bool:
    """Whether an id is among those that are remembered."""
    return any(keys.has_any(found.ids) for keys in remembered)


def select_rows(
    fields: pa.RecordBatch,
    time_range: TimeRange,
    others: Sequence[Collection[str]],
    remembered: Iterable[ColumnKeys],
) -> Selected | None:
    """The rows that started in a time range and are not certainly of the other state.

    ``None`` if an id comes twice, here or among those that are remembered: which of them is kept is decided by record.

    :param others: the statuses that are certainly of the other state: of sessions without an end, and with an end.
    """
    ids = fields.column("id")
    if pc.count_distinct(ids).as_py() != len(ids) or any(keys.has_any(ids) for keys in remembered):
        return None
    start, end, status = (fields.column(name) for name in ("from_ms", "to_ms", "status"))
    is_kept = pc.greater_equal(start, time_range.start_ms)
    if time_range.end_ms is not None:
        is_kept = pc.and_(is_kept, pc.less(start, time_range.end_ms))
    for has_end, statuses in enumerate(others):
        if statuses:
            is_other = pc.is_in(status, value_set=pa.array(map(str, statuses), pa.string()))
            is_kept = pc.and_not(is_kept, pc.and_(is_other, pc.is_valid(end) if has_end else pc.is_null(end)))
    if not pc.all(is_kept).as_py():
        fields = fields.filter(is_kept)
    counts = pc.value_counts(fields.column("status"))
    return Selected(fields, {each["values"]: each["counts"] for each in counts.to_pylist()})
