"""The harness: what every test must leave behind is nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from coverage import Coverage

hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
# For measuring what is covered, which few examples show as well.
hypothesis.settings.register_profile("measured", hypothesis.settings.get_profile("suite"), max_examples=20)
hypothesis.settings.load_profile("suite")

_FDS = Path("/proc/self/fd")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Every asynchronous test runs on asyncio's own loop and on uvloop; modules on virtual time say otherwise."""
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("anyio"):
            item.add_marker(pytest.mark.usefixtures("_no_task_is_left"))


@pytest.fixture
async def _no_task_is_left(anyio_backend: object) -> AsyncIterator[None]:
    """A task that outlives its test fails it."""
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[object]] = set()
    for _ in range(10):
        left = {task for task in asyncio.all_tasks() - before if not task.done()} - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    pytest.fail(f"tasks are left: {sorted(map(repr, left))}")


def _descriptors() -> set[str]:
    """What sockets and files are open; loops and workers keep pipes and pollers of their own, and matplotlib its fonts."""
    links = set()
    for descriptor in _FDS.iterdir():
        with contextlib.suppress(OSError):
            links.add(str(descriptor.readlink()))
    files = {link for link in links if link.startswith("/") and not link.endswith((" (deleted)", ".ttf"))}
    return files | {link for link in links if link.startswith("socket:")}


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    """A socket, file or connection that outlives its test fails it."""
    if not _FDS.exists():
        yield
        return
    before = _descriptors()
    yield
    if _descriptors() - before:
        gc.collect()
    if left := _descriptors() - before - {"/dev/null", "/dev/urandom"}:
        pytest.fail(f"descriptors are left: {sorted(left)}")


@pytest.fixture(autouse=True, scope="session")
def _nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call of the package in an event loop fails the test that made it."""
    with blockbuster_ctx("smappee_async") as watched:
        for function in watched.functions.values():
            # A time zone is read from disk once in the life of a process; whoever minds passes a ZoneInfo.
            function.can_block_in("zoneinfo/_tzpath.py", "find_tzfile")
            function.can_block_in("zoneinfo/_common.py", {"load_tzdata", "load_data"})
            function.can_block_in("zoneinfo/_zoneinfo.py", {"_new_instance", "from_file"})
        _allow_the_lock_of_coverage(watched)
        yield


def _allow_the_lock_of_coverage(watched: BlockBuster) -> None:
    """Measuring coverage takes a lock of its own, also where nothing of its code is in a frame."""
    measuring: Any = Coverage.current()
    lock = None if measuring is None else measuring._collector.data_lock
    if lock is None:
        return
    for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
        function = watched.functions[name]
        allowed = function.can_block_predicate
        function.deactivate()
        function.can_block_predicate = lambda taken, *arguments, _allowed=allowed, **options: (
            taken is lock or _allowed(taken, *arguments, **options)
        )
        function.activate()
