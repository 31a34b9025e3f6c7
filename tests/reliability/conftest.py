from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from smappee_async import SmappeeClient
from smappee_async.simulator import Simulator

from .support import Connect, client_of, simulator


@pytest.fixture
async def sim(anyio_backend: object) -> AsyncIterator[Simulator]:
    async with simulator() as sim:
        yield sim


@pytest.fixture
async def connect(sim: Simulator) -> AsyncIterator[Connect]:
    """Opens clients of the simulator; closes them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> SmappeeClient:
            return await stack.enter_async_context(client_of(sim, **settings))

        yield open_one


@pytest.fixture
async def loop_faults(anyio_backend: object) -> AsyncIterator[list[dict[str, Any]]]:
    """What reached the event loop's exception handler: nothing may."""
    faults: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    yield faults
    loop.set_exception_handler(before)
    assert faults == []
