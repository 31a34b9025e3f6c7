"""JSON to attrs records: types are checked in C while decoding, and cattrs structures what needs a closer look.

The attrs class is the only description of a record. From it come a wire type for msgspec, which decodes and checks in
one pass, and a cattrs hook, which builds the record. A record that the wire type refuses (a key that nobody knew, a
wrong type) is decoded again as plain JSON and structured by cattrs field by field, so that unknown keys are kept and an
error names its place.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Container, Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Generic, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.errors import ClassValidationError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import (
    ChargingSession,
    EpochMs,
    FrozenDict,
    Number,
    SerialNumber,
    ServiceLocation,
    ServiceLocationInfo,
    SessionStatus,
)

RecordT = TypeVar("RecordT", bound=attrs.AttrsInstance)
_INT64: Final = 2**63
# Some services write numbers as text; that is no loss, so it is read, unlike true for 1 or null for a text.
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RecordReader(Generic[RecordT]):
    """Reads one kind of record."""

    def __init__(self, record_type: type[RecordT]) -> None:
        fields = _wire_fields(record_type)
        self._type = record_type
        self._wire_names = {field.name: str(_wire_name(field)) for field in fields}
        self._known = frozenset(self._wire_names.values())
        self._added = [field.name for field in attrs.fields(record_type) if field.name not in self._wire_names]
        self._decode = _list_decoder(_wire_type(record_type, forbid_unknown_fields=True))
        self._decode_known = _list_decoder(_wire_type(record_type, forbid_unknown_fields=False))
        self._build = _builder(record_type)

    def read_many(self, raws: Sequence[bytes | msgspec.Raw], *added: Any) -> list[RecordT] | None:
        """Records from the JSON texts of as many objects; ``None`` if one of them needs a closer look.

        :param added: values for the fields that are not on the wire, in their order.
        """
        array = b"[%b]" % b",".join(raws)
        try:
            return self._build(self._decode(array), *added)
        except _UNREADABLE:
            pass  # a key that nobody knew, or a wrong type
        try:
            wires, wholes = self._decode_known(array), msgspec.json.decode(array)
        except _UNREADABLE:
            return None
        return [
            self._build((wire,), *added, extra=_extra(whole, self._known))[0]
            for wire, whole in zip(wires, wholes, strict=True)
        ]

    def read(self, raw: bytes | msgspec.Raw, *added: Any) -> RecordT:
        """One record from the JSON text of one object.

        :param added: values for the fields that are not on the wire, in their order.
        :raises ResponseDecodeError: it is not such a record; says where and what was expected, never what stood there.
        """
        records = self.read_many((raw,), *added)
        if records is not None and len(records) == 1:
            return records[0]
        record = self._read_closely(raw)
        return _evolve(record, dict(zip(self._added, added, strict=False))) if added else record

    def _read_closely(self, raw: bytes | msgspec.Raw) -> RecordT:
        try:
            return _converter().structure(msgspec.json.decode(raw), self._type)
        except (ClassValidationError, IterableValidationError, _Mismatch) as error:
            path, reason = next(self._mismatches(error, "$"))
        except RecursionError:
            path, reason = "$", "it is nested too deeply"
        except (msgspec.DecodeError, UnicodeDecodeError):
            path, reason = "$", "it is not valid JSON"
        # Raised out here, so that the first error, whose text and frames hold the value, is not part of its context.
        raise ResponseDecodeError(f"a record cannot be read: {reason}", json_path=path)

    def _mismatches(self, error: BaseException, path: str) -> Iterator[tuple[str, str]]:
        """Where a record is wrong, and what was expected there."""
        if isinstance(error, ClassValidationError):
            for inner, note in error.group_exceptions()[0]:
                yield from self._mismatches(inner, f"{path}.{self._wire_names.get(note.name, note.name)}")
            for inner in error.group_exceptions()[1]:
                yield from self._mismatches(inner, path)
        elif isinstance(error, IterableValidationError):
            for inner, place in error.group_exceptions()[0]:
                yield from self._mismatches(inner, f"{path}[{place.index}]")
        elif isinstance(error, KeyError):
            yield path, "a required key is missing"
        elif isinstance(error, _Mismatch):
            yield path, str(error)
        else:
            yield path, "it has the wrong shape"


class _Mismatch(ValueError):
    """A value is not of the type that it should be; says the type only, for the value may name a person."""


def _wire_name(field: attrs.Attribute[Any]) -> str | None:
    head, *rest = field.name.split("_")
    name: str | None = field.metadata.get("wire", head + "".join(word.title() for word in rest))
    return name


def _wire_fields(record_type: type) -> list[attrs.Attribute[Any]]:
    # With its Annotated markers, which attrs.resolve_types drops otherwise.
    attrs.resolve_types(record_type, include_extras=True)
    return [field for field in attrs.fields(record_type) if _wire_name(field) is not None]


def _parts(annotation: Any) -> tuple[Any, bool]:
    """A type without ``None``, and whether ``None`` was in it."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    members = [member for member in get_args(annotation) if member is not NoneType]
    optional = len(members) < len(get_args(annotation))
    return (Union[tuple(members)], optional)  # noqa: UP007 - built at run time


