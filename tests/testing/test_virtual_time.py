"""The loop in which waiting takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from smappee_async import Credentials, Limits, RetryPolicy, SmappeeClient, TransportError
from smappee_async.simulator import Fault, Park, Simulator, World
from smappee_async.testing import VirtualTimeLoop

pytestmark = pytest.mark.anyio

YEAR_S = 365 * 86400.0


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def sim(anyio_backend: object) -> AsyncIterator[Simulator]:
    async with Simulator(World.of([Park.home(1001)], seed=1)) as simulator:
        yield simulator


def client_of(sim: Simulator, limits: Limits | None = None, retry: RetryPolicy | None = None) -> SmappeeClient:
    account = sim.account
    credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
    return SmappeeClient(credentials, base_url=sim.base_url, limits=limits, retry=retry)


def now() -> float:
    return asyncio.get_running_loop().time()


# --- the clock --------------------------------------------------------------------------------------------------------------


async def test_a_sleep_ends_when_the_clock_says_so_though_nobody_waits_that_long() -> None:
    began = now()

    await asyncio.sleep(YEAR_S)

    assert now() - began == pytest.approx(YEAR_S)


async def test_the_clock_stands_still_while_something_can_run() -> None:
    began = now()

    for _ in range(1000):
        await asyncio.sleep(0)

    assert now() == began


async def test_timers_fire_in_their_order_and_each_at_its_time() -> None:
    began, fired = now(), []

    async def fire(after_s: float) -> None:
        await asyncio.sleep(after_s)
        fired.append((after_s, round(now() - began, 6)))

    await asyncio.gather(*(fire(after_s) for after_s in (300.0, 0.001, 86_400.0, 20.5, 0.0)))

    assert fired == [(0.0, 0.0), (0.001, 0.001), (20.5, 20.5), (300.0, 300.0), (86_400.0, 86_400.0)]


async def test_a_timer_that_is_cancelled_does_not_move_the_clock() -> None:
    began = now()
    asyncio.get_running_loop().call_later(3600, lambda: None).cancel()

    await asyncio.sleep(1)

    assert now() - began == pytest.approx(1)


async def test_a_timeout_strikes_at_its_time() -> None:
    began = now()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

    assert now() - began == pytest.approx(60)


async def test_a_timeout_spares_what_ends_before_it() -> None:
    async with asyncio.timeout(60):
        await asyncio.sleep(59)


def test_each_loop_begins_at_0() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.get_loop().time() == 0.0


# --- sockets ----------------------------------------------------------------------------------------------------------------


async def test_sockets_between_two_ends_in_the_loop_take_no_time_on_the_clock() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1_000_000))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        began = now()
        async with asyncio.timeout(0.5):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x" * 1_000_000)
            received = await reader.readexactly(1_000_000)
            writer.close()
            await writer.wait_closed()

    assert received == b"x" * 1_000_000
    assert now() == began


# --- a client and a simulator -------------------------------------------------------------------------------------------------


async def test_a_client_gives_up_on_a_simulator_that_stalls_when_its_time_is_over(sim: Simulator) -> None:
    sim.add_fault(Fault("stall_before_headers", route="info"))
    async with client_of(sim, Limits(read_timeout_s=3600, attempt_timeout_s=1800), RetryPolicy.none()) as client:
        began = now()
        with pytest.raises(TransportError, match="1800 s"):
            await client.service_location(1001)

        assert now() - began == pytest.approx(1800, abs=1)


async def test_a_client_waits_for_a_simulator_that_stalls_for_less_than_its_time(sim: Simulator) -> None:
    sim.add_fault(Fault("stall_before_headers", route="info", delay_s=1200))
    async with client_of(sim, Limits(read_timeout_s=3600, attempt_timeout_s=1800), RetryPolicy.none()) as client:
        began = now()
        info = await client.service_location(1001)

        assert info.id == 1001
        assert now() - began == pytest.approx(1200, abs=1)


async def test_a_client_sleeps_through_a_retry_after(sim: Simulator) -> None:
    sim.add_fault(Fault("status", status=429, retry_after="90", times=1, route="info"))
    async with client_of(sim) as client:
        began = now()
        await client.service_location(1001)

        assert now() - began >= 90


async def test_a_token_expires_after_its_hours(sim: Simulator) -> None:
    async with client_of(sim) as client:
        await client.service_location(1001)
        await asyncio.sleep(11 * 3600)
        await client.service_location(1001)

    assert sim.hits("token") == 2
