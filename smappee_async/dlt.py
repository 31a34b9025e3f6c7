"""Sessions for every destination of dlt, as a resource that keeps a copy right (extra ``dlt``).

::

    import dlt
    from smappee_async.dlt import sessions_resource

    sessions = sessions_resource(
        lambda: SmappeeClient(Credentials.from_env()), [1001, 1002], since=datetime(2025, 1, 1, tzinfo=UTC)
    )
    dlt.pipeline("smappee", destination="duckdb", dataset_name="smappee").run(sessions)

It reads as :func:`smappee_async.sync.sync` does: all sessions that run, those that started lately, and older ones by
tiers. So sessions that come late, end late, move or are corrected are found; ``dlt.sources.incremental``, which keeps a
cursor, loses them. What is remembered of each park stands in the state of the resource, and dlt stores it with the data
of the same run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import anyio
import attrs

from smappee_async.client import SmappeeClient
from smappee_async.models import JsonValue
from smappee_async.query.session_query import Park
from smappee_async.rfid import RfidChoice, check_rfid
from smappee_async.sync.report import SessionChange, SyncReport
from smappee_async.sync.run import park_numbers, visit_parks
from smappee_async.sync.source import ClientSource, Source
from smappee_async.sync.stores.base import Commit, Saved
from smappee_async.sync.tiers import DEFAULT_TIERS, Tier, check_tiers
from smappee_async.sync.visit import Known
from smappee_async.tables.columns import COLUMNS, Column, Kind
from smappee_async.timerange import TimeRange, from_ms

try:
    import dlt
    from dlt.common.data_types import TDataType
    from dlt.common.schema.typing import TColumnSchema
    from dlt.extract import DltResource
except ModuleNotFoundError as error:
    raise ImportError("smappee_async.dlt needs an extra: pip install 'smappee-async[dlt]'") from error

Row: TypeAlias = dict[str, Any]

_TYPES: Final[Mapping[Kind, TDataType]] = {
    "integer": "bigint",
    "text": "text",
    "instant": "timestamp",
    "energy": "decimal",
    "number": "double",
    "boolean": "bool",
    "numbers": "json",
    "json": "json",
}
#: Decimals of a kWh, which is as many as dlt gives a decimal. Only the noise of floating point has more.
_ENERGY_PLACES: Final = 9
_KEY: Final = ("service_location_id", "id")


def sessions_resource(
    make_client: Callable[[], AbstractAsyncContextManager[SmappeeClient]],
    parks: Park | Iterable[Park],
    *,
    since: datetime,
    tiers: Sequence[Tier] = DEFAULT_TIERS,
    rfid: RfidChoice = "keep",
    on_report: Callable[[SyncReport], None] | None = None,
) -> DltResource:
    """The sessions of some parks, as the resource ``sessions``, merged by ``service_location_id`` and ``id``.

    Each run yields the sessions that it read, with the columns of every table of this package and ``read_at``.
    The copy itself is not asked, because not every destination can be. So:

    - Sessions that are read again are yielded and merged again, changed or not.
    - A session that the service no longer lists stays in the table as it was. Whoever needs removals keeps a copy with
      :func:`smappee_async.sync.sync`.

    If a run fails, dlt drops what it had read together with what it would have remembered, or loads both later.

    :param make_client: makes a client, such as ``lambda: SmappeeClient(Credentials.from_env())``. It is called in the
        event loop in which dlt reads, which runs in a thread of its own, and the client is closed there.
    :param parks: service location ids, or service locations.
    :param since: where a park begins that was not read before.
    :param tiers: how often sessions of which age are read again.
    :param rfid: whether RFIDs are kept as they are, as a keyed hash, or not at all.
    :param on_report: called with the account of the run, in the thread of that event loop. With it, a park or a record
        that cannot be read is listed there, and the others are loaded. Without it, such a run fails.
    :raises ConfigurationError: an argument cannot work.
    """

    @asynccontextmanager
    async def open_source() -> AsyncGenerator[Source, None]:
        async with make_client() as client:
            yield ClientSource(client)

    reader = Reader(
        open_source=open_source,
        parks=park_numbers(parks),
        since_ms=TimeRange.since(since).start_ms,
        tiers=check_tiers(tuple(tiers)),
        rfid=check_rfid(rfid),
        on_report=on_report,
    )
    return reader.resource()


@attrs.frozen(kw_only=True)
class Reader:
    """Reads what a run of a pipeline loads: :func:`sessions_resource` with checked arguments, from any source."""

    open_source: Callable[[], AbstractAsyncContextManager[Source]]
    parks: Sequence[int]
    since_ms: int
    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    rfid: RfidChoice = "keep"
    on_report: Callable[[SyncReport], None] | None = None

    def resource(self) -> DltResource:
        """The resource, for one pipeline."""

        async def sessions() -> AsyncGenerator[list[Row], None]:  # dlt takes no method
            async with aclosing(self._rows()) as several:
                async for rows in several:
                    yield rows

        return dlt.resource(
            sessions,
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
            primary_key=_KEY,
            columns=_hints(),
        )

    async def _rows(self) -> AsyncGenerator[list[Row], None]:
        """The sessions that were read, and, when dlt has taken them, what is remembered with them."""
        remembered: dict[str, Mapping[str, JsonValue]] = dlt.current.resource_state().setdefault("parks", {})
        # dlt asks for each item in another task, so what reads has a task of its own.
        send, receive = anyio.create_memory_object_stream[_Found]()
        known = {int(park): Saved(0, state) for park, state in remembered.items()}
        with send, receive:
            reading = asyncio.create_task(self._read(_RunStore(known, send.send), send.close), name="smappee dlt")
            try:
                async for found in receive:
                    if found.rows:
                        yield found.rows
                    remembered[str(found.park)] = found.state
                await reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, store: _RunStore, done: Callable[[], None]) -> None:
        """Visit all parks.

        :raises SmappeeError: something could not be read, and nobody takes the account.
        """
        try:
            async with self.open_source() as source:
                report = await visit_parks(
                    source, store, self.parks, since_ms=self.since_ms, tiers=self.tiers, rfid=self.rfid
                )
            unread = [failure.error for failure in report.failures] + [record.error for record in report.invalid]
            if self.on_report is not None:
                self.on_report(report)
            elif unread:
                raise unread[0]
        finally:
            done()


@attrs.frozen
class _Found:
    """What belongs together: rows of a park, and what is remembered when they are loaded."""

    park: int
    state: dict[str, JsonValue]
    rows: list[Row]


class _RunStore:
    """What is remembered during one run. It holds no sessions, so each one that is read counts as changed."""

    def __init__(self, saved: dict[int, Saved], hand_over: Callable[[_Found], Awaitable[None]]) -> None:
        self._saved = saved
        self._hand_over = hand_over
        self._read_ms: dict[int, int] = {}

    async def load(self, service_location_id: int) -> Saved:
        """See :class:`VisitStore`."""
        return self._saved.get(service_location_id, Saved())

    async def known(
        self,
        service_location_id: int,  # noqa: ARG002 - the names are those of the protocol
        start_ms: int,  # noqa: ARG002
        end_ms: int,  # noqa: ARG002
        ids: Iterable[int],  # noqa: ARG002
    ) -> Mapping[int, Known]:
        """See :class:`VisitStore`."""
        return {}

    async def commit(self, commit: Commit) -> bool:
        """See :class:`VisitStore`. Returns when the rows are taken; each park is visited once in a run."""
        park = commit.service_location_id
        # Later in each commit, because a session may come twice in a run, and dlt keeps the later one.
        read_ms = max([self._read_ms.get(park, 0) + 1, *(change.at_ms for change in commit.changes)])
        self._read_ms[park] = read_ms
        self._saved[park] = Saved(commit.generation + 1, commit.state)
        rows = [row for change in commit.changes if (row := _row(change, read_ms)) is not None]
        await self._hand_over(_Found(park, dict(commit.state), rows))
        return True


def _hints() -> dict[str, TColumnSchema]:
    """The columns. Of two versions of a session in one run, dlt keeps the one that was read later."""
    hints: dict[str, TColumnSchema] = {
        column.name: {"name": column.name, "data_type": _TYPES[column.kind], "nullable": column.name not in _KEY}
        for column in COLUMNS
    }
    read_at: TColumnSchema = {"name": "read_at", "data_type": "timestamp", "nullable": False, "dedup_sort": "desc"}
    return hints | {"read_at": read_at}


def _row(change: SessionChange, read_ms: int) -> Row | None:
    if change.after is None:
        return None
    row = {column.name: _value(column, column.of(change.after)) for column in COLUMNS}
    return row | {"service_location_id": change.service_location_id, "read_at": from_ms(read_ms)}


def _value(column: Column, value: float | str | Decimal | None) -> object:
    """A value as dlt has it for the type of the column."""
    match column.kind, value:
        case "instant", int():
            return from_ms(value)
        case "numbers" | "json", str():
            return json.loads(value)
        case "energy", Decimal():
            exponent = value.as_tuple().exponent
            return round(value, _ENERGY_PLACES) if isinstance(exponent, int) and exponent < -_ENERGY_PLACES else value
        case _:
            return value
