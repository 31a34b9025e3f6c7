"""Hooks for cattrs that coerce nothing: a value is of the type that its field says, or it is refused.

cattrs by itself turns true into 1, null into ``'None'`` and a text into a list of its letters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, get_args, get_origin

import cattrs
from cattrs.cols import list_structure_factory
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import EpochMs, Number, SerialNumber, SessionStatus
from smappee_async.protocol.wire import INT64, without_none

# Some services write numbers as text. Nothing is lost when they are read, unlike true for 1 or null for a text.
_WHOLE: Final = r"-?[0-9]{1,19}"
_DECIMAL: Final = r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?"


class Mismatch(ValueError):
    """A value is not of the type that its field says. The text names the type only: the value may name a person."""


def register(converter: cattrs.Converter) -> None:
    """Replace the hooks of cattrs that coerce."""
    for bare, hook in (
        (int, _structure_int),
        (float, _structure_float),
        (bool, _structure_bool),
        (str, _structure_str),
        (SessionStatus, _structure_status),
        *((kind, _instance_hook(kind)) for kind in (datetime, timedelta, Decimal)),
    ):
        converter.register_structure_hook(bare, hook)

    # Registered before those for exact annotations: cattrs asks the predicate that was registered last first.
    converter.register_structure_hook_factory(_is_collection, _collection_hook)
    converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
    converter.register_structure_hook_factory(lambda annotation: without_none(annotation)[1], _optional_hook)
    for annotation, exact_hook in (
        (Number, _structure_number),
        (EpochMs, _structure_epoch_ms),
        (SerialNumber, _structure_serial_number),
    ):
        converter.register_structure_hook_func(_is(annotation), exact_hook)


def decode_error(error: BaseException, keys: Mapping[str, str]) -> ResponseDecodeError:
    """What an error of structuring one record says: where the record is wrong, and what was expected there.

    The error that is returned holds neither the values nor the first error, whose text and frames do.

    :param keys: from the name of each field to its key in the JSON path.
    """
    path, reason = next(_mismatches(error, "$", keys))
    return ResponseDecodeError(f"a record cannot be read: {reason}", json_path=path)


def _mismatches(error: BaseException, path: str, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(error, ClassValidationError):
        for inner, note in error.group_exceptions()[0]:
            yield from _mismatches(inner, f"{path}.{keys.get(note.name, note.name)}", keys)
        for inner in error.group_exceptions()[1]:
            yield from _mismatches(inner, path, keys)
    elif isinstance(error, IterableValidationError):
        for inner, place in error.group_exceptions()[0]:
            yield from _mismatches(inner, f"{path}[{place.index}]", keys)
    elif isinstance(error, KeyError):
        yield path, "a required key is missing"
    elif isinstance(error, Mismatch):
        yield path, str(error)
    elif isinstance(error, ForbiddenExtraKeysError):
        yield path, "it has a key that is no field"
    else:
        yield path, "it has the wrong shape"


def none_for(number: int, hook: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The hook of a field in which a number means that there is no value."""
    texts = (number, str(number))
    return lambda value, annotation: None if type(value) in (int, str) and value in texts else hook(value, annotation)


# --- single values ----------------------------------------------------------------------------------------------------


def _whole(value: Any, low: int = -INT64, high: int = INT64) -> int:
    if isinstance(value, str) and re.fullmatch(_WHOLE, value, re.ASCII):
        value = int(value)
    if type(value) is not int or not low <= value < high:
        raise Mismatch("expected a whole number")
    return value


def _structure_int(value: Any, _: Any) -> int:
    return _whole(value)


def _structure_epoch_ms(value: Any, _: Any) -> int:
    try:
        return _whole(value, EARLIEST_MS, LATEST_MS)
    except Mismatch:
        pass
    raise Mismatch("expected milliseconds since 1970, between the years 2000 and 2100")


def _structure_number(value: Any, _: Any) -> int | float:
    if isinstance(value, str) and re.fullmatch(_DECIMAL, value, re.ASCII):
        value = int(value) if re.fullmatch(_WHOLE, value, re.ASCII) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise Mismatch("expected a number")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is too large for a float
        return False


def _structure_float(value: Any, _: Any) -> float:
    return float(_structure_number(value, None))


def _structure_bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise Mismatch("expected true or false")
    return value


def _structure_str(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise Mismatch("expected a text")
    return value


def _structure_serial_number(value: Any, _: Any) -> str:
    if type(value) is int and 0 <= value < INT64:
        return str(value)
    if not isinstance(value, str) or not value:
        raise Mismatch("expected a serial number, as number or text")
    return value


def _structure_status(value: Any, _: Any) -> SessionStatus:
    return SessionStatus(_structure_str(value, None))


def _instance_hook(kind: type) -> Callable[[Any, Any], Any]:
    """For types that JSON does not have, but the properties of a record do."""

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, kind):
            raise Mismatch(f"expected a {kind.__name__}")
        return value

    return structure


# --- several values ---------------------------------------------------------------------------------------------------


def _is(bare: Any) -> Callable[[Any], bool]:
    return lambda annotation: bool(annotation == bare)


def _optional_hook(annotation: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    bare, _ = without_none(annotation)
    hook = converter.get_structure_hook(bare)
    return lambda value, _: None if value is None else hook(value, bare)


_MADE_OF: Final[dict[Any, Any]] = {list: list, Sequence: list, tuple: tuple, set: set, frozenset: frozenset}


def _is_collection(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return origin in _MADE_OF and (origin is not tuple or get_args(annotation)[-1:] in ((), (...,)))


def _collection_hook(annotation: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    made_of = _MADE_OF[get_origin(annotation) or annotation]
    item_type = (*get_args(annotation), Any)[0]
    items: Any = list_structure_factory(list[item_type], converter)  # type: ignore[valid-type]  # known at run time

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple | AbstractSet):
            raise Mismatch("expected a list")
        return made_of(items(value, annotation))

    return structure


def _is_mapping(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in (dict, Mapping)


def _mapping_hook(annotation: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    # Not the hook of cattrs, which writes the keys in the notes of its errors.
    key_type, value_type = get_args(annotation) or (Any, Any)
    key_hook, value_hook = converter.get_structure_hook(key_type), converter.get_structure_hook(value_type)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Mismatch("expected an object")
        return {key_hook(key, key_type): value_hook(each, value_type) for key, each in value.items()}

    return structure
