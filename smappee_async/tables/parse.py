"""JSON texts straight into columns, outside of the interpreter's lock, so that an event loop goes on meanwhile.

``pyarrow.json`` is given the exact schema and refuses everything else. What it accepts and a record does not is refused
here. So what is read means the same as records, and whatever is refused is read as records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.json as pj

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.models import JsonValue
from smappee_async.secret import Opaque
from smappee_async.tables.columns import COLUMNS
from smappee_async.tables.extra import JSON_TYPES, PLAIN_KEY, extra_texts
from smappee_async.tables.records import constant
from smappee_async.tables.schema import FIELDS, pc

#: So many unknown keys are read in this way. A service that sends more has no fields that are worth it.
_MOST_KEYS: Final = 32
_REQUIRED: Final = [column.field for column in COLUMNS if column.is_required and column.field is not None]
_FLOATS: Final = [name for name, kind in FIELDS.items() if kind == pa.float64()]


class Layout(msgspec.Struct, frozen=True, eq=False):
    """What the records of one text look like.

    :param schema: the keys of the record, and the unknown keys that were met.
    """

    schema: pa.Schema
    extra: Mapping[str, pa.DataType]


class Parsed(Opaque, msgspec.Struct, frozen=True, eq=False):
    """The records of several texts, one text after another.

    :param lengths: how many records each text has.
    """

    fields: pa.RecordBatch
    lengths: Sequence[int]


class ColumnParser:
    """Reads session records into columns.

    :param keys: from the name of each field that is on the wire to its key in the JSON.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._known = frozenset(keys.values())
        self._extra: dict[str, pa.DataType | None] = {}
        #: By whether serial numbers are numbers; for what is learnt now.
        self._layouts: dict[bool, Layout] = {}

    def learn(self, extras: Iterable[Mapping[str, JsonValue]]) -> None:
        """Learn the unknown keys of records, so that the next ones with them are read into columns."""
        for extra in extras:
            for key, value in extra.items():
                if value is None or (key not in self._extra and len(self._extra) >= _MOST_KEYS):
                    continue
                kind = JSON_TYPES.get(type(value)) if PLAIN_KEY.fullmatch(key) else None
                # A key whose values are of several types, or objects, has no column.
                learnt = kind if self._extra.get(key, kind) == kind else None
                if key not in self._extra or self._extra[key] != learnt:
                    self._extra[key] = learnt
                    self._layouts.clear()

    def layout_of(self, record: bytes | bytearray | msgspec.Raw) -> Layout | None:
        """The layout of records that are like this one; ``None`` if such records have no columns.

        The unknown keys of the record are learnt.
        """
        try:
            whole = msgspec.json.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not isinstance(whole, dict):
            return None
        self.learn([{key: value for key, value in whole.items() if key not in self._known}])
        if any(key in self._extra and self._extra[key] is None for key in whole):
            return None
        is_number = type(whole.get(self._keys["serial_number"])) is int
        return self._layouts.get(is_number) or self._new_layout(is_number)

    def _new_layout(self, is_number: bool) -> Layout:
        extra = {key: kind for key, kind in self._extra.items() if kind is not None}
        kinds = {
            key: pa.int64() if name == "serial_number" and is_number else FIELDS[name]
            for name, key in self._keys.items()
        }
        layout = self._layouts[is_number] = Layout(pa.schema(list((kinds | extra).items())), extra)
        return layout

    def parse(self, text: bytes, count: int, layout: Layout, service_location_id: int | None) -> pa.RecordBatch | None:
        """The fields of the records of a text; ``None`` if it must be read as records.

        It may run in any thread.

        :param text: JSON objects, one after another, in UTF-8.
        :param count: how many there are.
        """
        if not text.startswith(b"{"):
            return None  # pyarrow 26 ends the process at a lone null
        read = _read_json(text, layout.schema)
        if read is None or len(read) != count:
            return None
        return self._checked(read, text, layout, constant(service_location_id, pa.int64(), count))

    def parse_arrays(
        self, arrays: Sequence[Sequence[bytes | bytearray | memoryview]], layout: Layout, parks: Sequence[int | None]
    ) -> Parsed | None:
        """The fields of the records of JSON arrays.

        ``None`` if one of them is no array, is empty, or must be read as records. It may run in any thread.

        :param arrays: of each what is to be joined to its text.
        :param parks: the service location id of each.
        """
        # As a column with a row for each, because pyarrow reads objects only. What would end an object earlier is
        # refused: one more row, a second array, another key. An object cannot go on in the next one: between them JSON
        # has no comma.
        text = b"".join(piece for array in arrays for piece in (b'{"all":', *array, b"}\n"))
        schema = pa.schema([("all", pa.list_(pa.struct(list(layout.schema))))])
        read = _read_json(text, schema)
        if read is None or len(read) != len(arrays):
            return None
        lists = read.column("all")
        records = lists.flatten()
        lengths: list[int] = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
        if records.null_count or not all(lengths):
            return None
        whole = pa.RecordBatch.from_struct_array(records)
        if not text.isascii() and not _is_utf_8(whole):
            return None
        located = pa.concat_arrays([constant(park, pa.int64(), n) for park, n in zip(parks, lengths, strict=True)])
        fields = self._checked(whole, text, layout, located)
        return None if fields is None else Parsed(fields, lengths)

    def _checked(
        self, read: pa.RecordBatch, text: bytes, layout: Layout, service_location_ids: pa.Array
    ) -> pa.RecordBatch | None:
        fields = {name: read.column(key) for name, key in self._keys.items()}
        if not _has_required(fields) or not _is_finite(fields):
            return None
        to_ms = fields["to_ms"]
        # Documented: 0 means that the session has not ended.
        fields["to_ms"] = pc.if_else(pc.equal(to_ms, 0), None, to_ms)
        if not _is_in_time(fields["from_ms"]) or not _is_in_time(fields["to_ms"]):
            return None
        extra = extra_texts({key: read.column(key) for key in layout.extra}, len(read), text)
        if extra is None:
            return None
        fields |= {"extra": extra, "service_location_id": service_location_ids}
        return pa.RecordBatch.from_arrays([fields[name] for name in FIELDS], names=list(FIELDS))


