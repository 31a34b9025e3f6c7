"""Thousands of calls and hundreds of clients later, everything is as it was."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import smappee_async
from smappee_async import ClientClosed, Limits, MemoryTokenStore, SmappeeClient
from smappee_async.simulator import Fault, Simulator

from .support import MARCH, NOTHING, Connect, client_of, connector_of, left_behind, until

_DESCRIPTORS = "/proc/self/fd"


def open_descriptors() -> int:
    """How many files and sockets are open; 0 where the system does not tell."""
    return len(os.listdir(_DESCRIPTORS)) if os.path.isdir(_DESCRIPTORS) else 0  # noqa: PTH112, PTH208


def printed_by(script: str) -> Any:
    """What a script beside this file prints, as JSON; it runs in a process of its own, on the same package."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(Path(__file__).with_name(script))],
        env=os.environ | {"PYTHONPATH": str(Path(smappee_async.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.anyio
@pytest.mark.usefixtures("loop_faults")
async def test_fifteen_hundred_calls_cancelled_at_random_leave_nothing_and_one_more_works(
    sim: Simulator, connect: Connect
) -> None:
    """R29."""
    chance = random.Random(29)
    client = await connect(limits=Limits(concurrency=32))
    await client.service_locations()
    before, connector = asyncio.all_tasks(), connector_of(client)
    descriptors = open_descriptors()

    async def some_call() -> None:
        if chance.random() < 0.5:
            await client.service_locations()
        else:
            await client.service_location(1001)

    for _ in range(15):
        calls = [asyncio.create_task(some_call()) for _ in range(100)]
        while calls:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            calls.pop(chance.randrange(len(calls))).cancel()
        assert await left_behind(connector, before) == NOTHING

    assert (await client.service_location(1001)).id == 1001
    # Both ends of every connection are in this process, and the pool keeps as many as the client may use.
    assert open_descriptors() <= descriptors + 2 * 32
    assert sim.oauth.password_grants == 1
    await client.aclose()
    for _ in range(200):
        if not connector._conns:
            break
        await asyncio.sleep(0)
    assert not connector._conns


@pytest.mark.anyio
@pytest.mark.usefixtures("loop_faults")
async def test_streams_broken_off_at_random_leave_nothing(sim: Simulator, connect: Connect) -> None:
    """R28, R29: with faults on the way."""
    chance = random.Random(28)
    sim.add_fault(Fault("reset_mid_body", route="park_sessions", probability=0.1))
    sim.add_fault(Fault("close_before_headers", route="park_sessions", probability=0.1))
    client = await connect()
    await client.service_locations()
    before, connector = asyncio.all_tasks(), connector_of(client)

    async def read(at_most: int) -> None:
        async with client.sessions([1001, 1002], MARCH, on_error="collect") as stream:
            async for _ in stream:
                at_most -= 1
                if at_most < 0:
                    break

    for _ in range(30):
        reading = [asyncio.create_task(read(chance.randrange(80))) for _ in range(3)]
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        reading[0].cancel()
        with suppress(asyncio.CancelledError):
            await reading[0]
        await asyncio.gather(*reading[1:])

    assert await left_behind(connector, before) == NOTHING
    sim.clear_faults()
    assert (await client.service_location(1001)).id == 1001


def test_five_hundred_clients_opened_and_closed_do_not_add_up() -> None:
    """R31: less than 4 MiB, measured in a process of its own after a warm-up."""
    grown = printed_by("many_clients.py")

    assert grown["clients"] == 500
    assert grown["bytes"] < 4 * 2**20
    assert grown["objects"] < 500  # less than one a client


@pytest.mark.anyio
async def test_load_with_faults_holds_tasks_and_descriptors_constant(sim: Simulator, connect: Connect) -> None:
    """R31, in small: the figures of hours come from ``python -m benchmarks.reliability.soak``."""
    sim.add_fault(Fault("status", status=502, route="info", probability=0.1))
    sim.add_fault(Fault("close_before_headers", route="info", probability=0.05))
    client = await connect(limits=Limits(concurrency=4))

    async def round_of_calls() -> tuple[int, int]:
        await asyncio.gather(*(client.service_location(1001) for _ in range(50)), return_exceptions=True)
        assert await left_behind(connector_of(client), before) == NOTHING
        tasks = len(asyncio.all_tasks())
        return tasks, open_descriptors()

    before = asyncio.all_tasks()
    await round_of_calls()
    counts = [await round_of_calls() for _ in range(4)]

    # At most one kept connection more or less for each call that may be under way, on both sides.
    assert max(tasks for tasks, _ in counts) - min(tasks for tasks, _ in counts) <= 4
    assert max(files for _, files in counts) - min(files for _, files in counts) <= 2 * 4


# --- use from where it cannot be used -------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_client_that_crossed_a_fork_is_refused_at_once_and_its_parent_goes_on() -> None:
    """R32: a real fork, in a process of its own."""
    assert printed_by("forked.py") == {
        "child": ["ClientClosed", "ClientClosed", "ClientClosed"],
        "parent": [1001, 1002],
        "logins": 1,
    }


@pytest.mark.anyio
async def test_a_stream_is_refused_from_another_event_loop_and_after_closing(connect: Connect) -> None:
    """R32."""
    client = await connect()
    stream = client.sessions(1001, MARCH)

    async def elsewhere() -> None:
        await anext(aiter(stream))

    with pytest.raises(ClientClosed, match="another event loop"):
        await asyncio.to_thread(asyncio.run, elsewhere())
    other = client.sessions(1001, MARCH)
    await client.aclose()
    with pytest.raises(ClientClosed, match="is closed"):
        client.sessions(1001, MARCH)
    with pytest.raises(ClientClosed):
        await anext(aiter(other))


@pytest.mark.anyio
async def test_a_stream_that_is_being_read_when_the_client_closes_ends_with_an_error(
    sim: Simulator, connect: Connect
) -> None:
    """R32: never a hang, and never as if all had been read."""
    client = await connect()
    await client.service_locations()
    sim.add_fault(Fault("stall_before_headers", route="park_sessions"))
    reading = asyncio.create_task(client.sessions([1001, 1002], MARCH).collect())
    await until(lambda: sim.hits("park_sessions") > 0)

    await client.aclose()

    with pytest.raises(ClientClosed, match="while the stream was being read"):
        await reading


@pytest.mark.anyio
async def test_calls_under_way_when_the_client_closes_end_with_an_error_and_do_not_hang(
    sim: Simulator, connect: Connect
) -> None:
    """R32."""
    client = await connect()
    await client.service_locations()
    sim.add_fault(Fault("stall_before_headers", route="info"))
    calls = [asyncio.create_task(client.service_location(1001)) for _ in range(12)]
    await until(lambda: sim.hits("info") > 0)

    await client.aclose()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} <= {ClientClosed}, outcomes


async def _closing_during_a_refresh(sim: Simulator, client: SmappeeClient) -> asyncio.Task[object]:
    await client.service_locations()
    sim.oauth.expire_access_tokens()
    sim.reset_log()
    sim.add_fault(Fault("stall_after_headers", route="token", delay_s=0.05))
    call: asyncio.Task[object] = asyncio.create_task(client.service_locations())
    await until(lambda: sim.hits("token") > 0)
    return call


@pytest.mark.anyio
async def test_closing_during_a_refresh_waits_until_the_new_pair_is_saved(sim: Simulator) -> None:
    """R32."""
    store = MemoryTokenStore()
    async with client_of(sim, token_store=store) as client:
        call = await _closing_during_a_refresh(sim, client)
    with suppress(ClientClosed):
        await call

    stored = await store.load()
    assert stored is not None
    assert not stored.refreshing
    async with client_of(sim, token_store=store) as client:
        assert await client.service_locations()
    assert (sim.oauth.password_grants, sim.oauth.refresh_grants, sim.oauth.reuse_detections) == (1, 1, 0)


@pytest.mark.anyio
async def test_closing_inside_a_cancelled_scope_still_saves_the_new_pair(sim: Simulator) -> None:
    """R11, R32: an anyio scope cancels every wait inside it, the one for the refresh included."""
    store = MemoryTokenStore()
    call: asyncio.Task[object] | None = None
    with anyio.CancelScope() as scope:
        async with client_of(sim, token_store=store) as client:
            call = await _closing_during_a_refresh(sim, client)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert call is not None
    with suppress(ClientClosed):
        await call

    stored = await store.load()
    assert stored is not None
    assert not stored.refreshing
    assert (sim.oauth.password_grants, sim.oauth.refresh_grants) == (1, 1)
