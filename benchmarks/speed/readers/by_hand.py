"""A strict loop as one writes it by hand over what ``orjson.loads`` returns, into the client's own record.

The one function with a line for each field is generated from the table: its text is what one would type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from benchmarks.speed.readers.fields import FIELDS, Field, Kind
from smappee_async import ChargingSession
from smappee_async.models import NOTHING_EXTRA, FrozenDict, SessionStatus

_KNOWN: Final = frozenset(field.wire for field in FIELDS)
_STATUSES: Final = {str(status): status for status in SessionStatus}
#: How a value that is there is read.
_EXPRESSIONS: Final[dict[Kind, str]] = {
    "whole": "_whole(value)",
    "decimal": "float(_number(value))",
    "number": "_number(value)",
    "numbers": "tuple(_number(each) for each in value)",
    "text": "_text(value)",
    "truth": "_truth(value)",
    "status": "_STATUSES.get(_text(value)) or SessionStatus(value)",
    "serial_number": "str(value) if type(value) is int else _text(value)",
}
_FUNCTION: Final = """\
def _session(record):
    get = record.get
    {statements}
    return ChargingSession(
        {arguments},
        extra=NOTHING_EXTRA
        if record.keys() <= _KNOWN
        else FrozenDict({{name: value for name, value in record.items() if name not in _KNOWN}}),
    )
"""


def read(body: bytes) -> list[ChargingSession]:
    """The sessions of a response."""
    return [_session(record) for record in orjson.loads(body)]


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("expected a whole number")
    return value


def _number(value: object) -> int | float:
    if type(value) is not int and type(value) is not float:
        raise TypeError("expected a number")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("expected a text")
    return value


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError("expected true or false")
    return value


def _statement(field: Field) -> str:
    """Reads a required field into a local variable."""
    return f"value = record[{field.wire!r}]; {field.name} = {_EXPRESSIONS[field.kind]}"


def _argument(field: Field) -> str:
    if field.is_required:
        return f"{field.name}={field.name}"
    return f"{field.name}=None if (value := get({field.wire!r})) is None else {_EXPRESSIONS[field.kind]}"


def _generate() -> Callable[[dict[str, Any]], ChargingSession]:
    text = _FUNCTION.format(
        statements="\n    ".join(_statement(field) for field in FIELDS if field.is_required),
        arguments=",\n        ".join(map(_argument, FIELDS)),
    )
    names = (ChargingSession, FrozenDict, SessionStatus, _number, _text, _truth, _whole)
    namespace: dict[str, Any] = {each.__name__: each for each in names}
    namespace |= {"NOTHING_EXTRA": NOTHING_EXTRA, "_KNOWN": _KNOWN, "_STATUSES": _STATUSES}
    exec(text, namespace)  # a text of our own, made of the names of fields
    made: Callable[[dict[str, Any]], ChargingSession] = namespace["_session"]
    return made


_session: Final = _generate()