def _read_json(text: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
    try:
        table = pj.read_json(
            pa.BufferReader(text),
            # In one block, so that the columns need not be put together.
            read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
            # The default pool keeps much more memory than is in use.
            memory_pool=pa.system_memory_pool(),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    batches = table.to_batches()
    return batches[0] if len(batches) == 1 else None


def _is_utf_8(read: pa.RecordBatch) -> bool:
    """Whether all texts are valid, which pyarrow does not ask of what it reads. Nothing else can be beyond ASCII."""
    try:
        read.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _has_required(fields: dict[str, pa.Array]) -> bool:
    """Whether every record has what is required; a serial number that is a number becomes a text."""
    if any(fields[name].null_count for name in _REQUIRED):
        return False
    serial = fields["serial_number"]
    if serial.type == pa.int64():
        fields["serial_number"] = pc.cast(serial, pa.string())
        return not pc.any(pc.less(serial, 0)).as_py()
    return not pc.any(pc.equal(serial, "")).as_py()


def _is_finite(fields: Mapping[str, pa.Array]) -> bool:
    """Whether no number is NaN or infinite, which pyarrow accepts, and no current is missing."""
    currents = fields["max_amperes"].flatten()
    columns = [*(fields[name] for name in _FLOATS), currents]
    return currents.null_count == 0 and all(pc.all(pc.is_finite(each)).as_py() is not False for each in columns)


def _is_in_time(instants: pa.Array) -> bool:
    ends = pc.min_max(instants).as_py()
    return ends["min"] is None or (ends["min"] >= EARLIEST_MS and ends["max"] < LATEST_MS)
