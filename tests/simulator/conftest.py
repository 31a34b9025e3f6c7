from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from smappee_async.simulator import Park, Simulator, World

from .calling import Caller, Serve, few

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _uvloop_is_warm() -> None:
    """Let uvloop open what it keeps for the whole process, so that no test takes it for a leak."""
    if find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 - an extra that need not be there

        uvloop.run(asyncio.sleep(0))


@pytest.fixture
async def serve(anyio_backend: object) -> AsyncIterator[Serve]:
    """Starts simulators, each with a caller that is logged in, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(world: World | Park | None = None, **options: Any) -> Caller:
            place = few() if world is None else world
            world = World.of([place], seed=7) if isinstance(place, Park) else place
            sim = await stack.enter_async_context(Simulator(world, **options))
            timeout = aiohttp.ClientTimeout(total=10)
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            caller = Caller(sim, http)
            await caller.log_in()
            sim.reset_log()
            return caller

        yield start
