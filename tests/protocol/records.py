"""Session records for the tests of this directory: the types of their fields, and any valid record."""

from __future__ import annotations

import functools
import operator
from types import NoneType
from typing import Any, get_args

import attrs
from hypothesis import strategies as st

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.models import ChargingSession, EpochMs, Number, SerialNumber, SessionStatus
from smappee_async.simulator.wire_fields import WIRE_NAMES

Record = dict[str, Any]
SMALLEST: Record = {"id": 880003, "serialNumber": "6220001111", "from": 1709560000000, "status": "STOPPED"}
PYTHON_NAMES = {key: name for name, key in WIRE_NAMES.items()}


def type_of(name: str) -> Any:
    """The type of a field of a session, without ``None``."""
    annotation = getattr(attrs.fields(attrs.resolve_types(ChargingSession, include_extras=True)), name).type
    members = [member for member in get_args(annotation) if member is not NoneType]
    return functools.reduce(operator.or_, members) if NoneType in get_args(annotation) else annotation


#: The type of the value of each key, without ``None``.
TYPES = {key: type_of(name) for name, key in WIRE_NAMES.items()}
OPTIONAL = sorted(TYPES.keys() - SMALLEST.keys())

int64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = int64 | finite
texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.integers(EARLIEST_MS, LATEST_MS - 1)
VALUES_BY_TYPE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, int64),
    (SerialNumber, st.integers(0, 2**63 - 1) | texts.filter(bool)),
    (EpochMs, times),
    (SessionStatus, st.sampled_from([status.value for status in SessionStatus]) | texts),
    (float, numbers),
    (Number, numbers),
    (str, texts),
    (bool, st.booleans()),
    (tuple[Number, ...], st.lists(numbers)),
]
values = {key: strategy for key, kind in TYPES.items() for of_type, strategy in VALUES_BY_TYPE if kind == of_type}
valid_records = st.fixed_dictionaries(
    {key: values[key] for key in SMALLEST}, optional={key: st.none() | values[key] for key in OPTIONAL}
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
