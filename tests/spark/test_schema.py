"""The schemas that Spark is told, and the batches that it is given, agree, and hold what the table held."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from smappee_async.distributed import MissingSessions
from smappee_async.spark.schema import FAILURES, FAILURES_DDL, SESSIONS, SESSIONS_DDL, failure_batch, session_batches
from smappee_async.tables.schema import SCHEMA, table_of

#: Spark's names of the types, written by hand.
TYPES = {
    "BIGINT": pa.int64(),
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DECIMAL(18,6)": pa.decimal128(18, 6),
    "DOUBLE": pa.float64(),
    "ARRAY<DOUBLE>": pa.list_(pa.float64()),
    "BOOLEAN": pa.bool_(),
}


def fields_of(ddl: str) -> list[tuple[str, pa.DataType, bool]]:
    columns = re.findall(r"(\w+) ([A-Z<>]+(?:\(\d+,\d+\))?)( NOT NULL)?(?:, |$)", ddl)
    return [(name, TYPES[kind], not required) for name, kind, required in columns]


def test_the_text_and_the_batches_agree() -> None:
    for ddl, schema in ((SESSIONS_DDL, SESSIONS), (FAILURES_DDL, FAILURES)):
        assert fields_of(ddl) == [(field.name, field.type, field.nullable) for field in schema]


def test_the_columns_are_those_of_every_table() -> None:
    assert SESSIONS.names == SCHEMA.names


ROW = {
    "service_location_id": 1001,
    "id": 7,
    "serial_number": "5000000001",
    "status": "STOPPED",
    "started_at": datetime(2026, 10, 1, 8, 15, 0, 123_000, tzinfo=UTC),
    "energy_kwh": Decimal("12.345678"),
    "max_amperes": [16.0, 32.0],
}


def test_values_stay_the_same() -> None:
    table = pa.Table.from_pylist([ROW, {**ROW, "id": 8}, {**ROW, "id": 9}], SCHEMA)
    batches = session_batches(table, 2)
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert all(batch.schema.equals(SESSIONS) for batch in batches)
    assert [row for batch in batches for row in batch.to_pylist()] == table.to_pylist()


def test_a_table_without_rows_has_no_wrong_batch() -> None:
    assert all(batch.schema.equals(SESSIONS) for batch in session_batches(table_of([]), 10))


def test_what_is_missing_is_a_row() -> None:
    missing = MissingSessions(
        service_location_id=1001, start_ms=1_782_864_000_123, end_ms=None, is_record=True, reason="it cannot be read"
    )
    batch = failure_batch([missing])
    assert batch.schema.equals(FAILURES)
    assert batch.to_pylist() == [
        {
            "service_location_id": 1001,
            "started_from": datetime(2026, 7, 1, 0, 0, 0, 123_000, tzinfo=UTC),
            "started_before": None,
            "is_record": True,
            "reason": "it cannot be read",
        }
    ]


def test_nothing_missing_is_no_row() -> None:
    assert failure_batch([]).num_rows == 0
