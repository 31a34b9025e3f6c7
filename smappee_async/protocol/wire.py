"""Wire records: what msgspec decodes from JSON, before a record is built of it.

The attrs class is the only description of a record. From its fields come a msgspec type, which decodes and checks the
JSON in one pass, and generated code, which builds the attrs records. Both steps are apart, so that records which are
left out are never built, and so that columns can be made of wire records without building any record.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import filterfalse, repeat
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Generic, Self, TypeVar, Union, get_args, get_origin

import attrs
import msgspec

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.models import NOTHING_EXTRA, EpochMs, FrozenDict, JsonValue, Number, SerialNumber

RecordT = TypeVar("RecordT", bound=attrs.AttrsInstance)

INT64: Final = 2**63
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BOM: Final = b"\xef\xbb\xbf"
#: So many unknown keys are learnt; a service that sends more has no fields that are worth it.
_MOST_LEARNT: Final = 32
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
NOTHING_LEARNT: Final[Mapping[str, str]] = {}


class WireRecords(msgspec.Struct, Generic[RecordT], eq=False):
    """Decoded records of which the attrs records are not built yet.

    ``repr`` shows the number of records only, because records name persons.

    :ivar wires: one msgspec struct for each record; its attributes are the fields of the record that are on the wire.
    :ivar extras: the unknown keys of each record and their values; ``None`` if no record has any.
    """

    wire_format: WireFormat[RecordT]
    wires: list[Any]
    extras: list[Mapping[str, JsonValue]] | None = None

    @classmethod
    def joined(cls, wire_format: WireFormat[RecordT], parts: Sequence[WireRecords[RecordT]]) -> Self:
        """The records of several decoded parts, in their order."""
        wires = [wire for each in parts for wire in each.wires]
        if all(each.extras is None for each in parts):
            return cls(wire_format, wires)
        nothing: list[Mapping[str, JsonValue]] = [NOTHING_EXTRA]
        extras = [
            extra for each in parts for extra in (nothing * len(each.wires) if each.extras is None else each.extras)
        ]
        return cls(wire_format, wires, extras)

    def __len__(self) -> int:
        return len(self.wires)

    def leave_out(self, positions: Sequence[int]) -> None:
        """Drop the records at these positions, which are in ascending order."""
        for position in reversed(positions):
            del self.wires[position]
            if self.extras is not None:
                del self.extras[position]

    def build(self, service_location_id: int | None = None) -> list[RecordT]:
        """Build the attrs records.

        :param service_location_id: the park that was asked, which is not on the wire; for records with such a field.
        """
        if self.extras is None:
            return self.wire_format.build(self.wires, service_location_id)
        return self.wire_format.build_with_extra(self.wires, service_location_id, self.extras)

    def __repr__(self) -> str:
        return f"<{len(self.wires)} wire records>"


class _Decoding:
    """How arrays are decoded that have unknown keys: by the fields of the record, and the keys that were met so far.

    It does not change; another one takes its place, so that several threads may decode.

    :ivar extras: the function that makes the unknown keys of wire records.
    :ivar learnt: the unknown keys that have attributes of their own on the wire records.
    """

    __slots__ = ("decode", "extras", "learnt")

    def __init__(self, record_type: type, learnt: tuple[str, ...]) -> None:
        self.learnt = learnt
        names = [f"learnt_{number}" for number in range(len(learnt))]
        wire_type = _wire_type(record_type, forbid_unknown_fields=True, learnt=dict(zip(names, learnt, strict=True)))
        self.decode = _list_decoder(wire_type)
        self.extras = _extras_builder(names, learnt)

    def learns(self, keys: Iterable[str]) -> tuple[str, ...] | None:
        """The keys to learn besides these; ``None`` if they are too many, or no plain names."""
        found = tuple(dict.fromkeys((*self.learnt, *keys)))
        return found if len(found) <= _MOST_LEARNT and all(map(_PLAIN_KEY.fullmatch, found)) else None


class WireFormat(Generic[RecordT]):
    """How one class of records stands on the wire."""

    def __init__(self, record_type: type[RecordT]) -> None:
        self.record_type = record_type
        # At once and with the Annotated markers, because attrs resolves the types of a class only once.
        attrs.resolve_types(record_type, include_extras=True)

    # Made when they are first needed, so that an import does not pay for what a program does not read.

    @functools.cached_property
    def keys(self) -> Mapping[str, str]:
        """From the name of each field that is on the wire to its key in the JSON, in the order of the fields."""
        return {field.name: str(wire_key(field)) for field in _wire_fields(self.record_type)}

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.keys.values())

    @functools.cached_property
    def _wire_type(self) -> type[msgspec.Struct]:
        return _wire_type(self.record_type, forbid_unknown_fields=True)

    @functools.cached_property
    def _decode(self) -> Callable[[bytes | bytearray], list[Any]]:
        return _list_decoder(self._wire_type)

    @functools.cached_property
    def _decoding(self) -> _Decoding:
        return _Decoding(self.record_type, ())

    @functools.cached_property
    def _decode_known(self) -> Callable[[bytes | bytearray], list[Any]]:
        return _list_decoder(_wire_type(self.record_type, forbid_unknown_fields=False))

    @functools.cached_property
    def build(self) -> Callable[..., list[RecordT]]:
        """The function that builds records of wire records without unknown keys; it takes the park as well."""
        return _builder(self.record_type, with_extra=False)

    @functools.cached_property
    def build_with_extra(self) -> Callable[..., list[RecordT]]:
        """The function that builds records of wire records, the park, and the unknown keys of each."""
        return _builder(self.record_type, with_extra=True)

    def decode_each(self, raws: Sequence[bytes | bytearray | msgspec.Raw]) -> WireRecords[RecordT] | None:
        """Decode the JSON texts of as many objects; ``None`` if one of them is not such a record."""
        return self.decode(b"[%b]" % b",".join(raws))

    def decode(self, array: bytes | bytearray) -> WireRecords[RecordT] | None:
        """Decode a JSON array of objects; ``None`` if one of them is not such a record."""
        try:
            return WireRecords(self, self._decode(array))  # first, so that learnt keys cost other records nothing
        except UNREADABLE:
            return self._decode_learnt(array, self._decoding)

    def _decode_learnt(self, array: bytes | bytearray, decoding: _Decoding) -> WireRecords[RecordT] | None:
        """Decode an array in which a record has an unknown key or a wrong type."""
        if decoding.learnt:
            try:
                wires = decoding.decode(array)
                return WireRecords(self, wires, decoding.extras(wires))
            except UNREADABLE:
                pass
        return self._decode_unknown(array, decoding)

    def _decode_unknown(self, array: bytes | bytearray, decoding: _Decoding) -> WireRecords[RecordT] | None:
        """Decode an array in which a record has a key that was not met before, or a wrong type.

        New keys are learnt, so that the next array with them is decoded in one go.
        """
        try:
            wires, wholes = self._decode_known(array), msgspec.json.decode(array)
        except UNREADABLE:
            return None
        extras = [self.unknown(whole) for whole in wholes]
        learnt = decoding.learns(key for extra in extras for key in extra)
        if learnt is not None and len(learnt) > len(decoding.learnt):
            self._decoding = _Decoding(self.record_type, learnt)
        return WireRecords(self, wires, extras)

    def of(self, record: RecordT, whole: Mapping[str, JsonValue]) -> WireRecords[RecordT]:
        """The wire record of one record.

        :param whole: every key that the record has in the JSON.
        """
        wire = self._wire_type(**{name: getattr(record, name) for name in self.keys})
        return WireRecords(self, [wire], None if whole.keys() <= self._known else [self.unknown(whole)])

    def unknown(self, whole: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """The keys that no field has, in their order."""
        unknown = {key: whole[key] for key in filterfalse(self._known.__contains__, whole)}
        return FrozenDict(unknown) if unknown else NOTHING_EXTRA


def text_of(body: bytes | bytearray) -> bytes | bytearray:
    """A JSON text without its byte order mark.

    :raises UnicodeDecodeError: it is not UTF-8. msgspec does not check the text of a record that it decodes later.
    """
    if not body.isascii():
        body.decode()
    return body.removeprefix(_BOM)


def wire_key(field: attrs.Attribute[Any]) -> str | None:
    """The key of a field in the JSON, which is its name in camelCase if the class names no other; ``None``: no key."""
    head, *rest = field.name.split("_")
    key: str | None = field.metadata.get("wire", head + "".join(word.title() for word in rest))
    return key


def without_none(annotation: Any) -> tuple[Any, bool]:
    """A type without ``None``, and whether ``None`` was in it."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    members = [member for member in get_args(annotation) if member is not NoneType]
    optional = len(members) < len(get_args(annotation))
    return (Union[tuple(members)], optional)  # noqa: UP007 - built at run time


