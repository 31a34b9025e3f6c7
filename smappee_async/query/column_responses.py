"""Reads responses into columns, in a thread, nearly all of it without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import anyio
import anyio.to_thread
import msgspec
import pyarrow as pa

from smappee_async.models import JsonValue, SessionState
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import ColumnRecords, Response, array_parts, first_record
from smappee_async.query.plan import Chunk
from smappee_async.query.select import OTHER_STATE
from smappee_async.secret import Opaque
from smappee_async.tables.batches import schema_batch
from smappee_async.tables.parse import ColumnParser, Layout
from smappee_async.tables.select import ColumnKeys, select_rows

#: To parse in a thread costs 0.7 ms, as much as to read so many records ...
_FROM_SESSIONS: Final = 500
#: ... which a response of so many bytes has.
_FROM_BYTES: Final = 128 * 1024
#: So many records are parsed at once: joining their texts holds the event loop for half a millisecond.
SESSIONS_AT_ONCE: Final = 5_000
#: About as many in a response.
_BYTES_AT_ONCE: Final = 1536 * 1024
#: So many responses of a stream are parsed at once. More would take turns with the event loop on two processors.
_RESPONSES_AT_ONCE: Final = 1


class ColumnPart(Opaque, msgspec.Struct, frozen=True, eq=False):
    """What some records brought, one after another in a response.

    :param batch: the sessions that belong to the chunk.
    :param statuses: how many of them have each status.
    :param received: how many records there were.
    :param first_ms: the start of the first one, in milliseconds since 1970, and
    :param last_ms: that of the last one.
    """

    batch: pa.RecordBatch
    keys: ColumnKeys
    statuses: Mapping[str, int]
    received: int
    first_ms: int
    last_ms: int


class ColumnResponses:
    """Reads the responses of one stream."""

    def __init__(self, state: SessionState) -> None:
        self._others = [statuses or frozenset() for statuses in OTHER_STATE[state]]
        self._parser = ColumnParser(SESSION_READER.format.keys)
        self._limiter = anyio.CapacityLimiter(_RESPONSES_AT_ONCE)
        self._refused: set[Chunk] = set()

    async def read(self, response: Response, chunk: Chunk) -> ColumnRecords | None:
        """A response without splitting it into records; ``None`` if it must be."""
        if len(response.body) < _FROM_BYTES or response.status != HTTPStatus.OK:
            return None
        layout = self._layout_of(response.body)
        if layout is None:
            return None
        parts = await anyio.to_thread.run_sync(self._parse, response.body, layout, chunk, limiter=self._limiter)
        if parts is None:
            self._refused.add(chunk)
            return None
        received = sum(part.received for part in parts)
        return ColumnRecords(response, parts, received, parts[0].first_ms, parts[-1].last_ms)

    def _layout_of(self, body: bytes | bytearray) -> Layout | None:
        # In a frame of its own, because those that wait for a thread must not hold the text of a record.
        first = first_record(body)
        return None if first is None else self._parser.layout_of(first)

    async def read_texts(
        self, texts: Sequence[msgspec.Raw], chunk: Chunk, remembered: Sequence[ColumnKeys], *, is_whole: bool
    ) -> ColumnPart | None:
        """Records that are texts already; ``None`` if they must be read as records.

        :param remembered: the sessions that must not come again.
        :param is_whole: whether they are all records of a response.
        """
        if len(texts) < _FROM_SESSIONS or (is_whole and chunk in self._refused):
            return None
        layout = self._parser.layout_of(texts[0])
        if layout is None:
            return None
        return await anyio.to_thread.run_sync(
            self._parse_texts, b"\n".join(texts), len(texts), layout, chunk, remembered
        )

    def learn(self, extras: Iterable[Mapping[str, JsonValue]]) -> None:
        """Learn the unknown keys of records, so that the next ones with them are read into columns."""
        self._parser.learn(extras)

    def forget(self, chunk: Chunk) -> None:
        """A chunk was read."""
        self._refused.discard(chunk)

    # --- in a thread --------------------------------------------------------------------------------------------------

    def _parse(self, body: bytes | bytearray, layout: Layout, chunk: Chunk) -> list[ColumnPart] | None:
        parts: list[ColumnPart] = []
        for array in array_parts(body, _BYTES_AT_ONCE):
            fields = self._parser.parse_array(array, layout, chunk.target.service_location_id)
            if fields is None or (part := self._selected(fields, chunk, ())) is None:
                return None
            parts.append(part)
        return parts

    def _parse_texts(
        self, text: bytes, count: int, layout: Layout, chunk: Chunk, remembered: Sequence[ColumnKeys]
    ) -> ColumnPart | None:
        fields = self._parser.parse(text, count, layout, chunk.target.service_location_id)
        return None if fields is None else self._selected(fields, chunk, remembered)

    def _selected(self, fields: pa.RecordBatch, chunk: Chunk, remembered: Sequence[ColumnKeys]) -> ColumnPart | None:
        selected = select_rows(fields, chunk.time_range, self._others, remembered)
        if selected is None:
            return None
        starts = fields.column("from_ms")
        return ColumnPart(
            schema_batch(selected.fields),
            ColumnKeys.of(selected.fields),
            selected.statuses,
            len(fields),
            starts[0].as_py(),
            starts[-1].as_py(),
        )