_WIRE_INT: Final[Any] = Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)]
_WIRE_NUMBER: Final[Any] = _WIRE_INT | float
_WIRE: Final[dict[Any, Any]] = {
    int: _WIRE_INT,
    EpochMs: Annotated[int, msgspec.Meta(ge=EARLIEST_MS, lt=LATEST_MS)],
    SerialNumber: Annotated[int, msgspec.Meta(ge=0, le=_INT64 - 1)] | Annotated[str, msgspec.Meta(min_length=1)],
    Number: _WIRE_NUMBER,
    tuple[Number, ...]: tuple[_WIRE_NUMBER, ...],
}


def _wire_type(record_type: type, *, forbid_unknown_fields: bool) -> type[msgspec.Struct]:
    """The msgspec type that decodes what the record's fields say."""
    fields: list[Any] = []
    for field in _wire_fields(record_type):
        bare, optional = _parts(field.type)
        wire = _WIRE.get(bare, bare)
        named = msgspec.field(name=_wire_name(field))
        if field.default is not attrs.NOTHING:
            named = msgspec.field(name=_wire_name(field), default=field.default)
        fields.append((field.name, wire | None if optional else wire, named))
    return msgspec.defstruct(
        f"Wire{record_type.__name__}",
        fields,
        kw_only=True,
        forbid_unknown_fields=forbid_unknown_fields,
        gc=False,  # never part of a cycle, and built by the hundred thousand
    )


def _list_decoder(wire_type: type[msgspec.Struct]) -> Callable[[bytes], list[Any]]:
    return msgspec.json.Decoder(list[wire_type]).decode  # type: ignore[valid-type]  # made at run time


def _builder(record_type: type[RecordT]) -> Callable[..., list[RecordT]]:
    """What makes records of decoded wire values, and of the values that the client adds; written out as code.

    The ``__init__`` of a frozen class sets each attribute through ``object.__setattr__``, which costs five times what
    decoding did. So the attributes are set on a plain class of the same layout, and the object then becomes the record.
    """
    plain: Any = type(f"Plain{record_type.__name__}", (), {"__slots__": record_type.__slots__})  # type: ignore[attr-defined]
    on_wire = {field.name for field in _wire_fields(record_type)}
    names: dict[str, Any] = {"new": object.__new__, "plain": plain, "record_type": record_type}
    parameters, lines = ["wires"], ["record = new(plain)"]
    for field in attrs.fields(record_type):
        if field.name not in on_wire:
            names[f"default_{field.name}"] = field.default
            parameters.append(f"{field.name}=default_{field.name}")
            lines.append(f"record.{field.name} = {field.name}")
        elif field.type == SerialNumber:
            lines.append(f"number = wire.{field.name}")
            lines.append(f"record.{field.name} = number if number.__class__ is str else str(number)")
        else:
            lines.append(f"record.{field.name} = wire.{field.name}")
    lines += ["record.__class__ = record_type", "add(record)"]
    head = f"def build({', '.join(parameters)}):\n    records = []\n    add = records.append\n    for wire in wires:"
    code = "\n        ".join([head, *lines]) + "\n    return records"
    exec(code, names)  # noqa: S102 - nothing in it comes from outside: the names are those of the class above
    build: Callable[..., list[RecordT]] = names["build"]
    return build


def _extra(whole: dict[str, Any], known: Container[str | None]) -> FrozenDict:
    return FrozenDict({name: value for name, value in whole.items() if name not in known})


