"""Sessions into tables without ``stream.table()``, as a program would write it by hand.

The first three give what ``stream.table()`` gives, by the quickest way: a list for each column. The last two are short,
and inexact: pandas makes the number 412 of the text ``"0412"``, and polars makes 1 of 1.5 where the records before had
whole numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from operator import attrgetter
from typing import Any, Final

import pandas as pd
import polars as pl
import pyarrow as pa

from smappee_async import ChargingSession
from smappee_async.tables.columns import COLUMNS
from smappee_async.tables.schema import SCHEMA

_STEP: Final = Decimal("0.000001")
_POLARS: Final[dict[str, Any]] = {
    "integer": pl.Int64,
    "text": pl.String,
    "instant": pl.Int64,
    "energy": pl.Decimal(18, 6),
    "number": pl.Float64,
    "numbers": pl.List(pl.Float64),
    "boolean": pl.Boolean,
    "json": pl.String,
}
_PANDAS: Final = {
    "integer": "Int64",
    "text": "str",
    "instant": "datetime64[ms, UTC]",
    "energy": "object",
    "number": "float64",
    "numbers": "object",
    "boolean": "boolean",
    "json": "str",
}


def pyarrow_table(sessions: Sequence[ChargingSession], *, has_energy_kwh: bool = True) -> pa.Table:
    """The table of the schema.

    :param has_energy_kwh: whether the one column is made that is computed: its decimals take half of the time.
    """
    schema = SCHEMA if has_energy_kwh else SCHEMA.remove(SCHEMA.get_field_index("energy_kwh"))
    arrays = [pa.array(_values(sessions, field.name), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def polars_frame(sessions: Sequence[ChargingSession]) -> pl.DataFrame:
    """The same as a polars frame."""
    columns = [pl.Series(each.name, _values(sessions, each.name), _POLARS[each.kind]) for each in COLUMNS]
    instants = [each.name for each in COLUMNS if each.kind == "instant"]
    return pl.DataFrame(columns).with_columns(pl.col(instants).cast(pl.Datetime("ms", "UTC")))


def pandas_frame(sessions: Sequence[ChargingSession]) -> pd.DataFrame:
    """The same as a pandas frame."""
    columns = {each.name: pd.Series(_values(sessions, each.name), dtype=_PANDAS[each.kind]) for each in COLUMNS}
    return pd.DataFrame(columns)


def _values(sessions: Sequence[ChargingSession], name: str) -> list[Any]:
    match name:
        case "started_at":
            return list(map(attrgetter("from_ms"), sessions))
        case "ended_at":
            return list(map(attrgetter("to_ms"), sessions))
        case "energy_kwh":
            energies = map(attrgetter("energy_kwh"), sessions)
            return [None if energy is None else energy.quantize(_STEP) for energy in energies]
        case "max_amperes":
            return [None if each is None else list(map(float, each)) for each in map(attrgetter(name), sessions)]
        case "extra":
            extras = map(attrgetter(name), sessions)
            return [json.dumps(extra, sort_keys=True) if extra else None for extra in extras]
        case _:
            return list(map(attrgetter(name), sessions))


def polars_read_json(bodies: Sequence[bytes]) -> pl.DataFrame:
    """Whatever polars makes of the bodies."""
    return pl.concat([pl.read_json(BytesIO(body)) for body in bodies], how="diagonal_relaxed")


def pandas_read_json(bodies: Sequence[bytes]) -> pd.DataFrame:
    """Whatever pandas makes of the bodies."""
    return pd.concat([pd.read_json(BytesIO(body)) for body in bodies], ignore_index=True)
