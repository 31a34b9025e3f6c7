"""One of many processes that share a token store: it uses tokens, cancels calls, and dies at a given point."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import AbstractAsyncContextManager
from ctypes import Array, c_int64
from enum import IntEnum
from typing import Final, Literal

import attrs

from benchmarks.reliability.counting import is_renewal
from benchmarks.reliability.service import credentials
from smappee_async import FileTokenStore, Limits, RedisTokenStore, StoredToken, TokenStore, defaults
from smappee_async.auth.manager import TokenManager
from smappee_async.auth.stores import Lease
from smappee_async.events import ClientEvent, EventReporter
from smappee_async.protocol.requests import service_locations
from smappee_async.secret import Secret
from smappee_async.transport.http import HttpTransport

StoreKind = Literal["file", "redis"]
Point = Literal["never", "any time", "before the call", "before the write", "in the write", "after the write"]
"""Where a process dies. The parent chooses ``any time``; the others are points of a refresh."""
POINTS: Final[tuple[Point, ...]] = (
    "any time",
    "before the call",
    "before the write",
    "in the write",
    "after the write",
)

#: The key of the record in Redis.
KEY: Final = "token-race"
#: A lock in Redis outlives its holder by the lease. With the usual lease each kill would cost a minute.
LEASE_S: Final = 0.6
_TOKEN_TIMEOUT_S: Final = 0.5
_CALLERS: Final = 4
_CANCELLED_SHARE: Final = 0.3


class Count(IntEnum):
    """What a process counts; the value is its place among the shared numbers."""

    READY = 0
    CALLS = 1
    CANCELLED = 2
    FAILED = 3
    RENEWED = 4


@attrs.frozen
class Orders:
    """The settings of a process.

    :ivar place: the token file, or the URL of Redis.
    :ivar slot: which of the shared numbers this process writes.
    """

    kind: StoreKind
    place: str
    base_url: str
    slot: int
    seed: int
    point: Point


def store_of(kind: StoreKind, place: str) -> FileTokenStore | RedisTokenStore:
    """The store that all processes share."""
    if kind == "file":
        return FileTokenStore(place)
    store = RedisTokenStore(place, KEY)
    store._lease_s = LEASE_S  # shorter than may be set, as the time-out of the token call is
    return store


def work(orders: Orders, counts: Array[c_int64], over: Array[c_int64]) -> None:
    """Use tokens until ``over`` is set. Runs in a process that was forked for it."""
    if orders.kind == "redis":
        vars(defaults).update(TOKEN_TIMEOUT_S=_TOKEN_TIMEOUT_S)  # inside the shorter lease  # pyright: ignore[reportAttributeAccessIssue] - a module of Python has a plain dict
    asyncio.run(_Worker(orders, counts, over).run())


class _Worker:
    def __init__(self, orders: Orders, counts: Array[c_int64], over: Array[c_int64]) -> None:
        self._orders = orders
        self._counts = counts
        self._over = over
        self._chance = random.Random(orders.seed)

    async def run(self) -> None:
        orders = self._orders
        self._transport = HttpTransport(Limits())
        store = store_of(orders.kind, orders.place)
        if orders.kind == "file" and orders.point == "in the write":
            store = _HalfWriter(orders.place)
        self._manager = TokenManager(
            credentials(),
            _Mortal(store, orders.point),
            orders.base_url,
            self._transport.send,
            reporter=EventReporter(self._note),
            jitter=self._chance.random(),
        )
        self._count(Count.READY)
        await asyncio.gather(*(self._use() for _ in range(_CALLERS)))
        await self._manager.aclose()
        if isinstance(store, RedisTokenStore):
            await store.aclose()
        await self._transport.aclose()

    def _count(self, what: Count) -> None:
        self._counts[self._orders.slot * len(Count) + what] += 1

    def _note(self, event: ClientEvent) -> None:
        if is_renewal(event):
            self._count(Count.RENEWED)

    async def _use(self) -> None:
        while not self._over[0]:
            task = asyncio.create_task(self._call())
            if self._chance.random() < _CANCELLED_SHARE:
                asyncio.get_running_loop().call_later(self._chance.random() * 0.02, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                self._count(Count.CANCELLED)
            except Exception as error:  # noqa: BLE001 - whatever a caller has seen counts
                self._count(Count.FAILED)
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(self._chance.random() * 0.005)

    async def _call(self) -> None:
        """One call with a valid token. Tokens end within milliseconds here, so several attempts may be needed."""
        rejected: Secret | None = None
        while True:
            token = await self._manager.access_token(rejected)
            response = await self._transport.send(service_locations(self._orders.base_url), token)
            if response.status != 401:
                break
            rejected = token
        assert response.status == 200, response.status
        self._count(Count.CALLS)


class _Mortal:
    """A store that kills its process at a point of the first refresh that gets there."""

    def __init__(self, store: TokenStore, point: Point) -> None:
        self._store = store
        self._point = point

    def lock(self) -> AbstractAsyncContextManager[Lease]:
        return self._store.lock()

    async def load(self) -> StoredToken | None:
        return await self._store.load()

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        is_mark = new.refreshing
        if self._point == "before the write" and not is_mark:
            die()
        writing = asyncio.ensure_future(self._store.replace(expected_generation, new))
        if self._point == "in the write" and not is_mark and isinstance(self._store, RedisTokenStore):
            await asyncio.sleep(random.random() * 0.002)  # Redis may or may not have the command by then
            die()
        written = await asyncio.shield(writing)
        if self._point == ("before the call" if is_mark else "after the write"):
            die()
        return written


class _HalfWriter(FileTokenStore):
    """A file store that kills its process when a new pair is partly written, or written and not renamed yet."""

    def _write(self, text: Secret) -> None:
        data = text.reveal().encode()
        if not json.loads(data)["refreshing"]:
            data = data[: random.randrange(len(data) + 1)]
        super()._write(Secret(data.decode()))
        if not json.loads(text.reveal())["refreshing"]:
            die()


def die() -> None:
    """End as a killed process ends: nothing is closed or cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
