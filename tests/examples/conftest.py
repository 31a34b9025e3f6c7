from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from smappee_async.simulator import Park, Simulator, World

from .serving import HOME, HUB, OFFICE, Backend, Serve, serve_aiohttp, serve_fastapi


@pytest.fixture
async def sim(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """A simulated service, and an environment that names it."""
    world = World.of([Park.home(HOME), Park.office(OFFICE), Park.hub(HUB, sessions_per_day=100)], seed=5)
    async with Simulator(world) as simulator:
        account = simulator.account
        monkeypatch.setenv("SMAPPEE_BASE_URL", simulator.base_url)
        monkeypatch.setenv("SMAPPEE_CLIENT_ID", account.client_id)
        monkeypatch.setenv("SMAPPEE_CLIENT_SECRET", account.client_secret)
        monkeypatch.setenv("SMAPPEE_USERNAME", account.username)
        monkeypatch.setenv("SMAPPEE_PASSWORD", account.password)
        monkeypatch.delenv("SMAPPEE_REFRESH_TOKEN", raising=False)
        yield simulator


@pytest.fixture(params=[serve_fastapi, serve_aiohttp], ids=["fastapi", "aiohttp"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Starts one of the two backends."""
    start: Serve = request.param
    return start


@pytest.fixture
async def backend(sim: Simulator, serve: Serve) -> AsyncIterator[Backend]:
    """One of the two backends, running."""
    async with serve() as running:
        yield running
