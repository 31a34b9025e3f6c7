"""What aiohttp does and this package leans on, or works around: the day one of these fails, read ``transport/http.py``.

R40: each of them tells of a change in aiohttp before a user sees it.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import attrs
import pytest
from aiohttp import web
from yarl import URL

from smappee_async import Limits, TransportError
from smappee_async.protocol.oauth import password_grant
from smappee_async.protocol.requests import Request
from smappee_async.secret import Secret
from smappee_async.testing import VirtualTimeLoop
from smappee_async.transport.http import HttpTransport

pytestmark = pytest.mark.anyio

LARGE = 8 * 2**20


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """aiohttp is the same on every loop; once is enough."""
    return getattr(request, "param", "asyncio")


@attrs.define
class Server:
    """A server that notes what it is sent."""

    origin: str = ""
    hits: list[str] = attrs.field(factory=list)
    bodies: list[bytes] = attrs.field(factory=list)
    cookies: list[str | None] = attrs.field(factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hits.append(request.path)
        self.bodies.append(await request.read())
        self.cookies.append(request.headers.get("Cookie"))
        match request.path:
            case "/hangs-up":
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            case "/elsewhere/oauth2/token":
                return web.Response(status=307, headers={"Location": f"{self.origin}/there"})
            case "/slow":
                await asyncio.sleep(2)
                return web.json_response([])
            case "/large":
                return web.Response(
                    body=gzip.compress(b" " * LARGE),
                    headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
                )
            case "/empty":
                return web.Response(content_type="application/json")
            case "/refuses":
                return web.json_response({}, status=500)
            case _:
                response = web.json_response([])
                response.set_cookie("SID", "somebody")
                return response

    def get(self, path: str) -> Request:
        return Request(method="GET", url=self.origin + path, route=path)


@pytest.fixture
async def server(anyio_backend: object) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def transport(anyio_backend: object) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(Limits())
    yield transport
    await transport.aclose()


async def test_a_get_is_sent_twice_by_aiohttp_when_the_server_hangs_up_and_once_by_us(
    server: Server, transport: HttpTransport
) -> None:
    """R40, R22: a second send that nobody counts would falsify attempts, the budget and the load."""
    async with aiohttp.ClientSession() as session:
        assert session._retry_connection is True
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(f"{server.origin}/hangs-up")
        assert len(server.hits) == 2

    server.hits.clear()
    with pytest.raises(TransportError):
        await transport.send(server.get("/hangs-up"))
    assert len(server.hits) == 1


async def test_a_307_carries_the_body_of_a_post_elsewhere_in_aiohttp_and_not_in_ours(
    server: Server, transport: HttpTransport
) -> None:
    """R40, R20: the body of a token call is the password."""
    async with aiohttp.ClientSession() as session:
        await session.post(f"{server.origin}/elsewhere/oauth2/token", data=b"password=secret")
    assert (server.hits[-1], server.bodies[-1]) == ("/there", b"password=secret")

    server.hits.clear()
    form = {name: Secret(name) for name in ("client_id", "client_secret", "username", "password")}
    response = await transport.send(password_grant(f"{server.origin}/elsewhere", **form))
    assert (response.status, server.hits) == (307, ["/elsewhere/oauth2/token"])


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual time"], indirect=True
)
async def test_the_wait_for_a_connection_counts_as_time_out_in_aiohttp(server: Server) -> None:
    """R40, R25: so we take a place of our own before any timer starts."""
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=3)) as session:

        async def get() -> int:
            async with session.get(f"{server.origin}/slow") as response:
                return response.status

        outcomes = await asyncio.gather(get(), get(), return_exceptions=True)
    assert outcomes.count(200) == 1
    assert [isinstance(outcome, TimeoutError) for outcome in outcomes].count(True) == 1


async def test_aiohttp_reads_a_body_of_any_size(server: Server) -> None:
    """R40, R33: so we read in chunks and count."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.origin}/large") as response:
        assert response.content_length is not None
        assert response.content_length < LARGE / 100
        assert len(await response.read()) == LARGE


async def test_an_empty_body_is_null_to_aiohttp(server: Server) -> None:
    """R40, R5: so we decode by ourselves, for 'nothing' is not 'no sessions'."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.origin}/empty") as response:
        assert await response.json() is None


async def test_a_dummy_cookie_jar_keeps_nothing_and_the_usual_one_sends_it_back(
    server: Server, transport: HttpTransport
) -> None:
    """R40, R37: a session cookie of one account would go out with another's token."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for _ in range(2):
            await session.get(f"{server.origin}/cookie")
    assert server.cookies == [None, "SID=somebody"]

    server.cookies.clear()
    for _ in range(2):
        await transport.send(server.get("/cookie"))
    assert server.cookies == [None, None]
    jar = aiohttp.DummyCookieJar()
    jar.update_cookies({"SID": "somebody"}, URL(server.origin))
    assert list(jar) == []


async def test_a_session_that_does_not_own_its_connector_leaves_it_open() -> None:
    """R40: a host's connections outlive us."""
    connector = aiohttp.TCPConnector()
    async with aiohttp.ClientSession(connector=connector, connector_owner=False):
        pass
    assert not connector.closed
    await connector.close()


async def test_an_exception_of_aiohttp_holds_the_bearer_token(server: Server) -> None:
    """R40, R34: so none of them is let out, not even as a cause."""
    headers = {"Authorization": "Bearer marked"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{server.origin}/refuses?marked-query", headers=headers) as response,
    ):
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            response.raise_for_status()
    assert "Bearer marked" in repr(caught.value)
    assert "marked-query" in str(caught.value)


async def test_the_pool_tells_how_many_connections_are_in_use() -> None:
    """R40, R29: the tests of cancellation look at it."""
    connector = aiohttp.TCPConnector()
    assert len(connector._acquired) == 0
    assert sum(map(len, connector._waiters.values())) == 0
    await connector.close()
