"""The one cattrs converter, which structures every record. Under it, msgspec decodes the JSON.

::

    from smappee_async import ChargingSession, converter

    sessions = converter.structure(json_bytes, list[ChargingSession])
    whole = {"id": 7, "serialNumber": 582, "from": 1772323200000, "status": "STOPPED"}
    session = converter.structure(whole, ChargingSession)

The first call is the fast way: the text of a JSON array, as bytes. The second takes an object that is decoded already.
Both read the service's keys, keep unknown keys in ``extra``, and coerce nothing. What is not such a record is a
:class:`~smappee_async.ResponseDecodeError` that names the place (``json_path``, and ``index`` in a list) and what was
expected there. Its text never contains the value, because a value may name a person. The frames of its traceback lead
to what you passed in: a crash reporter that shows local variables shows it.

**Back to data.** ``unstructure`` gives the object as the service writes it: the service's keys, absent keys stay
absent, and ``extra`` is merged back. ``service_location_id`` is not in it, because the service does not send it, and a
serial number is always a text. ``to_plain`` gives every field under its Python name, of types that JSON has, and
``from_plain`` gives the same record again::

    wire = converter.unstructure(session)
    plain = converter.to_plain(session)
    assert converter.from_plain(plain, ChargingSession) == session

**A class of your own from a session.** The fields of an attrs class are taken from the fields and properties of the
record that have the same names, and their types are checked::

    from datetime import datetime
    from decimal import Decimal

    import attrs

    @attrs.frozen
    class Charge:
        id: int
        started_at: datetime
        energy_kwh: Decimal | None

    charge = converter.structure(session, Charge)
    charges = converter.structure(sessions, list[Charge])

**A hook of your own.** Hooks are those of cattrs. Register them with a copy of the converter, so that they apply to the
calls of your own program only. A hook does not change how the records of this package are read::

    class Energy(Decimal):
        pass

    mine = converter.copy()
    mine.register_structure_hook(Energy, lambda value, _: Energy(str(value)))
    mine.register_unstructure_hook(Energy, str)

    @attrs.frozen
    class Meter:
        start_reading: Energy | None
        stop_reading: Energy | None

    meter = mine.structure(session, Meter)
    texts = mine.unstructure(meter)

What is not such a class is a ``ClassValidationError`` of cattrs. The texts of the hooks here name types only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, cast

import attrs
import cattrs
import msgspec
from cattrs.errors import ClassValidationError
from cattrs.gen import make_dict_structure_fn, override

from smappee_async.errors import ResponseDecodeError, unwrap
from smappee_async.models import ChargingSession, FrozenDict, JsonValue, ServiceLocation, ServiceLocationInfo
from smappee_async.protocol import strict
from smappee_async.protocol.wire import UNREADABLE, RecordT, WireFormat, WireRecords, text_of

#: A slice with one odd record is decoded fastest if it is divided in about the square root of its length.
_DIVISIONS: Final = 16
_RAW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


class RecordReader(Generic[RecordT]):
    """Reads one class of records from JSON."""

    def __init__(self, record_type: type[RecordT]) -> None:
        self.format: Final = WireFormat(record_type)
        #: ``None`` if one of the records needs a closer look. The method itself, because a call through another costs.
        self.decode: Final = self.format.decode_each

    def decode_one(self, raw: bytes | bytearray | msgspec.Raw) -> WireRecords[RecordT] | ResponseDecodeError:
        """Decode the JSON text of one object; the error is returned, because the frames here hold the record.

        A record that msgspec refuses is structured field by field: its numbers may be written as texts, and an error
        names its place.
        """
        records = self.decode((raw,))
        if records is not None and len(records.wires) == 1:
            return records
        try:
            whole = msgspec.json.decode(raw)
        except RecursionError:
            return ResponseDecodeError("a record cannot be read: it is nested too deeply", json_path="$")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ResponseDecodeError("a record cannot be read: it is not valid JSON", json_path="$")
        record = cast("RecordT | ResponseDecodeError", _hooks()[self.format.record_type].from_wire(whole))
        return record if isinstance(record, ResponseDecodeError) else self.format.of(record, whole)

    def decode_parts(
        self, raws: Sequence[bytes | bytearray | msgspec.Raw], first: int = 0
    ) -> Iterator[WireRecords[RecordT] | ResponseDecodeError]:
        """Decode the JSON texts of as many objects, in their order, in parts between the records that cannot be read.

        The texts are divided until the odd records are alone, so that one of them does not slow down all others.

        :param first: the index of the first object in its response; an error names the index.
        """
        records: WireRecords[RecordT] | ResponseDecodeError | None
        records = self.decode_one(raws[0]) if len(raws) == 1 else self.decode(raws)
        if records is None:
            size = -(-len(raws) // _DIVISIONS)
            for begin in range(0, len(raws), size):
                yield from self.decode_parts(raws[begin : begin + size], first + begin)
            return
        if isinstance(records, ResponseDecodeError):
            records.index = first
        yield records

    def decode_several(
        self, raws: Sequence[bytes | bytearray | msgspec.Raw]
    ) -> WireRecords[RecordT] | ResponseDecodeError:
        """Decode the JSON texts of as many objects; the error is that of the first record that cannot be read."""
        decoded = []
        for part in self.decode_parts(raws):
            if isinstance(part, ResponseDecodeError):
                return part
            decoded.append(part)
        return WireRecords.joined(self.format, decoded)

    def decode_array(self, text: bytes | bytearray) -> WireRecords[RecordT] | ResponseDecodeError:
        """Decode the JSON text of an array of objects; the error names the index of the record."""
        try:
            text = text_of(text)
            records = self.format.decode(text)
            return self.decode_several(_RAW_LIST.decode(text)) if records is None else records
        except UNREADABLE:
            return ResponseDecodeError("the text is not one valid JSON array", json_path="$")

    def read(self, raw: bytes | bytearray | msgspec.Raw, service_location_id: int | None = None) -> RecordT:
        """One record from the JSON text of one object.

        :param service_location_id: the park that was asked, for records with such a field.
        :raises ResponseDecodeError: it is not such a record; says where and what was expected, without the value.
        """
        return unwrap(self.decode_one(raw)).build(service_location_id)[0]


SESSION_READER: Final = RecordReader(ChargingSession)
SERVICE_LOCATION_READER: Final = RecordReader(ServiceLocation)
SERVICE_LOCATION_INFO_READER: Final = RecordReader(ServiceLocationInfo)
_READERS: Final[tuple[RecordReader[Any], ...]] = (SESSION_READER, SERVICE_LOCATION_READER, SERVICE_LOCATION_INFO_READER)


class RecordConverter(cattrs.Converter):
    """A cattrs converter for the records of this package; the documentation of its module says how to use it."""

    def to_plain(self, record: ChargingSession | ServiceLocation | ServiceLocationInfo) -> dict[str, JsonValue]:
        """Every field of a record under its Python name, of plain types: text, number, bool, list, dict and ``None``.

        The result may hold an RFID.
        """
        return _plain({field.name: getattr(record, field.name) for field in attrs.fields(type(record))})

    def from_plain(self, plain: Mapping[str, JsonValue], record_type: type[RecordT]) -> RecordT:
        """The record of which :meth:`to_plain` made a dictionary; a field that has a default may be missing.

        :raises ResponseDecodeError: it is not such a record, or has a key that is no field; the text has no values.
        """
        record: RecordT | ResponseDecodeError = _hooks()[record_type].from_plain(plain)
        return unwrap(record)


class _RecordHooks(Generic[RecordT]):
    """What cattrs does for one class of records.

    The functions for the fields are generated once, of the hooks that the converter has then: a hook that is registered
    later does not change how records are read.
    """

    def __init__(self, reader: RecordReader[RecordT], converter: cattrs.Converter) -> None:
        self._reader = reader
        self._type = reader.format.record_type
        self._keys = reader.format.keys
        on_wire: dict[str, Any] = {
            field.name: self._override(field, converter) if field.name in self._keys else override(omit=True)
            for field in attrs.fields(self._type)
        }
        self._by_key: Any = make_dict_structure_fn(self._type, converter, _cattrs_detailed_validation=True, **on_wire)
        by_name: dict[str, Any] = {"extra": override(struct_hook=_structure_extra)}
        self._by_name: Any = make_dict_structure_fn(
            self._type, converter, _cattrs_detailed_validation=True, _cattrs_forbid_extra_keys=True, **by_name
        )

    def _override(self, field: attrs.Attribute[Any], converter: cattrs.Converter) -> Any:
        key = self._keys[field.name]
        if "none" not in field.metadata:
            return override(rename=key)
        hook = converter.get_structure_hook(field.type)
        return override(rename=key, struct_hook=strict.none_for(field.metadata["none"], hook))

    def register(self, converter: cattrs.Converter) -> None:
        """Make them the hooks of a converter."""
        of_list: Any = list[self._type]  # type: ignore[name-defined]  # made at run time
        converter.register_structure_hook(self._type, self._structure)
        converter.register_structure_hook_func(lambda annotation: bool(annotation == of_list), self._structure_list)
        converter.register_unstructure_hook(self._type, self._unstructure)

    def from_wire(self, whole: object) -> RecordT | ResponseDecodeError:
        """The record of an object with the service's keys."""
        record = self._try(self._by_key, whole, self._keys)
        if not isinstance(record, ResponseDecodeError) and (extra := self._reader.format.unknown(whole)):  # type: ignore[arg-type]
            evolve: Any = attrs.evolve  # its types do not follow a type variable
            record = evolve(record, extra=extra)
        return record

    def from_plain(self, plain: object) -> RecordT | ResponseDecodeError:
        """The record of a dictionary with the names of the fields."""
        return self._try(self._by_name, plain, {})

    def _try(self, structure: Any, value: object, keys: Mapping[str, str]) -> RecordT | ResponseDecodeError:
        try:
            if not isinstance(value, Mapping):
                raise strict.Mismatch("expected an object")
            record: RecordT = structure(value, self._type)
        except (ClassValidationError, strict.Mismatch) as error:
            return strict.decode_error(error, keys)
        return record

    def _structure(self, value: object, _: object) -> RecordT:
        return unwrap(self._one(value))

    def _structure_list(self, value: object, _: object) -> list[RecordT]:
        return unwrap(self._several(value))

    def _one(self, value: object) -> RecordT | ResponseDecodeError:
        if isinstance(value, self._type):
            return value
        if isinstance(value, bytes | bytearray | msgspec.Raw):
            records = self._reader.decode_one(value)
            return records if isinstance(records, ResponseDecodeError) else records.build()[0]
        return self.from_wire(value)

    def _several(self, value: object) -> list[RecordT] | ResponseDecodeError:
        if isinstance(value, bytes | bytearray | msgspec.Raw):
            records = self._reader.decode_array(bytes(value))
            return records if isinstance(records, ResponseDecodeError) else records.build()
        if not isinstance(value, list | tuple):
            return ResponseDecodeError("records cannot be read: expected a list, or JSON as bytes", json_path="$")
        found: list[RecordT] = []
        for index, item in enumerate(value):
            record = self._one(item)
            if isinstance(record, ResponseDecodeError):
                record.index = index
                return record
            found.append(record)
        return found

    def _unstructure(self, record: RecordT) -> dict[str, JsonValue]:
        fields = {key: value for name, key in self._keys.items() if (value := getattr(record, name)) is not None}
        extra: Mapping[str, JsonValue] = getattr(record, "extra")  # noqa: B009 - every record has it
        return _plain(fields | dict(self._reader.format.unknown(extra)))


