"""The schemas of both tables, for Spark and for the record batches that Spark takes. Needs pyarrow, and no pyspark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from smappee_async.distributed import MissingSessions
from smappee_async.tables.columns import COLUMNS, Kind
from smappee_async.tables.schema import SCHEMA

#: Spark's timestamps are in microseconds, and it refuses batches with others.
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_TYPES: Final[Mapping[Kind, str]] = {
    "integer": "BIGINT",
    "text": "STRING",
    "instant": "TIMESTAMP",
    "energy": "DECIMAL(18,6)",
    "number": "DOUBLE",
    "numbers": "ARRAY<DOUBLE>",
    "boolean": "BOOLEAN",
    "json": "STRING",
}

SESSIONS_DDL: Final = ", ".join(
    f"{column.name} {_TYPES[column.kind]}{' NOT NULL' if column.is_required else ''}" for column in COLUMNS
)
"""The columns of a session, in the order of every table."""

FAILURES_DDL: Final = (
    "service_location_id BIGINT, started_from TIMESTAMP, started_before TIMESTAMP, "
    "is_record BOOLEAN NOT NULL, reason STRING NOT NULL"
)
"""The columns of :class:`~smappee_async.distributed.MissingSessions`, with instants in place of milliseconds."""

SESSIONS: Final[pa.Schema] = pa.schema(
    [field.with_type(_INSTANT) if pa.types.is_timestamp(field.type) else field for field in SCHEMA]
).remove_metadata()
FAILURES: Final[pa.Schema] = pa.schema(
    [
        ("service_location_id", pa.int64()),
        ("started_from", _INSTANT),
        ("started_before", _INSTANT),
        pa.field("is_record", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def session_batches(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    """A table of sessions in batches of at most so many rows, as Spark takes them."""
    batches: list[pa.RecordBatch] = table.cast(SESSIONS).to_batches(max_chunksize=rows)
    return batches


def failure_batch(missing: Sequence[MissingSessions]) -> pa.RecordBatch:
    """What is missing, one row each."""
    columns: Iterable[tuple[Sequence[object], pa.Field]] = zip(
        (
            [each.service_location_id for each in missing],
            [_us(each.start_ms) for each in missing],
            [_us(each.end_ms) for each in missing],
            [each.is_record for each in missing],
            [each.reason for each in missing],
        ),
        FAILURES,
        strict=True,
    )
    return pa.RecordBatch.from_arrays([pa.array(values, field.type) for values, field in columns], schema=FAILURES)


def _us(instant_ms: int | None) -> int | None:
    return None if instant_ms is None else instant_ms * 1_000
