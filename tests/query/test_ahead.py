"""What is built while the consumer waits for another chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from smappee_async import TimeRange
from smappee_async.errors import ResponseDecodeError
from smappee_async.query import ahead
from smappee_async.query.account import StreamAccount
from smappee_async.query.ahead import ChunkBuilder
from smappee_async.query.fetch import Fetcher
from smappee_async.query.plan import Chunk, Plan
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.target import Target
from smappee_async.query.truncation import TruncationCheck

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000


def chunk_of(park: int, day: int = 0) -> Chunk:
    return Chunk(Target(park), TimeRange.from_ms(day * DAY_MS, (day + 1) * DAY_MS))


@attrs.define
class Service:
    """Answers a chunk when it is told to, and takes note of the chunks that are built."""

    built: list[Chunk] = attrs.field(factory=list)
    unreadable: list[Chunk] = attrs.field(factory=list)
    _answered: dict[Chunk, asyncio.Event] = attrs.field(factory=dict)

    async def answer(self, *chunks: Chunk) -> None:
        for chunk in chunks:
            self._answer_to(chunk).set()
        for _ in range(20):  # all tasks go as far as they can
            await asyncio.sleep(0)

    async def read(self, chunk: Chunk) -> FetchedChunk:
        await self._answer_to(chunk).wait()
        records: Any = ["a record"]
        return FetchedChunk(chunk, [records], 0.0, 0)

    async def build(self, fetched: FetchedChunk) -> list[Any]:
        self.built.append(fetched.chunk)
        if fetched.chunk in self.unreadable:
            raise ResponseDecodeError("a record cannot be read")
        return [fetched.chunk]

    def _answer_to(self, chunk: Chunk) -> asyncio.Event:
        return self._answered.setdefault(chunk, asyncio.Event())


@asynccontextmanager
async def builder_of(service: Service, *chunks: Chunk) -> AsyncIterator[ChunkBuilder]:
    ranges: dict[Target, list[TimeRange]] = {}
    for chunk in chunks:
        ranges.setdefault(chunk.target, []).append(chunk.time_range)
    fetcher = Fetcher(
        Plan(ranges, target_sessions=None, now_ms=0),
        service.read,
        truncation=TruncationCheck(None),
        account=StreamAccount(),
        concurrency=8,
        on_error="raise",
        in_order=True,
        on_split=lambda _: None,
    )
    try:
        yield ChunkBuilder(fetcher, service.build)
    finally:
        await fetcher.aclose()


async def taken(builder: ChunkBuilder, chunk: Chunk) -> list[Any]:
    found = await builder.take_next_of(chunk.target)
    assert found is not None
    fetched, sessions = found
    assert fetched.chunk == chunk
    return sessions


async def test_while_a_chunk_is_awaited_those_that_are_here_are_built() -> None:
    service, first, second = Service(), chunk_of(1), chunk_of(2)
    async with builder_of(service, first, second) as builder:
        waiting = asyncio.create_task(taken(builder, first))
        await service.answer(second)
        assert service.built == [second]
        await service.answer(first)
        assert await waiting == [first]
        assert builder.earliest_ms(second.target) == second.time_range.start_ms
        assert await taken(builder, second) == [second]
        assert builder.earliest_ms(second.target) is None
        assert service.built == [second, first]


async def test_the_chunks_of_a_target_are_built_by_time() -> None:
    service, first, early, late = Service(), chunk_of(1), chunk_of(2, 0), chunk_of(2, 1)
    async with builder_of(service, first, early, late) as builder:
        waiting = asyncio.create_task(taken(builder, first))
        await service.answer(late)
        assert service.built == []
        await service.answer(early)
        assert service.built == [early, late]
        await service.answer(first)
        await waiting
        assert await taken(builder, early) == [early]
        assert await taken(builder, late) == [late]


async def test_what_is_wrong_with_a_record_is_told_when_the_turn_of_its_chunk_comes() -> None:
    service, first, second = Service(), chunk_of(1), chunk_of(2)
    service.unreadable.append(second)
    async with builder_of(service, first, second) as builder:
        waiting = asyncio.create_task(taken(builder, first))
        await service.answer(second)
        await service.answer(first)
        assert await waiting == [first]
        with pytest.raises(ResponseDecodeError, match="cannot be read"):
            await builder.take_next_of(second.target)


async def test_no_more_is_built_when_enough_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_MOST_AHEAD", 2)
    service, first, others = Service(), chunk_of(1), [chunk_of(park) for park in (2, 3, 4)]
    async with builder_of(service, first, *others) as builder:
        waiting = asyncio.create_task(taken(builder, first))
        await service.answer(*others)
        assert len(service.built) == 2
        await service.answer(first)
        await waiting
        for each in others:
            assert await taken(builder, each) == [each]
