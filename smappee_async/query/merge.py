"""Several ordered sources as one: a k-way merge over asynchronous sources."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
#: Gives the next items of one source in order of their start, perhaps none; ``None`` at the end.
Source = Callable[[], Awaitable[Iterable[ItemT] | None]]


async def merge_by_start(
    sources: Sequence[Source[ItemT]], start_ms: Callable[[ItemT], int]
) -> AsyncGenerator[ItemT, None]:
    """The items of all sources, earliest start first; of equal starts, the item of the earlier source first.

    Holds the items that each source gave last, and asks a source for more only when all of these were handed over.

    :param start_ms: the start of an item, milliseconds since 1970.
    """
    heads: list[tuple[int, int, ItemT, Iterator[ItemT]]] = []
    for number, source in enumerate(sources):
        if (head := await _next_head(number, source, iter(()), start_ms)) is not None:
            heapq.heappush(heads, head)
    while heads:
        _, number, item, rest = heads[0]
        yield item
        for following in rest:
            heapq.heapreplace(heads, (start_ms(following), number, following, rest))
            break
        else:
            if (head := await _next_head(number, sources[number], rest, start_ms)) is not None:
                heapq.heapreplace(heads, head)
            else:
                heapq.heappop(heads)


async def _next_head(
    number: int, source: Source[ItemT], rest: Iterator[ItemT], start_ms: Callable[[ItemT], int]
) -> tuple[int, int, ItemT, Iterator[ItemT]] | None:
    while True:
        for item in rest:
            return start_ms(item), number, item, rest
        items = await source()
        if items is None:
            return None
        rest = iter(items)
