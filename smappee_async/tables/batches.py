"""From the fields of records to the columns of the schema: times, energy, order. Pure, in Arrow."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import pyarrow as pa

from smappee_async.models import exact_energy_kwh
from smappee_async.tables.columns import COLUMNS
from smappee_async.tables.schema import ENERGY, INSTANT, SCHEMA, pc

_PLACES: Final = ENERGY.scale
_STEP: Final = Decimal(1).scaleb(-_PLACES)
_TOO_MUCH: Final = Decimal(10) ** (ENERGY.precision - _PLACES)
_WIDE: Final = Context(prec=1100, rounding=ROUND_HALF_EVEN)
#: Up to here a float is exact enough that rounding it rounds the decimal that it stands for, ...
_SURE_BELOW_KWH: Final = 1e6
#: ... unless the sixth decimal is so near to the middle between two.
_MIDDLE: Final = 1e-3


def schema_batch(fields: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of the schema from the fields of records."""
    arrays: list[pa.Array] = []
    for column in COLUMNS:
        if column.field is None:
            arrays.append(_energy_kwh(fields))
        elif column.kind == "instant":
            arrays.append(fields.column(column.field).cast(INSTANT))
        else:
            arrays.append(fields.column(column.field))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _energy_kwh(fields: pa.RecordBatch) -> pa.Array:
    """The energy of each session, rounded to the scale of the column; null if unknown, or too large for the column.

    It equals the exact decimal of the record, rounded: where a float could round to the other side, the record's own
    way is taken.
    """
    energy, start, stop = (fields.column(name) for name in ("energy", "start_reading", "stop_reading"))
    value = pc.coalesce(energy, pc.subtract(stop, start))
    scaled = pc.multiply(value, 10.0**_PLACES)
    is_sure = pc.greater(pc.abs(pc.subtract(pc.subtract(scaled, pc.floor(scaled)), 0.5)), _MIDDLE)
    for each in (value, start, stop):
        is_small = pc.less(pc.abs(each), _SURE_BELOW_KWH)
        is_sure = pc.and_(is_sure, pc.fill_null(is_small, True))
    # A value that is no number is null here, which is neither sure nor doubtful.
    rounded = pc.cast(pc.if_else(is_sure, value, None), ENERGY)
    doubtful = pc.fill_null(pc.invert(is_sure), False)
    if not pc.any(doubtful).as_py():
        return rounded
    rows = pa.RecordBatch.from_arrays([energy, start, stop], names=["energy", "start", "stop"]).filter(doubtful)
    exact = [_rounded(exact_energy_kwh(row["energy"], row["start"], row["stop"])) for row in rows.to_pylist()]
    return pc.replace_with_mask(rounded, doubtful, pa.array(exact, ENERGY))


def _rounded(exact: Decimal | None) -> Decimal | None:
    if exact is None or abs(exact) >= _TOO_MUCH:
        return None
    rounded = exact.quantize(_STEP, context=_WIDE)
    return None if abs(rounded) >= _TOO_MUCH else rounded
