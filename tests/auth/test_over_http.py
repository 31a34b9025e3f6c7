"""Tokens end to end: the client, real HTTP, and the simulator with strict rotation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import attrs
import pytest

from smappee_async import (
    ApiError,
    AuthenticationError,
    ClientEvent,
    Credentials,
    Limits,
    MemoryTokenStore,
    RefreshTokenLost,
    SmappeeClient,
    Token,
)
from smappee_async.auth.manager import TokenManager
from smappee_async.events import EventReporter
from smappee_async.simulator import Assumptions, Fault, Park, Simulator, World
from smappee_async.transport.http import HttpTransport

pytestmark = pytest.mark.anyio


@attrs.define
class Side:
    """The simulator, and clients that are closed at the end."""

    sim: Simulator
    stack: AsyncExitStack

    def credentials(self) -> Credentials:
        account = self.sim.account
        return Credentials(account.client_id, account.client_secret, account.username, account.password)

    async def client(self, credentials: Any = None, **settings: Any) -> SmappeeClient:
        client = SmappeeClient(credentials or self.credentials(), base_url=self.sim.base_url, **settings)
        return await self.stack.enter_async_context(client)

    async def manager(self, credentials: Credentials | None = None) -> TokenManager:
        transport = HttpTransport(Limits())
        self.stack.push_async_callback(transport.aclose)
        store = MemoryTokenStore()
        manager = TokenManager(
            credentials or self.credentials(),
            store,
            self.sim.base_url,
            transport.send,
            reporter=EventReporter(),
            jitter=0.5,
        )
        self.stack.push_async_callback(manager.aclose)
        return manager


@pytest.fixture
async def side(anyio_backend: object) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator(World.of([Park.home(1001)], seed=1)))
        yield Side(sim, stack)


async def test_two_hundred_calls_log_in_once(side: Side) -> None:
    """R10."""
    client = await side.client(limits=Limits(concurrency=200))
    await asyncio.gather(*(client.service_locations() for _ in range(200)))
    assert side.sim.hits("token") == 1


async def test_two_hundred_refused_calls_refresh_once_and_all_succeed(side: Side) -> None:
    """R10, R16."""
    client = await side.client(limits=Limits(concurrency=200))
    await client.service_locations()
    side.sim.oauth.expire_access_tokens()
    side.sim.reset_log()
    await asyncio.gather(*(client.service_locations() for _ in range(200)))
    assert side.sim.hits("token") == 1
    assert side.sim.hits("servicelocations") <= 400


@pytest.mark.parametrize("seed", range(3))
async def test_calls_cancelled_at_random_cost_no_token(side: Side, seed: int) -> None:
    """R11."""
    chance = random.Random(seed)
    client = await side.client(limits=Limits(concurrency=50))
    await client.service_locations()
    for _ in range(5):
        side.sim.oauth.expire_access_tokens()
        calls = [asyncio.create_task(client.service_locations()) for _ in range(30)]
        for call in calls:
            if chance.random() < 0.3:
                asyncio.get_running_loop().call_later(chance.random() * 0.01, call.cancel)
        for call in calls:
            with suppress(asyncio.CancelledError):
                await call
    assert side.sim.oauth.reuse_detections == 0
    assert side.sim.oauth.password_grants == 1


async def test_a_service_that_always_refuses_is_told_after_one_renewal(side: Side) -> None:
    """R16."""
    client = await side.client()
    side.sim.add_fault(Fault("unauthorized"))
    with pytest.raises(AuthenticationError, match="refused a fresh access token"):
        await client.service_locations()
    assert (side.sim.hits("token"), side.sim.hits("servicelocations")) == (2, 2)


async def test_a_token_revoked_in_the_middle_is_renewed_and_the_call_repeated(side: Side) -> None:
    """R16."""
    client = await side.client()
    side.sim.add_fault(Fault("token_revoked", times=1))
    assert await client.service_locations()
    assert side.sim.oauth.refresh_grants == 1


@pytest.mark.parametrize("wrong", ["client_secret", "password"])
async def test_wrong_credentials_are_asked_once_by_however_many_calls(side: Side, wrong: str) -> None:
    client = await side.client(attrs.evolve(side.credentials(), **{wrong: "wrong"}))
    outcomes = await asyncio.gather(*(client.service_locations() for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {AuthenticationError}
    with pytest.raises(AuthenticationError):
        await client.service_locations()
    assert side.sim.hits("token") == 1


async def test_a_lost_refresh_response_is_made_good_by_a_login(side: Side) -> None:
    """R14: the simulator rotates the refresh token and then closes the connection."""
    client = await side.client()
    await client.service_locations()
    side.sim.oauth.expire_access_tokens()
    side.sim.add_fault(Fault("token_lost", times=1))
    await client.service_locations()
    assert side.sim.oauth.password_grants == 2
    assert side.sim.oauth.reuse_detections == 0


async def test_a_lost_refresh_response_without_a_password_ends_after_one_replay(side: Side) -> None:
    """R14."""
    pairs: list[Token] = []

    async def on_token(token: Token) -> None:
        pairs.append(token)

    await (await side.client(token_store=MemoryTokenStore(on_token=on_token))).service_locations()
    account, refresh_token = side.sim.account, pairs[0].refresh_token
    assert refresh_token is not None
    client = await side.client(
        Credentials(account.client_id, account.client_secret, refresh_token=refresh_token.reveal())
    )
    side.sim.add_fault(Fault("token_lost", times=1))
    side.sim.reset_log()
    for _ in range(3):
        with pytest.raises(RefreshTokenLost):
            await client.service_locations()
    assert side.sim.hits("token") == 2


@pytest.mark.parametrize("reuse", ["revokes_family", "refused"])
@pytest.mark.parametrize("old", ["dies", "lives"])
@pytest.mark.parametrize("ends_access", [True, False])
@pytest.mark.parametrize("login_revokes", [True, False])
async def test_every_reading_of_the_service_is_survived(
    anyio_backend: object, reuse: Any, old: Any, ends_access: bool, login_revokes: bool
) -> None:
    """R11: what the service does with old tokens is not documented."""
    assumptions = Assumptions(
        refresh_reuse=reuse,
        old_refresh_token=old,
        refresh_ends_access_token=ends_access,
        login_revokes_previous=login_revokes,
    )
    async with (
        Simulator(World.of([Park.home(1001)]), assumptions=assumptions) as sim,
        SmappeeClient(
            Credentials(sim.account.client_id, sim.account.client_secret, sim.account.username, sim.account.password),
            base_url=sim.base_url,
        ) as client,
    ):
        for _ in range(3):
            await asyncio.gather(*(client.service_locations() for _ in range(10)))
            sim.oauth.expire_access_tokens()
        assert sim.oauth.password_grants == 1
        assert sim.oauth.reuse_detections == 0


# --- redirects --------------------------------------------------------------------------------------------------------


class Elsewhere:
    """Another server, which records what it receives."""

    def __init__(self) -> None:
        self.received = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received += await reader.read(100_000)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same origin", "other origin"])
@pytest.mark.parametrize("grant", ["login", "refresh"])
async def test_a_redirected_token_call_goes_nowhere(side: Side, status: int, where: str, grant: str) -> None:
    """R20."""
    elsewhere = Elsewhere()
    server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        origin = side.sim.origin if where == "same origin" else f"http://127.0.0.1:{port}"
        manager = await side.manager()
        token = await manager.access_token() if grant == "refresh" else None
        side.sim.reset_log()
        fault = Fault("redirect", route="token", status=status, location=f"{origin}/dev/v1/oauth2/token")
        side.sim.add_fault(fault)
        with pytest.raises(ApiError, match=r"redirected the call, which is not followed.* Check base_url") as caught:
            await manager.access_token(token)
        assert not isinstance(caught.value, AuthenticationError)
        assert side.sim.hits("token") == 1
        assert elsewhere.received == b""
        side.sim.clear_faults()
        await manager.access_token(token)
        assert side.sim.oauth.reuse_detections == 0


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_each_renewal_is_told(side: Side) -> None:
    events: list[ClientEvent] = []
    client = await side.client(on_event=events.append)
    await client.service_locations()
    side.sim.oauth.expire_access_tokens()
    await client.service_locations()
    assert [event.detail for event in events if event.kind == "token_renewal_ended"] == ["by password", "by refresh"]


async def test_two_accounts_on_two_clients_share_nothing(side: Side) -> None:
    """R37."""
    other = attrs.evolve(side.sim.account, client_id="another", username="another user")
    async with Simulator(World.of([Park.home(2002)]), account=other) as sim:
        second = SmappeeClient(
            Credentials(other.client_id, other.client_secret, other.username, other.password), base_url=sim.base_url
        )
        async with second:
            first = await side.client()
            ours, theirs = await first.service_locations(), await second.service_locations()
            assert [park.id for park in ours] == [1001]
            assert [park.id for park in theirs] == [2002]