def _wire_fields(record_type: type) -> list[attrs.Attribute[Any]]:
    return [field for field in attrs.fields(record_type) if wire_key(field) is not None]


_WIRE_INT: Final[Any] = Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)]
_WIRE_NUMBER: Final[Any] = _WIRE_INT | float
_WIRE: Final[dict[Any, Any]] = {
    int: _WIRE_INT,
    EpochMs: Annotated[int, msgspec.Meta(ge=EARLIEST_MS, lt=LATEST_MS)],
    SerialNumber: Annotated[int, msgspec.Meta(ge=0, le=INT64 - 1)] | Annotated[str, msgspec.Meta(min_length=1)],
    Number: _WIRE_NUMBER,
    tuple[Number, ...]: tuple[_WIRE_NUMBER, ...],
}


def _wire_type(
    record_type: type, *, forbid_unknown_fields: bool, learnt: Mapping[str, str] = NOTHING_LEARNT
) -> type[msgspec.Struct]:
    """The msgspec type that decodes what the record's fields say.

    :param learnt: further attributes, for any value, and the key of each in the JSON. An absent key is ``UNSET``.
    """
    fields: list[Any] = []
    for field in _wire_fields(record_type):
        bare, optional = without_none(field.type)
        wire = _WIRE.get(bare, bare)
        keyed = msgspec.field(name=wire_key(field))
        if field.default is not attrs.NOTHING:
            keyed = msgspec.field(name=wire_key(field), default=field.default)
        fields.append((field.name, wire | None if optional else wire, keyed))
    fields += [(name, Any, msgspec.field(name=key, default=msgspec.UNSET)) for name, key in learnt.items()]
    return msgspec.defstruct(
        f"Wire{record_type.__name__}",
        fields,
        namespace={"__repr__": _secret_repr},
        kw_only=True,
        forbid_unknown_fields=forbid_unknown_fields,
        gc=False,  # it is never part of a cycle, and very many are made
    )


