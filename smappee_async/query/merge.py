"""Several ordered sources as one: a k-way merge over asynchronous sources."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar, cast

ItemT = TypeVar("ItemT")
GivenT_co = TypeVar("GivenT_co", covariant=True)

#: So many sources are begun in one turn of the event loop.
_SOURCES_AT_ONCE: Final = 500


class Source(Protocol[GivenT_co]):
    """Items in the order of their start, some at a time."""

    def earliest_ms(self) -> int | None:
        """No further item starts before this, milliseconds since 1970; ``None`` if there is no further item."""
        ...

    async def following(self) -> Iterable[GivenT_co]:
        """The next items, perhaps none. Asked for only if :meth:`earliest_ms` is not ``None``."""
        ...


async def merge_by_start(
    sources: Iterable[Source[ItemT]], start_ms: Callable[[ItemT], int]
) -> AsyncGenerator[ItemT, None]:
    """The items of all sources, earliest start first; of equal starts, the item of the earlier source first.

    Holds the items that each source gave last, and asks a source for more only when all of these were handed over. It
    waits for a source only if that source may have the next item: an item is handed over as soon as none of the others
    can bring an earlier one.

    :param sources: made as they are needed; between many of them other tasks have their turn.
    :param start_ms: the start of an item, milliseconds since 1970.
    """
    # An entry without an item says that a source may go on there. It stands before an item of the same start.
    heads: list[tuple[int, bool, int, ItemT | None, Iterator[ItemT]]] = []
    by_number: list[Source[ItemT]] = []
    nothing: Iterator[ItemT] = iter(())
    for number, source in enumerate(sources):
        by_number.append(source)
        if (earliest_ms := source.earliest_ms()) is not None:
            heapq.heappush(heads, (earliest_ms, False, number, None, nothing))
        if number % _SOURCES_AT_ONCE == _SOURCES_AT_ONCE - 1:
            await asyncio.sleep(0)
    while heads:
        _, has_item, number, item, rest = heads[0]
        if has_item:
            yield cast(ItemT, item)
        else:
            rest = iter(await by_number[number].following())
        for following in rest:
            heapq.heapreplace(heads, (start_ms(following), True, number, following, rest))
            break
        else:
            if (earliest_ms := by_number[number].earliest_ms()) is not None:
                heapq.heapreplace(heads, (earliest_ms, False, number, None, rest))
            else:
                heapq.heappop(heads)
