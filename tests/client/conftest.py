from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from smappee_async import Credentials, SmappeeClient
from smappee_async.simulator import Park, SimulatedClock, Simulator, World

from .support import QUICK, Cloud, StartCloud


@pytest.fixture
async def cloud_of(anyio_backend: object) -> AsyncIterator[StartCloud]:
    """Starts simulators of given parks; ends them, and every client, after the test."""
    async with AsyncExitStack() as stack:

        async def start(*parks: Park, **options: Any) -> Cloud:
            sim = await stack.enter_async_context(Simulator(World.of(parks, seed=3), **options))

            async def connect(**settings: Any) -> SmappeeClient:
                account = sim.account
                settings.setdefault("retry", QUICK)
                credentials = settings.pop("credentials", None) or Credentials(
                    account.client_id, account.client_secret, account.username, account.password
                )
                client = SmappeeClient(credentials, base_url=sim.base_url, **settings)
                return await stack.enter_async_context(client)

            return Cloud(sim, connect)

        yield start


@pytest.fixture
async def cloud(cloud_of: StartCloud) -> Cloud:
    """A home charger, an office and a small hub."""
    return await cloud_of(
        Park.home(1001),
        Park.office(1002, timezone="Europe/London"),
        Park.hub(1003, sessions_per_day=20),
        clock=SimulatedClock.at("2026-11-01T00:00:00Z"),
    )
