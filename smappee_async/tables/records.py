"""Records as Arrow columns: what was decoded, with the names of the fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import pyarrow as pa

from smappee_async.models import JsonValue
from smappee_async.tables.schema import FIELDS

_NUMBERS: Final = pa.list_(pa.float64())


def _conversion(name: str, kind: pa.DataType) -> Callable[[Any], object] | None:
    """What makes a value one of the column's type, for fields whose values are not."""
    if name in ("serial_number", "status"):
        return str  # a serial number may be a number on the wire
    if kind == pa.float64():
        return float  # pyarrow refuses a whole number that a float cannot hold exactly
    return (lambda values: list(map(float, values))) if kind == _NUMBERS else None


_CONVERSIONS: Final = {name: _conversion(name, kind) for name, kind in FIELDS.items()}


def columns_of_records(
    records: Sequence[object], parks: Sequence[int | None], extras: Sequence[Mapping[str, JsonValue]]
) -> pa.RecordBatch:
    """The fields of records that have the attributes of a session, whether the sessions are built or not.

    :param parks: the service location id of each.
    :param extras: the unknown keys of each.
    """
    arrays: list[pa.Array] = []
    for name, kind in FIELDS.items():
        if name == "service_location_id":
            values: list[Any] = list(parks)
        elif name == "extra":
            values = [json_text(extra) if extra else None for extra in extras]
        else:
            values = list(map(attrgetter(name), records))
            if (convert := _CONVERSIONS[name]) is not None:
                values = [None if value is None else convert(value) for value in values]
        arrays.append(pa.array(values, kind))
    return pa.RecordBatch.from_arrays(arrays, names=list(FIELDS))


def constant(value: int | None, kind: pa.DataType, length: int) -> pa.Array:
    """A column with the same value in every row."""
    return pa.nulls(length, kind) if value is None else pa.repeat(pa.scalar(value, kind), length)


def json_text(extra: Mapping[str, JsonValue]) -> str:
    """The unknown keys of a record as the column ``extra`` has them."""
    return json.dumps(extra, sort_keys=True)
