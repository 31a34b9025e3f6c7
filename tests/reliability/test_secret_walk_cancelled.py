"""Every public call, cancelled or timed out at every await: no secret in the exception or in any frame of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import anyio
import attrs
import pytest

from smappee_async import Limits, SmappeeClient
from smappee_async.protocol.oauth import password_grant
from smappee_async.protocol.requests import service_locations
from smappee_async.secret import Secret
from smappee_async.simulator import Fault, Simulator
from smappee_async.transport.http import HttpTransport
from tests.cutting import WAYS, at_every_await
from tests.walking import everything_about, shown

from .support import ACCOUNT, MARCH, Connect, client_of, encoded

pytestmark = pytest.mark.anyio

MARKED = "marked" + "-access-token"  # in two parts, because a traceback shows this line
STATION = "6200000000"

Call = Callable[[SmappeeClient], Coroutine[Any, Any, object]]


# --- what is seen ---------------------------------------------------------------------------------------------------------


def secrets_of(sim: Simulator) -> set[str]:
    secrets = {ACCOUNT.client_secret, ACCOUNT.username, ACCOUNT.password}
    secrets |= set(sim.oauth._access) | set(sim.oauth._refresh)
    forms = {form for secret in secrets for form in encoded(secret)}
    return forms | {"active=true", "active=false", f"range={MARCH.start_ms}", "grant_type=", "Bearer "}


def swear(sim: Simulator, errors: list[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    texts = [text for error in errors for text in everything_about(error)]
    texts += [record.getMessage() + repr(vars(record)) for record in caplog.records]
    assert shown(secrets_of(sim), texts) == []


# --- calls ----------------------------------------------------------------------------------------------------------------


async def locations(client: SmappeeClient) -> object:
    return await client.service_locations()


async def location(client: SmappeeClient) -> object:
    return await client.service_location(1001)


async def collect(client: SmappeeClient) -> object:
    return await client.sessions([1001], MARCH).collect()


async def by_start(client: SmappeeClient) -> object:
    return await client.sessions([1001], MARCH, order="start", state="all").collect()


async def batches(client: SmappeeClient) -> object:
    async with client.sessions([1001], MARCH) as stream:
        return [batch async for batch in stream.batches()]


async def station(client: SmappeeClient) -> object:
    return await client.station_sessions(STATION, MARCH).collect()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", [locations, location, collect, by_start, batches, station])
async def test_a_call_that_is_cut_off_at_any_await_shows_no_secret(
    sim: Simulator, connect: Connect, call: Call, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R52: an exception of aiohttp's frames would show the bearer in a traceback with local variables."""
    caplog.set_level(logging.DEBUG)
    client = await connect()
    await client.service_locations()
    async for errors in at_every_await(lambda: call(client), WAYS[way]):
        swear(sim, errors, caplog)
        await client.service_location(1001)


@pytest.mark.parametrize("way", WAYS)
async def test_a_login_and_a_renewal_that_are_cut_off_show_no_secret(
    sim: Simulator, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R52."""
    caplog.set_level(logging.DEBUG)
    for number in (1, 2, 3):
        errors: list[BaseException] = []
        async with client_of(sim) as client:
            await WAYS[way](client.service_locations(), number, errors)
            await client.service_locations()
            sim.oauth.expire_access_tokens()
            await WAYS[way](client.service_locations(), number, errors)
            await client.service_locations()
        swear(sim, errors, caplog)
        assert errors or number > 1


@pytest.mark.parametrize("kind", ["stall_before_headers", "stall_after_headers", "drip"])
async def test_a_time_out_while_the_service_is_silent_shows_no_secret(
    sim: Simulator, connect: Connect, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """R52: a time-out of the caller, of each kind."""
    client = await connect()
    await client.service_locations()
    sim.add_fault(Fault(kind, bytes_per_s=1))
    errors: list[BaseException] = []
    for wait in (_in_a_timeout, _in_wait_for, _in_fail_after):
        with pytest.raises(TimeoutError) as caught:
            await wait(client.service_locations())
        errors.append(caught.value)
    swear(sim, errors, caplog)
    sim.clear_faults()
    await client.service_locations()


async def _in_a_timeout(call: Coroutine[Any, Any, object]) -> None:
    async with asyncio.timeout(0.02):
        await call


async def _in_wait_for(call: Coroutine[Any, Any, object]) -> None:
    await asyncio.wait_for(call, 0.02)


async def _in_fail_after(call: Coroutine[Any, Any, object]) -> None:
    with anyio.fail_after(0.02):
        await call


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_call_that_is_cut_off_does_not_show_its_form(
    sim: Simulator, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R52: the form holds the password."""
    request = password_grant(
        sim.base_url,
        client_id=Secret(ACCOUNT.client_id),
        client_secret=Secret(ACCOUNT.client_secret),
        username=Secret(ACCOUNT.username),
        password=Secret(ACCOUNT.password),
    )
    transport = HttpTransport(Limits())
    try:
        seen = 0
        async for errors in at_every_await(lambda: transport.send(request), WAYS[way]):
            swear(sim, errors, caplog)
            seen += 1
        assert seen >= 1
    finally:
        await transport.aclose()


@attrs.define
class Interrupting:
    """A trace hook of the host that interrupts the program in the middle of a request."""

    error: BaseException

    async def __call__(self, *_: object) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), LookupError("the host's hook")])
async def test_what_a_hook_of_the_host_raises_in_a_request_shows_no_secret(
    sim: Simulator, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """R52: it leaves the request as it is, without the frames of the request."""
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(Interrupting(error))
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        transport = HttpTransport(Limits(), session)
        caught: list[BaseException] = []
        try:
            await transport.send(service_locations(sim.base_url), Secret(MARKED))
        except BaseException as raised:  # noqa: BLE001 - whatever it is
            caught.append(raised)
        await transport.aclose()
    assert caught == [error]
    assert shown([MARKED, "Bearer "], [t for each in caught for t in everything_about(each)]) == []