def _secret_repr(wire: msgspec.Struct) -> str:
    """Without values, because they name persons and a crash reporter shows the variables of a frame."""
    return f"<{type(wire).__name__}>"


def _list_decoder(wire_type: type[msgspec.Struct]) -> Callable[[bytes | bytearray], list[Any]]:
    return msgspec.json.Decoder(list[wire_type]).decode  # type: ignore[valid-type]  # made at run time


def _extras_builder(names: Sequence[str], keys: Sequence[str]) -> Callable[[list[Any]], list[Mapping[str, JsonValue]]]:
    """The function that makes the unknown keys of wire records.

    :param names: the attributes that hold the values of the keys.
    """
    if not names:
        return lambda wires: [NOTHING_EXTRA] * len(wires)
    if len(names) == 1:
        (name,), (key,) = names, keys
        value_of = operator.attrgetter(name)
        unset = msgspec.UNSET
        return lambda wires: [
            NOTHING_EXTRA if value is unset else FrozenDict({key: value}) for value in map(value_of, wires)
        ]
    values_of = operator.attrgetter(*names)

    def extras(wires: list[Any]) -> list[Mapping[str, JsonValue]]:
        found: list[Mapping[str, JsonValue]] = []
        for values in map(values_of, wires):
            pairs: Iterable[tuple[str, Any]] = zip(keys, values, strict=True)
            if msgspec.UNSET in values:
                pairs = ((key, value) for key, value in pairs if value is not msgspec.UNSET)
            found.append(FrozenDict(pairs) or NOTHING_EXTRA)
        return found

    return extras


def _builder(record_type: type[RecordT], *, with_extra: bool) -> Callable[..., list[RecordT]]:
    """Generate the function that builds records of wire records and the park that was asked.

    The ``__init__`` of a frozen class sets each attribute through ``object.__setattr__``, which costs five times
    as much as decoding. So the attributes are set on a plain class of the same layout, and the object then becomes the
    record.

    :param with_extra: whether the function takes the values of the field ``extra`` as its third argument.
    """
    plain: Any = type(f"Plain{record_type.__name__}", (), {"__slots__": record_type.__slots__})  # type: ignore[attr-defined]
    on_wire = {field.name for field in _wire_fields(record_type)}
    names: dict[str, Any] = {
        "new": object.__new__,
        "plain": plain,
        "repeat": repeat,
        "record_type": record_type,
    }
    lines = []
    for field in attrs.fields(record_type):
        value = f"wire.{field.name}"
        if field.name == "extra" and with_extra:
            value = "extra"
        elif field.name == "service_location_id" and field.name not in on_wire:
            value = field.name
        elif field.name not in on_wire:
            names[f"default_{field.name}"] = field.default
            value = f"default_{field.name}"
        elif field.type == SerialNumber:
            lines.append(f"number = {value}")
            value = "number if number.__class__ is str else str(number)"
        lines.append(f"record.{field.name} = {value}")
    lines.append("record.__class__ = record_type")
    each = "record, wire, extra" if with_extra else "record, wire"
    code = (
        f"def build(wires, service_location_id{', extras' if with_extra else ''}):\n"
        "    records = list(map(new, repeat(plain, len(wires))))\n"
        f"    for {each} in zip(records, wires{', extras' if with_extra else ''}):\n        "
        + "\n        ".join(lines)
        + "\n    return records"
    )
    exec(code, names)  # noqa: S102 - nothing in it comes from outside: the names are those of the class above
    build: Callable[..., list[RecordT]] = names["build"]
    return build
