"""Reads responses into columns, in a thread, nearly all of it without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import accumulate
from typing import Final

import anyio.to_thread
import msgspec
import pyarrow as pa

from smappee_async import defaults
from smappee_async.models import JsonValue, SessionState
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import ColumnRecords, Response, array_parts, first_record
from smappee_async.query.plan import Chunk
from smappee_async.query.select import OTHER_STATE
from smappee_async.query.thread_groups import ThreadGroups
from smappee_async.secret import Opaque
from smappee_async.tables.batches import schema_batch
from smappee_async.tables.parse import ColumnParser, Layout
from smappee_async.tables.select import ColumnKeys, select_rows

#: To parse texts in a thread costs 0.7 ms, as much as to read so many records.
_FROM_SESSIONS: Final = 500
#: So many records are parsed at once: joining their texts holds the event loop for half a millisecond.
SESSIONS_AT_ONCE: Final = 5_000
#: About as many have so many bytes.
_BYTES_AT_ONCE: Final = 1536 * 1024


class ColumnPart(Opaque, msgspec.Struct, frozen=True, eq=False):
    """What some records brought, one after another in a response.

    :param batch: the sessions that belong to the chunk.
    :param unknown_statuses: how many of them have each status that the documentation does not name.
    :param received: how many records there were.
    :param first_ms: the start of the first one, in milliseconds since 1970, and
    :param last_ms: that of the last one.
    """

    batch: pa.RecordBatch
    keys: ColumnKeys
    unknown_statuses: Mapping[str, int]
    received: int
    first_ms: int
    last_ms: int


class _Body(Opaque, msgspec.Struct, frozen=True, eq=False):
    """A body that is to be parsed."""

    body: bytes | bytearray
    layout: Layout
    chunk: Chunk


class ColumnResponses:
    """Reads the responses of one stream."""

    def __init__(self, state: SessionState) -> None:
        self._others = [statuses or frozenset() for statuses in OTHER_STATE[state]]
        self._parser = ColumnParser(SESSION_READER.format.keys)
        # One call at a time: more would take turns with the event loop on two processors.
        self._bodies: ThreadGroups[_Body, list[ColumnPart] | None] = ThreadGroups(
            self._parse,
            size_of=lambda each: len(each.body),
            most=_BYTES_AT_ONCE,
            may_share=lambda one, other: one.layout is other.layout,
        )
        self._refused: set[Chunk] = set()

    async def read(self, response: Response, chunk: Chunk) -> ColumnRecords | None:
        """A response without splitting it into records; ``None`` if it must be."""
        if len(response.body) < defaults.COLUMNS_FROM_BYTES or response.status != HTTPStatus.OK:
            return None
        layout = self._layout_of(response.body)
        if layout is None:
            return None
        parts = await self._bodies.result_of(_Body(response.body, layout, chunk))
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

    def _parse(self, bodies: Sequence[_Body]) -> list[list[ColumnPart] | None]:
        if len(bodies) > 1 and (parts := self._parsed([[each.body] for each in bodies], bodies)) is not None:
            return [[part] for part in parts]
        return [self._parse_one(each) for each in bodies]  # one of several that is refused leaves the others

    def _parse_one(self, body: _Body) -> list[ColumnPart] | None:
        found: list[ColumnPart] = []
        for array in array_parts(body.body, _BYTES_AT_ONCE):
            parts = self._parsed([array], [body])
            if parts is None:
                return None
            found += parts
        return found

    def _parsed(
        self, arrays: Sequence[Sequence[bytes | bytearray | memoryview]], bodies: Sequence[_Body]
    ) -> list[ColumnPart] | None:
        """An array of each body."""
        chunks = [each.chunk for each in bodies]
        parks = [each.target.service_location_id for each in chunks]
        parsed = self._parser.parse_arrays(arrays, bodies[0].layout, parks)
        return None if parsed is None else self._selected(parsed.fields, parsed.lengths, chunks)

    def _parse_texts(
        self, text: bytes, count: int, layout: Layout, chunk: Chunk, remembered: Sequence[ColumnKeys]
    ) -> ColumnPart | None:
        fields = self._parser.parse(text, count, layout, chunk.target.service_location_id)
        parts = None if fields is None else self._selected(fields, [count], [chunk], remembered)
        return None if parts is None else parts[0]

    def _selected(
        self,
        fields: pa.RecordBatch,
        lengths: Sequence[int],
        chunks: Sequence[Chunk],
        remembered: Sequence[ColumnKeys] = (),
    ) -> list[ColumnPart] | None:
        ranges = [chunk.time_range for chunk in chunks]
        selected = select_rows(fields, lengths, ranges, self._others, remembered)
        if selected is None:
            return None
        batch, starts = schema_batch(selected.fields), fields.column("from_ms")
        return [
            ColumnPart(
                batch.slice(first_kept, kept),
                ColumnKeys.of(selected.fields.slice(first_kept, kept)),
                statuses,
                received,
                starts[first].as_py(),
                starts[first + received - 1].as_py(),
            )
            for first, received, first_kept, kept, statuses in zip(
                accumulate(lengths, initial=0),
                lengths,
                accumulate(selected.lengths, initial=0),
                selected.lengths,
                selected.unknown_statuses,
                strict=False,
            )
        ]
