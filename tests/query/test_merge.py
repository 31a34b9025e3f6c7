"""One ordered sequence from several ordered sources."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.query.merge import Source, merge_by_start

# Each source: lists of starts, ordered within and among them; some of the lists are empty.
runs = (
    st.lists(st.integers(0, 30), max_size=12)
    .map(sorted)
    .flatmap(
        lambda starts: st.lists(st.integers(0, len(starts)), max_size=4).map(
            lambda cuts: [
                starts[begin:end] for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(starts)], strict=True)
            ]
        )
    )
)
Item = tuple[int, int]


class Lists:
    """A source that gives one list after another; before each it tells the start of the next item."""

    def __init__(self, number: int, lists: list[list[int]], asked: list[int] | None = None) -> None:
        self._number = number
        self._lists = list(lists)
        self._asked = [] if asked is None else asked

    def earliest_ms(self) -> int | None:
        return min((start for starts in self._lists for start in starts), default=None) if self._lists else None

    async def following(self) -> list[Item]:
        self._asked.append(self._number)
        return [(start, self._number) for start in self._lists.pop(0)]


def source_of(number: int, lists: list[list[int]], asked: list[int] | None = None) -> Source[Item]:
    return Lists(number, lists, asked)


async def merged(sources: list[Source[Item]]) -> list[Item]:
    return [item async for item in merge_by_start(sources, lambda item: item[0])]


@pytest.mark.anyio
@given(sources=st.lists(runs, max_size=5))
async def test_all_items_come_once_by_start_and_equal_ones_by_source(sources: list[list[list[int]]]) -> None:
    everything = [(start, number) for number, lists in enumerate(sources) for starts in lists for start in starts]
    found = await merged([source_of(number, lists) for number, lists in enumerate(sources)])
    assert found == sorted(everything)


@pytest.mark.anyio
async def test_a_source_is_asked_for_more_only_when_its_items_were_handed_over() -> None:
    asked: list[int] = []
    items = merge_by_start(
        [source_of(0, [[1, 4], [6]], asked), source_of(1, [[2, 3], [5]], asked)], lambda item: item[0]
    )
    seen = [(await anext(items))[0] for _ in range(3)]
    assert (seen, asked) == ([1, 2, 3], [0, 1])
    assert (await anext(items), asked) == ((4, 0), [0, 1])
    assert (await anext(items), asked) == ((5, 1), [0, 1, 1])


@pytest.mark.anyio
async def test_an_item_is_handed_over_without_waiting_for_sources_that_bring_none_earlier() -> None:
    asked: list[int] = []
    items = merge_by_start([source_of(0, [[1, 2]], asked), source_of(1, [[7]], asked)], lambda item: item[0])

    assert [(await anext(items))[0] for _ in range(2)] == [1, 2]
    assert asked == [0]
    assert (await anext(items), asked) == ((7, 1), [0, 1])


@pytest.mark.anyio
async def test_other_tasks_have_their_turn_while_very_many_sources_are_begun() -> None:
    begun = 0

    def sources() -> Iterator[Source[Item]]:
        nonlocal begun
        for begun in range(1, 5001):
            yield source_of(begun, [[begun]])

    items = merge_by_start(sources(), lambda item: item[0])
    first = asyncio.ensure_future(anext(items))
    seen = []
    while not first.done():
        seen.append(begun)
        await asyncio.sleep(0)
    assert await first == (1, 1)
    assert len(set(seen)) >= 10
    await items.aclose()