def _evolve(record: RecordT, changes: dict[str, Any]) -> RecordT:
    evolve: Any = attrs.evolve  # its types do not follow a type variable
    evolved: RecordT = evolve(record, **changes)
    return evolved


def _structure_record(record_type: type[RecordT], converter: cattrs.Converter) -> Callable[[Any, Any], RecordT]:
    """The hook for a record: field by field, keeping the keys that nobody knew."""
    known = {_wire_name(field) for field in _wire_fields(record_type)}
    names = {field.name: _wire_name(field) for field in attrs.fields(record_type)}
    overrides: dict[str, Any] = {
        field: override(rename=name) if name else override(omit=True) for field, name in names.items()
    }
    closely: Callable[[Any, Any], RecordT] = make_dict_structure_fn(
        record_type, converter, _cattrs_detailed_validation=True, **overrides
    )

    def structure(value: Any, _: Any) -> RecordT:
        if not isinstance(value, dict):
            raise _Mismatch("expected an object")
        record = closely(value, record_type)
        extra = _extra(value, known)
        return _evolve(record, {"extra": extra}) if extra else record

    return structure


def _whole(value: Any, low: int = -_INT64, high: int = _INT64) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if type(value) is not int or not low <= value < high:
        raise _Mismatch("expected a whole number")
    return value


def _structure_int(value: Any, _: Any) -> int:
    return _whole(value)


def _structure_epoch_ms(value: Any, _: Any) -> int:
    try:
        return _whole(value, EARLIEST_MS, LATEST_MS)
    except _Mismatch:
        pass
    raise _Mismatch("expected milliseconds since 1970, between the years 2000 and 2100")


def _structure_number(value: Any, _: Any) -> int | float:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value) if _WHOLE.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _Mismatch("expected a number")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can say
        return False


def _structure_float(value: Any, _: Any) -> float:
    return float(_structure_number(value, None))


def _structure_bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise _Mismatch("expected true or false")
    return value


def _structure_str(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise _Mismatch("expected a text")
    return value


def _structure_serial_number(value: Any, _: Any) -> str:
    if type(value) is int and 0 <= value < _INT64:
        return str(value)
    if not isinstance(value, str) or not value:
        raise _Mismatch("expected a serial number, as number or text")
    return value


def _structure_status(value: Any, _: Any) -> SessionStatus:
    return SessionStatus(_structure_str(value, None))


def _structure_numbers(value: Any, _: Any) -> tuple[Number, ...]:
    if not isinstance(value, list):
        raise _Mismatch("expected a list of numbers")
    return tuple(_structure_number(item, None) for item in value)


@functools.cache
def _converter() -> cattrs.Converter:
    """A converter that coerces nothing: cattrs as it comes turns true into 1, null into 'None', a text into a list.

    Made when a record first needs a closer look, which most programs never see.
    """
    converter = cattrs.Converter(detailed_validation=True)
    for bare, hook in (
        (int, _structure_int),
        (float, _structure_float),
        (bool, _structure_bool),
        (str, _structure_str),
        (Number, _structure_number),
        (SessionStatus, _structure_status),
        (EpochMs, _structure_epoch_ms),
        (SerialNumber, _structure_serial_number),
        (tuple[Number, ...], _structure_numbers),
    ):
        if isinstance(bare, type):
            converter.register_structure_hook(bare, hook)
        else:
            converter.register_structure_hook_func(_is(bare), hook)

    @converter.register_structure_hook_factory(lambda annotation: _parts(annotation)[1])
    def structure_optional(annotation: Any) -> Callable[[Any, Any], Any]:
        bare, _ = _parts(annotation)
        hook = converter.get_structure_hook(bare)
        return lambda value, _: None if value is None else hook(value, bare)

    for record_type in (ChargingSession, ServiceLocation, ServiceLocationInfo):
        converter.register_structure_hook(record_type, _structure_record(record_type, converter))
    return converter


def _is(bare: Any) -> Callable[[Any], bool]:
    return lambda annotation: bool(annotation == bare)


SESSION_READER: Final = RecordReader(ChargingSession)
SERVICE_LOCATION_READER: Final = RecordReader(ServiceLocation)
SERVICE_LOCATION_INFO_READER: Final = RecordReader(ServiceLocationInfo)
