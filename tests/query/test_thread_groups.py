"""Work in a thread for several items at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import anyio.to_thread
import attrs
import pytest

from smappee_async.query.thread_groups import ThreadGroups

pytestmark = pytest.mark.anyio


@attrs.define
class Work:
    """Gives each number doubled. One call waits until it is allowed to go on."""

    waits_in: int = 1
    calls: list[list[int]] = attrs.field(factory=list)
    is_waiting: threading.Event = attrs.field(factory=threading.Event)
    may_go_on: threading.Event = attrs.field(factory=threading.Event)

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        if len(self.calls) == self.waits_in:
            self.is_waiting.set()
            assert self.may_go_on.wait(10)
        if 13 in numbers:
            raise ValueError(str(numbers))
        return [2 * number for number in numbers]


def groups_of(work: Work, *, most: int = 1_000) -> ThreadGroups[int, int]:
    return ThreadGroups(work, size_of=abs, most=most, may_share=lambda one, other: (one < 0) == (other < 0))


async def begun(groups: ThreadGroups[int, int], work: Work, *numbers: int) -> list[asyncio.Task[int]]:
    """A task for each number; the call that waits has begun."""
    tasks = [asyncio.create_task(groups.result_of(number)) for number in numbers]
    await anyio.to_thread.run_sync(work.is_waiting.wait, 10)
    return tasks


async def test_items_that_come_during_a_call_share_the_next_one() -> None:
    groups = groups_of(work := Work())
    tasks = await begun(groups, work, 1, 2, 3, 4)
    work.may_go_on.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert work.calls == [[1], [2, 3, 4]]


async def test_a_call_has_no_more_items_than_its_size_allows() -> None:
    groups = groups_of(work := Work(), most=5)
    tasks = await begun(groups, work, 1, 2, 3, 4, 9)
    work.may_go_on.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 18]
    assert work.calls == [[1], [2, 3], [4], [9]]


async def test_items_that_may_not_share_a_call_have_one_each() -> None:
    groups = groups_of(work := Work())
    tasks = await begun(groups, work, 1, 2, -3, 4)
    work.may_go_on.set()
    assert await asyncio.gather(*tasks) == [2, 4, -6, 8]
    assert work.calls == [[1], [2, 4], [-3]]


async def test_an_item_that_is_cancelled_while_it_waits_is_in_no_call() -> None:
    groups = groups_of(work := Work())
    tasks = await begun(groups, work, 1, 2, 3)
    tasks[1].cancel()
    await asyncio.wait(tasks[1:2])
    work.may_go_on.set()
    assert list(await asyncio.gather(tasks[0], tasks[2])) == [2, 6]
    assert work.calls == [[1], [3]]


async def test_the_others_of_a_call_have_their_results_when_the_first_of_it_is_cancelled() -> None:
    groups = groups_of(work := Work(waits_in=2))
    tasks = await begun(groups, work, 1, 2, 3)
    tasks[1].cancel()
    work.may_go_on.set()
    assert list(await asyncio.gather(tasks[0], tasks[2])) == [2, 6]
    assert work.calls == [[1], [2, 3], [3]]


async def test_an_error_is_one_for_each_item_of_its_call() -> None:
    groups = groups_of(work := Work())
    tasks = await begun(groups, work, 1, 13, 3)
    work.may_go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [int, ValueError, int]
    assert work.calls == [[1], [13, 3], [3]]
