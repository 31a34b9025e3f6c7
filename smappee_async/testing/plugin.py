"""Pytest fixtures on the simulator. Pytest loads this module in every run, so it imports nothing else at the top.

The fixtures are synchronous, so they work with any asyncio plugin. The simulator runs in a thread of its own::

    async def test_report(smappee_client, smappee_simulator):
        async with smappee_client as smappee:
            report = await my_report(smappee)
        assert report.sessions == smappee_simulator.ledger.count(1001, report.start_ms, report.end_ms)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smappee_async import Credentials, SmappeeClient
    from smappee_async.simulator import Assumptions, Simulator, World


@pytest.fixture
def smappee_world() -> World:
    """The parks of the simulator: a home charger 1001, an office 1002, a hub 1003. Override it to serve others."""
    from smappee_async.simulator import Park, World  # noqa: PLC0415 - loaded only by tests that use it

    return World.of([Park.home(1001), Park.office(1002), Park.hub(1003, sessions_per_day=200)], seed=1)


@pytest.fixture
def smappee_assumptions() -> Assumptions:
    """What the simulator does where Smappee has documented nothing. Override it to test another behaviour."""
    from smappee_async.simulator import Assumptions  # noqa: PLC0415

    return Assumptions()


@pytest.fixture
def smappee_simulator(smappee_world: World, smappee_assumptions: Assumptions) -> Iterator[Simulator]:
    """A running simulator: add faults, move its clock, read the truth from its ledger."""
    from smappee_async.simulator import Simulator  # noqa: PLC0415
    from smappee_async.testing.thread import in_thread  # noqa: PLC0415

    with in_thread(lambda: Simulator(smappee_world, assumptions=smappee_assumptions)) as simulator:
        yield simulator


@pytest.fixture
def smappee_credentials(smappee_simulator: Simulator) -> Credentials:
    """The credentials of the simulator."""
    from smappee_async import Credentials  # noqa: PLC0415

    account = smappee_simulator.account
    return Credentials(account.client_id, account.client_secret, account.username, account.password)


@pytest.fixture
def smappee_client(smappee_simulator: Simulator, smappee_credentials: Credentials) -> SmappeeClient:
    """A client of the simulator; open it with ``async with``."""
    from smappee_async import SmappeeClient  # noqa: PLC0415

    return SmappeeClient(smappee_credentials, base_url=smappee_simulator.base_url, proxy=False)
