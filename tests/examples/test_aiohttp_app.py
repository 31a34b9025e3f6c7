"""The session that the aiohttp example shares; what the example promises besides is in ``test_backends``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from smappee_async.simulator import Fault, Simulator

from .serving import HOME, HUB, STREAM, Backend, aiohttp_app, get, serve_aiohttp

pytestmark = pytest.mark.anyio


@pytest.fixture
async def backend(sim: Simulator) -> AsyncIterator[Backend]:
    async with serve_aiohttp() as running:
        yield running


def session_of(backend: Backend) -> aiohttp.ClientSession:
    assert backend.app is not None
    session: aiohttp.ClientSession = backend.app[aiohttp_app.HTTP]
    return session


async def test_the_apps_session_keeps_its_headers_and_gets_no_cookies(sim: Simulator, backend: Backend) -> None:
    sim.add_fault(Fault("set_cookie"))

    await get(backend.url + STREAM.format(HOME))

    assert dict(session_of(backend).headers) == {"User-Agent": "our-backend/1.0"}
    assert list(session_of(backend).cookie_jar) == []


async def test_the_apps_session_stays_open_when_a_client_hangs_up(sim: Simulator, backend: Backend) -> None:
    async with aiohttp.ClientSession() as http:
        response = await http.get(backend.url + STREAM.format(HUB))
        await response.content.readline()
        response.close()

    assert not session_of(backend).closed


async def test_the_apps_session_outlives_the_client(sim: Simulator, backend: Backend) -> None:
    await backend.client.aclose()

    async with session_of(backend).get(f"{sim.base_url}/servicelocation") as response:
        assert response.status == 401


async def test_the_client_uses_the_connections_of_the_apps_session(sim: Simulator, backend: Backend) -> None:
    await get(backend.url + STREAM.format(HOME))

    connector = session_of(backend).connector
    assert connector is not None
    assert sum(map(len, connector._conns.values())) > 0


async def test_shutting_down_closes_the_apps_session(sim: Simulator) -> None:
    async with serve_aiohttp() as backend:
        await get(backend.url + STREAM.format(HOME))

    assert session_of(backend).closed
