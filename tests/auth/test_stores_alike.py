"""What all stores have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smappee_async import FileTokenStore, MemoryTokenStore, StoredToken, Token, TokenStore
from smappee_async.auth.stores.redis import RedisTokenStore

pytestmark = pytest.mark.anyio

TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, 12, 30, 15, 250_000, tzinfo=UTC))
FIRST = StoredToken(generation=1, token=TOKEN)


@pytest.fixture(params=["memory", "file", "redis"])
async def store(request: pytest.FixtureRequest, anyio_backend: object, tmp_path: Path) -> AsyncIterator[TokenStore]:
    if request.param == "memory":
        yield MemoryTokenStore()
    elif request.param == "file":
        yield FileTokenStore(tmp_path / "token.json")
    else:
        async with RedisTokenStore(request.getfixturevalue("redis_url"), str(tmp_path)) as store:
            yield store


async def test_there_is_nothing_in_a_new_store(store: TokenStore) -> None:
    assert await store.load() is None


@pytest.mark.parametrize(
    "record",
    [
        FIRST,
        StoredToken(generation=1, token=None, refreshing=True),
        StoredToken(generation=1, token=TOKEN, refreshing=True),
        StoredToken(generation=1, token=Token("access", None, TOKEN.expires_at)),
        StoredToken(generation=1, token=Token("ünïcode \n\0'\"", "\u2028", datetime.fromtimestamp(0.1, UTC))),
    ],
)
async def test_what_is_written_is_read_as_it_was(store: TokenStore, record: StoredToken) -> None:
    assert await store.replace(0, record)
    assert await store.load() == record


async def test_a_record_is_replaced_as_a_whole(store: TokenStore) -> None:
    await store.replace(0, FIRST)
    second = FIRST.following(None, refreshing=True)
    assert await store.replace(1, second)
    assert await store.load() == second


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_a_record_of_another_generation_is_not_replaced(store: TokenStore, expected: int) -> None:
    """R15."""
    await store.replace(0, FIRST)
    assert not await store.replace(expected, StoredToken(generation=expected + 1))
    assert await store.load() == FIRST


async def test_an_empty_store_has_generation_0(store: TokenStore) -> None:
    assert not await store.replace(1, FIRST)
    assert await store.load() is None


async def test_the_lock_is_held_by_one_at_a_time(store: TokenStore) -> None:
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with store.lock():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(5)))


async def test_under_the_lock_a_call_fits_into_the_lease(store: TokenStore) -> None:
    """R21."""
    async with store.lock() as lease:
        assert lease.remaining_s() > 20


async def test_an_error_under_the_lock_gives_it_back(store: TokenStore) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.lock():
            raise ZeroDivisionError
    async with asyncio.timeout(20), store.lock():
        pass


@pytest.mark.parametrize("turns", [*range(12), 40])
async def test_a_cancelled_waiter_leaves_no_lock(store: TokenStore, turns: int) -> None:
    """R11: at any step of acquiring and releasing the lock."""

    async def hold() -> None:
        async with store.lock():
            await asyncio.sleep(0)

    task = asyncio.create_task(hold())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(20), store.lock():
        pass


async def test_a_waiter_that_is_cancelled_while_another_holds_leaves_nothing(store: TokenStore) -> None:
    """R11."""

    async def hold() -> None:
        async with store.lock():
            await asyncio.sleep(0)

    async with store.lock():
        waiting = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.sleep(0.003)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    async with asyncio.timeout(20), store.lock():
        pass


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    """R34."""
    stores = [
        MemoryTokenStore(TOKEN),
        FileTokenStore(tmp_path / "t"),
        RedisTokenStore("redis://user:the-redis-password@localhost/0", "key"),
    ]
    assert not any("the-" in repr(store) for store in stores)
