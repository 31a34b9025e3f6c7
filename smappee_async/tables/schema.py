"""The columns of a session as an Arrow schema. Importing this takes 0.3 s, because it imports pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from smappee_async.tables.columns import COLUMNS, Column, Kind

try:
    import pyarrow as pa
    import pyarrow.compute
except ModuleNotFoundError as error:
    raise ImportError("tables need an extra: pip install 'smappee-async[arrow]'") from error

# The first array imports pandas, if it is installed: here, and not while an event loop runs.
pa.array([0])

#: The compute functions. They are made when pyarrow is imported, so a type checker finds none of them in its module.
pc: Final[Any] = pyarrow.compute

#: Grows when a column is added.
SCHEMA_VERSION: Final = 1

ENERGY: Final = pa.decimal128(18, 6)
INSTANT: Final = pa.timestamp("ms", tz="UTC")
#: What each kind of column is in Arrow. Plain strings, because batches would have different dictionaries.
_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    "integer": pa.int64(),
    "text": pa.string(),
    "instant": INSTANT,
    "energy": ENERGY,
    "number": pa.float64(),
    "numbers": pa.list_(pa.float64()),
    "boolean": pa.bool_(),
    "json": pa.string(),
}


def _arrow_field(column: Column) -> pa.Field:
    metadata: dict[str | bytes, str | bytes] = {}
    if column.unit is not None:
        metadata["unit"] = column.unit
    if column.is_personal:
        metadata["personal"] = "true"
    return pa.field(column.name, _TYPES[column.kind], nullable=not column.is_required, metadata=metadata or None)


SCHEMA: Final[pa.Schema] = pa.schema(
    list(map(_arrow_field, COLUMNS)), metadata={"smappee_async.schema": str(SCHEMA_VERSION)}
)
"""The schema of every table of sessions: the same for each batch, and for a table without rows.

A column's unit is in its metadata as ``unit``; a column that tells who charged has ``personal`` there.
"""


def table_of(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """Batches of the schema as one table; it has the schema without any batch too."""
    return pa.Table.from_batches(batches, SCHEMA)


#: The columns that a record has itself, by the name of the field: what is read before the others are computed.
FIELDS: Final[Mapping[str, pa.DataType]] = {
    column.field: pa.int64() if column.kind == "instant" else _TYPES[column.kind]
    for column in COLUMNS
    if column.field is not None
}
