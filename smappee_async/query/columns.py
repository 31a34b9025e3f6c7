"""From chunks to record batches: large responses straight into columns, in a thread, all others as records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, cast

import anyio.to_thread
import msgspec
import pyarrow as pa

from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.errors import SmappeeError
from smappee_async.models import NOTHING_EXTRA, ChargingSession, JsonValue, SessionState, SessionStatus
from smappee_async.protocol.responses import ColumnRecords, Response, SessionRecords, SplitRecords
from smappee_async.protocol.wire import WireRecords
from smappee_async.query.account import StreamAccount
from smappee_async.query.column_responses import SESSIONS_AT_ONCE, ColumnPart, ColumnResponses
from smappee_async.query.kept import KeptSessions, pack_columns
from smappee_async.query.plan import Chunk
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.select import Selection, decode_slice, remember
from smappee_async.query.session_query import OnInvalid
from smappee_async.secret import Opaque
from smappee_async.tables.batches import schema_batch
from smappee_async.tables.records import columns_of_records
from smappee_async.tables.select import ColumnKeys, ids_of, repeats_any
from smappee_async.transport.call import in_turns

#: Sessions that are read as records are put together to batches of so many.
_BATCH_SESSIONS: Final = 5_000
#: The cost of a response besides its sessions, expressed in sessions.
_SMALL_RESPONSE: Final = 50


class ColumnReader:
    """Makes the record batches of one stream.

    A batch may hold the sessions of many small chunks. Sessions count as handed over, and their chunks as read, when
    the batch with the last of them is.

    :param handed_over: called with each chunk of which the consumer has all sessions.
    :param selection_of: makes what decides which records of a chunk are kept.
    """

    def __init__(
        self,
        state: SessionState,
        on_invalid: OnInvalid,
        account: StreamAccount,
        kept: KeptSessions,
        *,
        selection_of: Callable[[Chunk, KeptSessions], Selection],
        handed_over: Callable[[FetchedChunk], None],
    ) -> None:
        self._on_invalid: OnInvalid = on_invalid
        self._account = account
        self._kept = kept
        self._selection_of = selection_of
        self._handed_over = handed_over
        self._responses = ColumnResponses(state)
        self._rows = _Rows()
        self._done: list[FetchedChunk] = []
        self._since_turn = 0

    def read(self, response: Response, chunk: Chunk) -> Coroutine[None, None, ColumnRecords | None]:
        """See :meth:`ColumnResponses.read`."""
        return self._responses.read(response, chunk)

    def by_arrival(self, chunks: AsyncIterable[FetchedChunk]) -> AsyncGenerator[pa.RecordBatch, None]:
        """The sessions of chunks, in the order of the chunks."""
        return self._with_the_rest(self._of_chunks(chunks))

    def by_start(
        self, sessions: AsyncIterable[ChargingSession], done: list[FetchedChunk]
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Sessions that come by start, as record batches.

        :param done: the chunks all of whose sessions came.
        """
        self._done = done
        return self._with_the_rest(self._of_sessions(sessions))

    async def _with_the_rest(
        self, batches: AsyncGenerator[pa.RecordBatch, None]
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Batches, and then the rows that were too few for one; before an error too."""
        try:
            async with aclosing(batches):
                async for batch in batches:
                    yield batch
        except SmappeeError:
            if self._rows:
                yield self._counted(await self._rows.take())
            raise
        if self._rows:
            yield self._counted(await self._rows.take())
        self._hand_over()

    async def _of_chunks(self, chunks: AsyncIterable[FetchedChunk]) -> AsyncGenerator[pa.RecordBatch, None]:
        async for fetched in chunks:
            selecting = _Selecting(self._selection_of(fetched.chunk, self._kept))
            parts = [part for response in reversed(fetched.responses) for part in _parts(response)]
            for number, part in enumerate(parts, 1):
                batch = await self._straight(part, fetched.chunk, selecting)
                if batch is None:
                    await self._as_records(part, fetched.chunk, selecting)
                elif self._rows:
                    yield self._counted(await self._rows.take())
                if number == len(parts):
                    self._finish(fetched, selecting)
                if batch is not None and batch.num_rows:
                    yield self._counted(batch)
                elif len(self._rows) >= _BATCH_SESSIONS:
                    yield self._counted(await self._rows.take())
            if not parts:
                self._finish(fetched, selecting)
            if not self._rows:
                self._hand_over()  # chunks without sessions

    async def _of_sessions(self, sessions: AsyncIterable[ChargingSession]) -> AsyncGenerator[pa.RecordBatch, None]:
        async for session in sessions:
            self._rows.add((session,), session.service_location_id, (session.extra,))
            if len(self._rows) >= _BATCH_SESSIONS:
                yield self._counted(await self._rows.take())

    # --- a slice ------------------------------------------------------------------------------------------------------

    async def _straight(self, part: _Part, chunk: Chunk, selecting: _Selecting) -> pa.RecordBatch | None:
        """The sessions of a part without making records of them; ``None`` if it must be read as records."""
        remembered = cast(list[ColumnKeys], [*selecting.columns, *self._kept.columns_of(chunk.target)])
        read = part.read
        if read is None:
            texts = part.records if isinstance(part.records, list) else []
            read = await self._responses.read_texts(texts, chunk, remembered, is_whole=part.is_whole)
        elif remembered:
            is_repeated: bool = await anyio.to_thread.run_sync(repeats_any, read.keys, remembered)
            if is_repeated:
                return None
        if read is None or (selecting.selection.has_kept and selecting.selection.has_any(read.keys.ids.to_pylist())):
            return None
        rows = read.batch.num_rows
        self._account.received += read.received
        self._account.filtered += read.received - rows
        self._account.kept += rows
        self._account.columnar += rows
        for status, sessions in read.unknown_statuses.items():
            selecting.selection.count_unknown(SessionStatus(status), sessions)
        selecting.columns.append(read.keys)
        return read.batch

    async def _as_records(self, part: _Part, chunk: Chunk, selecting: _Selecting) -> None:
        """Read a part as records, and add its sessions to the rows that wait."""
        whole = await part.texts()
        for begin in range(0, len(whole), SLICE_SESSIONS):
            each = whole if isinstance(whole, WireRecords) else whole[begin : begin + SLICE_SESSIONS]
            received = len(each)
            records = decode_slice(each, part.first + begin, chunk, self._account, self._on_invalid)
            self._account.received += received
            if records.extras is not None and len(whole) > SLICE_SESSIONS:
                self._responses.learn(records.extras)
            self._pack_if_repeated(records, chunk, selecting)
            if left_out := selecting.selection.left_out(records.wires):
                records.leave_out(left_out)
            self._rows.add(records.wires, chunk.target.service_location_id, records.extras)
            await self._give_turn(received)

    def _pack_if_repeated(self, records: WireRecords[ChargingSession], chunk: Chunk, selecting: _Selecting) -> None:
        """Where an id comes again of which columns are remembered, these are packed, and the selection decides."""
        remembered = [*selecting.columns, *cast(list[ColumnKeys], self._kept.columns_of(chunk.target))]
        if not remembered or not len(records):
            return
        ids = ids_of(records.wires)
        if not any(keys.has_any(ids) for keys in remembered):
            return
        self._kept.pack_columns(chunk.target, selecting.selection.earlier)
        for keys in selecting.columns:
            selecting.selection.keep_packed(pack_columns(keys))
        selecting.columns.clear()

    async def _give_turn(self, sessions: int) -> None:
        """Let the event loop run other tasks now and then, but not after each of many small responses."""
        self._since_turn += sessions + _SMALL_RESPONSE
        if self._since_turn >= SLICE_SESSIONS:
            self._since_turn = 0
            await asyncio.sleep(0)

    # --- a chunk ------------------------------------------------------------------------------------------------------

    def _finish(self, fetched: FetchedChunk, selecting: _Selecting) -> None:
        """All records of a chunk were read."""
        chunk, kept = fetched.chunk, self._kept
        remember(chunk, selecting.selection, self._account, kept, has_more=fetched.has_more)
        if fetched.has_more:
            for keys in selecting.columns:
                self._account.forgotten += kept.add_columns(chunk.target, chunk.time_range, keys.compact())
        self._responses.forget(chunk)
        self._done.append(fetched)

    def _counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch that is handed over now, with all rows that came before it."""
        self._account.sessions += batch.num_rows
        self._hand_over()
        return batch

    def _hand_over(self) -> None:
        for fetched in self._done:
            self._handed_over(fetched)
        self._done.clear()


class _Selecting(Opaque, msgspec.Struct, eq=False):
    """Which sessions of one chunk were kept: as records in the selection, or as columns."""

    selection: Selection
    columns: list[ColumnKeys] = msgspec.field(default_factory=list)


class _Part(Opaque, msgspec.Struct, frozen=True, eq=False):
    """Some records of a response, one after another.

    :param records: they themselves, or the response whose columns are here.
    :param first: the index of the first one in the response.
    :param is_whole: whether they are the whole response.
    """

    records: SessionRecords
    first: int = 0
    is_whole: bool = True
    read: ColumnPart | None = None

    async def texts(self) -> SplitRecords:
        """Them to be read as records."""
        if not isinstance(self.records, ColumnRecords):
            return self.records
        assert self.read is not None
        texts = await in_turns(self.records.split())
        return texts[self.first : self.first + self.read.received]


class _Rows:
    """Sessions that were read as records, until there are enough for a batch."""

    def __init__(self) -> None:
        self._records: list[object] = []
        self._parks: list[int | None] = []
        self._extras: list[Mapping[str, JsonValue]] = []
        self._columns: list[pa.RecordBatch] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(
        self, records: Sequence[object], park: int | None, extras: Sequence[Mapping[str, JsonValue]] | None
    ) -> None:
        """Add records that have the attributes of a session."""
        self._records += records
        self._parks += [park] * len(records)
        self._extras += [NOTHING_EXTRA] * len(records) if extras is None else extras
        self._length += len(records)
        if len(self._records) >= SLICE_SESSIONS:
            self._to_columns()

    async def take(self) -> pa.RecordBatch:
        """All of them as a batch."""
        self._to_columns()
        columns = self._columns
        self._columns, self._length = [], 0
        return await anyio.to_thread.run_sync(lambda: schema_batch(pa.concat_batches(columns)))

    def _to_columns(self) -> None:
        if self._records:
            self._columns.append(columns_of_records(self._records, self._parks, self._extras))
            self._records, self._parks, self._extras = [], [], []


def _parts(response: SessionRecords) -> Iterator[_Part]:
    """A response in parts of which each makes a batch."""
    if isinstance(response, ColumnRecords):
        first = 0
        for read in cast(Sequence[ColumnPart], response.columns):
            yield _Part(response, first, read=read)
            first += read.received
    elif isinstance(response, WireRecords):
        if len(response):
            yield _Part(response)
    else:
        for first in range(0, len(response), SESSIONS_AT_ONCE):
            is_whole = len(response) <= SESSIONS_AT_ONCE
            yield _Part(response[first : first + SESSIONS_AT_ONCE], first, is_whole)
