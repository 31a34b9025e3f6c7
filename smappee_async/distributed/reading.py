"""Reads one part whole, in a fixed order, with an account of what is missing for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from smappee_async.client import SmappeeClient
from smappee_async.distributed.parts import Part
from smappee_async.distributed.process_client import MakeClient, process_client
from smappee_async.errors import NotFound, PermissionDenied, ResponseDecodeError, SmappeeError
from smappee_async.models import ChunkFailure, InvalidRecord, JsonValue, StreamStats

if TYPE_CHECKING:
    import pyarrow as pa

#: Errors that come again if the part is read again.
_PERMANENT: Final = (PermissionDenied, NotFound, ResponseDecodeError)
_ORDER: Final = [("service_location_id", "ascending"), ("started_at", "ascending"), ("id", "ascending")]


@attrs.frozen(kw_only=True)
class MissingSessions:
    """Sessions that a part lacks, and would lack if it were read again.

    :param service_location_id: the park.
    :param start_ms: where the time range that could not be read begins, milliseconds since 1970.
    :param end_ms: where it ends; ``None`` if it is open.
    :param is_record: whether a single record is missing, and not all of the range.
    :param reason: the error, without anything personal.
    """

    service_location_id: int | None
    start_ms: int | None
    end_ms: int | None
    is_record: bool
    reason: str

    def to_json(self) -> dict[str, JsonValue]:
        """As plain JSON."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class PartRead:
    """What a part holds.

    :param table: its sessions by park, start and id, with the schema of every table: the same rows in the same order
        whenever it is read, as engines expect that replay a task.
    :param missing: what could not be read for good.
    :param stats: the account of the stream.
    """

    part: Part
    table: pa.Table
    missing: tuple[MissingSessions, ...]
    stats: StreamStats


def read_part(part: Part, *, client: MakeClient | None = None) -> PartRead:
    """Read a part, with the one client of this process. Needs the extra ``arrow``.

    It blocks until the part is read. Tasks in several threads of one process share the client and its event loop.

    :param client: makes the client of the process; :func:`client_from_env` if left out.
    :raises SmappeeError: a range could not be read, and may be read next time: let the engine try the task again. What
        is missing for good (:class:`PermissionDenied`, :class:`NotFound`, a record that cannot be read) is listed
        instead.
    :raises ImportError: pyarrow is not installed.
    """
    from smappee_async.tables import schema  # noqa: F401, PLC0415 - imports pyarrow here, and not in the loop

    async def read(of_process: SmappeeClient) -> PartRead:
        stream = of_process.stream(part.query())
        table = await stream.table()
        for failure in stream.failures:
            if not isinstance(failure.error, _PERMANENT):
                raise failure.error
        missing = (*map(_missing_range, stream.failures), *map(_missing_record, stream.invalid))
        return PartRead(part=part, table=table, missing=missing, stats=stream.stats)

    found = process_client(client).run(read)
    return attrs.evolve(found, table=found.table.sort_by(_ORDER))


def _missing_range(failure: ChunkFailure) -> MissingSessions:
    return MissingSessions(
        service_location_id=failure.service_location_id,
        start_ms=failure.time_range.start_ms,
        end_ms=failure.time_range.end_ms,
        is_record=False,
        reason=str(failure.error),
    )


def _missing_record(record: InvalidRecord) -> MissingSessions:
    error: SmappeeError = record.error
    time_range = error.facts.time_range
    return MissingSessions(
        service_location_id=error.facts.service_location_id,
        start_ms=None if time_range is None else time_range.start_ms,
        end_ms=None if time_range is None else time_range.end_ms,
        is_record=True,
        reason=str(error),
    )
