"""Builds the sessions of chunks that are held, while the consumer waits for another chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from smappee_async.errors import SmappeeError, unwrap
from smappee_async.models import ChargingSession
from smappee_async.query.fetch import Fetcher
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.target import Target
from smappee_async.secret import Opaque

#: So many sessions are built before their turn. A session takes twice the memory of its record in a response.
_MOST_AHEAD: Final = 50_000


class BuiltChunk(Opaque, msgspec.Struct, frozen=True, eq=False):
    """A chunk and its sessions, earliest start first.

    :param sessions: or what is wrong with a record, which is raised when it is the turn of the chunk.
    """

    fetched: FetchedChunk
    sessions: list[ChargingSession] | SmappeeError

    def __len__(self) -> int:
        return 0 if isinstance(self.sessions, SmappeeError) else len(self.sessions)


class ChunkBuilder:
    """The chunks of each target by time, with their sessions.

    If chunks were built only when their turn comes, the event loop would be idle while the consumer waits for one
    target, and most of the work would be left when the last response comes.

    :param build: the sessions of a chunk, earliest start first.
    """

    def __init__(self, fetcher: Fetcher, build: Callable[[FetchedChunk], Awaitable[list[ChargingSession]]]) -> None:
        self._fetcher = fetcher
        self._build = build
        self._ahead: dict[Target, deque[BuiltChunk]] = {}
        self._sessions_ahead = 0

    def earliest_ms(self, target: Target) -> int | None:
        """Where the next chunk of a target starts, in milliseconds since 1970; ``None`` if there is none."""
        if (built := self._ahead.get(target)) is not None:
            return built[0].fetched.chunk.time_range.start_ms
        return self._fetcher.earliest_ms(target)

    async def take_next_of(self, target: Target) -> tuple[FetchedChunk, list[ChargingSession]] | None:
        """The next chunk of one target; ``None`` when all of its chunks were taken or given up.

        :raises SmappeeError: what ends the stream, or what is wrong with a record of the chunk.
        """
        if target not in self._ahead:
            fetched = await self._fetcher.take_next_of(target, self._build_ahead)
            return None if fetched is None else (fetched, await self._build(fetched))
        built = self._ahead[target].popleft()
        if not self._ahead[target]:
            del self._ahead[target]
        self._sessions_ahead -= len(built)
        return built.fetched, unwrap(built.sessions)

    async def _build_ahead(self) -> bool:
        """Build one chunk that is held, whichever that is; false if there is none, or enough was built."""
        if self._sessions_ahead >= _MOST_AHEAD or (fetched := self._fetcher.take_ready()) is None:
            return False
        sessions: list[ChargingSession] | SmappeeError
        try:
            sessions = await self._build(fetched)
        except SmappeeError as error:
            sessions = error
        built = BuiltChunk(fetched, sessions)
        self._sessions_ahead += len(built)
        self._ahead.setdefault(fetched.chunk.target, deque()).append(built)
        return True
