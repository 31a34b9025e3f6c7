"""The stream that a query gives: sessions, or whole batches, with an account and a checkpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from smappee_async.models import ChargingSession, ChunkFailure, InvalidRecord, SessionBatch, StreamStats
from smappee_async.query.checkpoint import Checkpoint
from smappee_async.query.reading import Service, StreamReader
from smappee_async.query.session_query import SessionQuery

if TYPE_CHECKING:
    import pyarrow as pa


class SessionStream:
    """Charging sessions, read as they are consumed. Made by :meth:`SmappeeClient.sessions`.

    ::

        async for session in stream: ...

        async with stream:                      # leaves nothing behind, however the block ends
            async for batch in stream.batches(): ...

    A stream is read once, by one task, in one of these ways: by session, by batch, or by record batch. It ends normally
    only if every chunk was read whole, or is listed in :attr:`failures`.
    """

    def __init__(self, query: SessionQuery, service: Service) -> None:
        self._reader = StreamReader(query, service)
        self._by_start = query.order == "start"
        self._sessions: AsyncGenerator[ChargingSession, None] | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ChargingSession]:
        # The generator itself, because it costs least per session. It holds no reference to the stream, so an
        # 'async for' that is left early over an otherwise unreferenced stream frees everything at once.
        if self._sessions is None:
            self._sessions = self._reader.by_start() if self._by_start else self._reader.by_arrival()
        return self._sessions

    def __anext__(self) -> Awaitable[ChargingSession]:
        return self.__aiter__().__anext__()

    def batches(self) -> AsyncIterator[SessionBatch]:
        """The same sessions in batches of one park, or station, and one time range each.

        A chunk without sessions comes as an empty batch: it says that the chunk was read. With ``order="start"``
        batches come by the start of their time range, and sessions by start within each.
        """
        return self._reader.batches()

    def arrow(self) -> AsyncIterator[pa.RecordBatch]:
        """The same sessions as record batches of up to a few thousand rows, for pandas, polars, DuckDB and Parquet.

        The schema is always :data:`smappee_async.tables.schema.SCHEMA`. The account, the failures, the checkpoint and
        the errors mean the same as for sessions; a checkpoint includes the current batch. Large responses are read in a
        thread and hold the event loop little; with ``order="start"`` every session is read as a record first.

        It needs the extra ``arrow``. The first call imports pyarrow, which takes 0.3 s: a program whose event loop must
        not wait so long imports ``smappee_async.tables.schema`` when it starts.

        :raises ImportError: pyarrow is not installed.
        """
        return self._reader.arrow()

    async def table(self) -> pa.Table:
        """All sessions as one table, in which :meth:`arrow` gives them, for queries whose result fits in memory."""
        batches = self.arrow()
        from smappee_async.tables.schema import table_of  # noqa: PLC0415 - imports pyarrow

        async with self:
            return table_of([batch async for batch in batches])

    async def collect(self) -> list[ChargingSession]:
        """All sessions as a list: for queries whose result is known to fit in memory."""
        async with self:
            return [session async for session in self]

    # --- the account --------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> StreamStats:
        """The account so far."""
        return self._reader.account.stats

    @property
    def failures(self) -> tuple[ChunkFailure, ...]:
        """The chunks that could not be read, with ``on_error="collect"``."""
        return tuple(self._reader.account.failures)

    @property
    def invalid(self) -> tuple[InvalidRecord, ...]:
        """The records that could not be read, with ``on_invalid="collect"``."""
        return tuple(self._reader.account.invalid)

    def checkpoint(self) -> Checkpoint:
        """What was handed over so far, as plain JSON; pass it as ``resume`` to go on from there.

        Of a time range that has not ended, it covers only what had begun when it was asked for. A resumed query asks
        for the rest, and for a few minutes before: sessions that began then come again.

        It costs little, so take one as often as you like; do not change it. Read by batch, it includes the
        current batch: take it when the batch is saved. Read by session, it includes the chunks before the current one,
        so that a resumed query may repeat sessions of that chunk and skips none.
        """
        return self._reader.progress.to_json()

    # --- the end ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Stop reading: no task and no request of the stream is left afterwards. A second call does nothing."""
        if self._sessions is not None:
            await self._sessions.aclose()
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
