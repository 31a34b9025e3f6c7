"""One store object used from several threads, event loops and processes: it works, or it says at once that it does not."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smappee_async import (
    FileTokenStore,
    MemoryTokenStore,
    RedisTokenStore,
    StoredToken,
    Token,
    TokenStore,
    TokenStoreError,
)

TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))
ROUNDS, THREADS = 5, 4


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    return MemoryTokenStore() if request.param == "memory" else FileTokenStore(tmp_path / "token.json")


async def count_up(store: TokenStore) -> None:
    """Read, give others a turn, and write, all under the lock."""
    async with asyncio.timeout(20), store.lock():
        stored = await store.load() or StoredToken()
        await asyncio.sleep(0)
        assert await store.replace(stored.generation, stored.following(TOKEN)), "another one wrote under the lock"


async def generation(store: TokenStore) -> int:
    stored = await store.load()
    return 0 if stored is None else stored.generation


def test_threads_with_loops_of_their_own_take_turns_at_one_store(store: TokenStore) -> None:
    """R51."""

    async def several() -> None:
        await asyncio.gather(*(count_up(store) for _ in range(ROUNDS)))

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(asyncio.run, several()) for _ in range(THREADS)]:
            done.result(30)
    assert asyncio.run(generation(store)) == ROUNDS * THREADS


def test_a_store_serves_one_loop_after_another(store: TokenStore) -> None:
    """R51."""
    for _ in range(3):
        asyncio.run(count_up(store))
    assert asyncio.run(generation(store)) == 3


def test_a_loop_that_is_closed_under_the_lock_leaves_it_free(store: TokenStore) -> None:
    """R51."""

    async def hold(held: asyncio.Event) -> None:
        async with store.lock():
            held.set()
            await asyncio.sleep(3600)

    async def abandon() -> None:
        held = asyncio.Event()
        _abandoned.append(asyncio.create_task(hold(held)))
        await held.wait()

    _abandoned: list[asyncio.Task[None]] = []
    asyncio.run(abandon())  # cancels the task
    asyncio.run(count_up(store))


def in_a_child(work: Callable[[], None]) -> None:
    """Fork, and run the work in the child."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("is_held", [False, True])
def test_a_file_store_works_after_a_fork(tmp_path: Path, is_held: bool) -> None:
    """R51: also while the parent holds its lock, which is released later."""
    store = FileTokenStore(tmp_path / "token.json")
    ended = threading.Event()

    async def parent() -> None:
        async with store.lock():
            if is_held:
                threads.submit(in_a_child, lambda: asyncio.run(count_up(store))).add_done_callback(
                    lambda _: ended.set()
                )
                await asyncio.sleep(0.1)
                assert not ended.is_set(), "the child got a lock that the parent held"
        if not is_held:
            in_a_child(lambda: asyncio.run(count_up(store)))

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(parent())
    asyncio.run(count_up(store))
    assert asyncio.run(generation(store)) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_tokens_in_memory_are_refused_after_a_fork() -> None:
    """R51: both processes would spend the same refresh token."""
    store = MemoryTokenStore(TOKEN)

    async def used_in_the_child() -> None:
        for use in (store.load, lambda: store.replace(1, StoredToken(generation=2)), store.lock().__aenter__):
            with pytest.raises(TokenStoreError, match="made in another process"):
                await use()

    in_a_child(lambda: asyncio.run(used_in_the_child()))
    asyncio.run(count_up(store))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_an_empty_store_in_memory_serves_each_process_on_its_own() -> None:
    """R51: as in a server that imports the program, and forks its workers then."""
    store = MemoryTokenStore()
    in_a_child(lambda: asyncio.run(count_up(store)))
    asyncio.run(count_up(store))
    assert asyncio.run(generation(store)) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_redis_store_says_at_once_that_it_belongs_to_another_loop_or_process(redis_url: str, tmp_path: Path) -> None:
    """R51: the connections of the Redis client work in one event loop only."""
    store = RedisTokenStore(redis_url, str(tmp_path))

    async def refused(what: str) -> None:
        for use in (store.load, lambda: store.replace(0, StoredToken(generation=1)), store.lock().__aenter__):
            with pytest.raises(TokenStoreError, match=what):
                await use()

    async def main() -> None:
        await store.replace(0, StoredToken(generation=1, token=TOKEN))
        with ThreadPoolExecutor(1) as thread:
            await asyncio.get_running_loop().run_in_executor(thread, asyncio.run, refused("another event loop"))
        in_a_child_without_a_loop(lambda: asyncio.run(refused("another process")))
        assert await store.load() is not None
        await store.aclose()

    asyncio.run(main())
    asyncio.run(refused("another event loop"))


def in_a_child_without_a_loop(work: Callable[[], None]) -> None:
    """Fork in a running loop: in the child, its loop counts as not running."""

    def without_a_loop() -> None:
        asyncio.events._set_running_loop(None)
        work()

    in_a_child(without_a_loop)
