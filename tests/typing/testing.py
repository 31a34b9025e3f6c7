"""What users write in their tests: the simulator, the fixtures, the clock. Nobody runs this: mypy and pyright read it."""

# pyright: strict

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import assert_type

import pytest

from smappee_async import ChargingSession, Credentials, SessionStatus, SmappeeClient, TimeRange
from smappee_async.simulator import Assumptions, Fault, Park, SimulatedClock, SimulatedSession, Simulator, World
from smappee_async.testing import VirtualTimeLoop

MARCH = TimeRange.month(2026, 3, tz="UTC")


async def a_simulator_in_the_same_loop() -> int:
    """Parks, faults, a clock and the truth."""
    world = World.of([Park.home(1001), Park.hub(1003, sessions_per_day=20), Park.fixed(1004)], seed=1)
    clock = SimulatedClock.at("2026-11-01T00:00:00Z")
    faults = [Fault("status", status=503, times=2), Fault("stall_before_headers", delay_s=5)]
    async with Simulator(world, clock=clock, faults=faults, assumptions=Assumptions(order="shuffled")) as sim:
        assert_type(sim, Simulator)
        assert_type(sim.base_url, str)
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        async with SmappeeClient(credentials, base_url=sim.base_url) as smappee:
            await smappee.sessions(1001, MARCH).collect()
        clock.move(timedelta(hours=1))
        sim.add_fault(Fault("truncated_json", route="park_sessions", probability=0.5))
        for truth in sim.ledger.sessions(1001, MARCH.start_ms, MARCH.end_ms):
            assert_type(truth, SimulatedSession)
        assert_type(sim.hits(), int)
        return sim.ledger.count(1001, MARCH.start_ms, MARCH.end_ms, state="active")


@pytest.fixture
def smappee_world() -> World:
    """A world of the suite's own, in place of the fixture's."""
    return World.demo(seed=7, parks=3)


@pytest.mark.anyio
async def test_of_a_user(
    smappee_client: SmappeeClient, smappee_simulator: Simulator, smappee_credentials: Credentials
) -> None:
    """A test on the fixtures."""
    async with smappee_client as smappee:
        assert_type(await smappee.sessions(1001, MARCH).collect(), list[ChargingSession])
    async with SmappeeClient(smappee_credentials, base_url=smappee_simulator.base_url) as own:
        await own.service_locations()


def on_virtual_time() -> None:
    """Waits that take no time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(3600))


def a_record_for_a_test() -> ChargingSession:
    """Records can be built by hand."""
    return ChargingSession(
        id=1,
        serial_number="6120009999",
        from_ms=int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000),
        status=SessionStatus.STOPPED,
    )
