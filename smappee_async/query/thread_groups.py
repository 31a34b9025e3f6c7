"""Work in a thread, for several items in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
import msgspec

from smappee_async.secret import Opaque

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class _Waiting(Opaque, msgspec.Struct, Generic[ItemT, ResultT], eq=False):
    """An item, and its result in a list once there is one."""

    item: ItemT
    result: list[ResultT] = msgspec.field(default_factory=list)


class ThreadGroups(Generic[ItemT, ResultT]):
    """Does work on items in a thread, one call at a time. Items that come during a call share the next one.

    So no item waits for others to come, and the more items there are, the less a call costs each of them.

    :param work: gives the result of each item. Called in a thread.
    :param size_of: the size of an item.
    :param most: the sizes of the items of one call are at most this together, unless it is a single item.
    :param may_share: whether two items may be in one call.
    """

    def __init__(
        self,
        work: Callable[[Sequence[ItemT]], Sequence[ResultT]],
        *,
        size_of: Callable[[ItemT], int],
        most: int,
        may_share: Callable[[ItemT, ItemT], bool],
    ) -> None:
        self._work = work
        self._size_of = size_of
        self._most = most
        self._may_share = may_share
        self._waiting: list[_Waiting[ItemT, ResultT]] = []
        self._turn = asyncio.Lock()
        self._thread = anyio.CapacityLimiter(1)

    async def result_of(self, item: ItemT) -> ResultT:
        """The result of one item."""
        own: _Waiting[ItemT, ResultT] = _Waiting(item)
        self._waiting.append(own)
        try:
            async with self._turn:
                if not own.result:  # no group before had it
                    group = self._group_of(own)
                    items = [each.item for each in group]
                    results = await anyio.to_thread.run_sync(self._work, items, limiter=self._thread)
                    for each, result in zip(group, results, strict=True):
                        each.result.append(result)
                return own.result[0]
        finally:
            if own in self._waiting:  # it was cancelled
                self._waiting.remove(own)

    def _group_of(self, own: _Waiting[ItemT, ResultT]) -> list[_Waiting[ItemT, ResultT]]:
        """An item, and those of the others that may share its call; they do not wait any longer."""
        group, size = [own], self._size_of(own.item)
        for each in self._waiting:
            if each is not own and self._may_share(own.item, each.item):
                size += self._size_of(each.item)
                if size > self._most:
                    break
                group.append(each)
        self._waiting = [each for each in self._waiting if each not in group]
        return group
