"""What a stream has seen, counted in one place."""

from __future__ import annotations

import msgspec

from smappee_async.models import ChunkFailure, InvalidRecord, StreamStats
from smappee_async.secret import Opaque
from smappee_async.transport.call import CallCost


class StreamAccount(Opaque, msgspec.Struct, eq=False):
    """What became of everything that a stream asked for.

    Always: received = kept + filtered + duplicates + invalid.

    :ivar received: records that arrived and were read.
    :ivar kept: records that belong to the query; they are handed over, or wait for it.
    :ivar sessions: sessions that were handed over.
    :ivar filtered: records of the other state, or outside the time range of their chunk.
    :ivar duplicates: records of sessions that had been kept already.
    :ivar moved: duplicates with another start, because it was corrected while the stream was read.
    :ivar conflicts: records that were kept although another with their id was; they differ in station or start.
    :ivar forgotten: sessions that are remembered no longer, so that they come twice if their start is corrected.
    :ivar chunks: chunks that were read whole.
    :ivar invalid: records that cannot be read.
    :ivar failures: chunks that could not be read.
    :ivar unknown_statuses: how often each status came that the documentation does not name.
    :ivar columnar: records that were kept, and went straight into columns.
    :ivar cost: what the calls have cost.
    """

    received: int = 0
    kept: int = 0
    sessions: int = 0
    filtered: int = 0
    duplicates: int = 0
    moved: int = 0
    conflicts: int = 0
    forgotten: int = 0
    chunks: int = 0
    columnar: int = 0
    invalid: list[InvalidRecord] = msgspec.field(default_factory=list)
    failures: list[ChunkFailure] = msgspec.field(default_factory=list)
    unknown_statuses: dict[str, int] = msgspec.field(default_factory=dict)
    cost: CallCost = msgspec.field(default_factory=CallCost)

    @property
    def stats(self) -> StreamStats:
        """The account as users see it. Records that wait to be handed over do not count yet."""
        return StreamStats(
            received=self.received - (self.kept - self.sessions),
            sessions=self.sessions,
            filtered=self.filtered,
            duplicates=self.duplicates,
            moved=self.moved,
            conflicts=self.conflicts,
            forgotten=self.forgotten,
            invalid=len(self.invalid),
            unknown_statuses=sum(self.unknown_statuses.values()),
            chunks=self.chunks,
            columnar=self.columnar,
            requests=self.cost.requests,
            retries=self.cost.retries,
            bytes=self.cost.bytes,
        )