def _plain(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """Values of types that JSON has; lists and dictionaries are copied, so that the record cannot be changed."""
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return cast("dict[str, JsonValue]", msgspec.to_builtins(listed))


def _structure_extra(value: Any, _: Any) -> FrozenDict:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise strict.Mismatch("expected an object")
    return FrozenDict(value)


def _own_class_hook(own_class: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """For an attrs class of a user: from an object by keys, or from a record by the names of attributes."""
    by_name: Any = converter.gen_structure_attrs_fromdict(own_class)
    names = [field.name for field in attrs.fields(own_class)]

    def structure(value: Any, _: Any) -> Any:
        if type(value) in _hooks():
            value = {name: getattr(value, name) for name in names if hasattr(value, name)}
        if not isinstance(value, Mapping):
            raise strict.Mismatch("expected an object or a record")
        return by_name(value, own_class)

    return structure


@functools.cache
def _the_converter() -> RecordConverter:
    """Made when it is first needed, because most programs never need it and pay for their imports.

    They use no converter of their own, and read no record that needs a closer look.
    """
    made = RecordConverter(detailed_validation=True)
    strict.register(made)
    made.register_structure_hook_factory(attrs.has, _own_class_hook)
    return made


@functools.cache
def _hooks() -> dict[type, _RecordHooks[Any]]:
    hooks: dict[type, _RecordHooks[Any]] = {
        reader.format.record_type: _RecordHooks(reader, _the_converter()) for reader in _READERS
    }
    for each in hooks.values():
        each.register(_the_converter())
    return hooks


if TYPE_CHECKING:
    converter: RecordConverter
else:

    def __getattr__(name: str) -> object:
        if name != "converter":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _hooks()
        return _the_converter()
