"""A 401 for one park is a refusal of that park, if the service accepts the token for other calls."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from smappee_async import AuthenticationError, Limits, PermissionDenied, TimeRange
from smappee_async.defaults import REFUSED_TARGET_S
from smappee_async.simulator import Fault
from smappee_async.testing import VirtualTimeLoop

from .support import Cloud, told

pytestmark = pytest.mark.anyio
MARCH = TimeRange.month(2026, 3, tz="UTC")
PARKS = [1001, 1002, 1003]


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
def refused_park(cloud: Cloud) -> Cloud:
    cloud.sim.add_fault(Fault("unauthorized", service_location_id=1001))
    return cloud


async def test_a_refused_park_fails_alone(refused_park: Cloud) -> None:
    """R47."""
    client = await refused_park.connect()
    stream = client.sessions(PARKS, MARCH, on_error="collect")

    sessions = await stream.collect()

    assert told(sessions) == refused_park.truth([1002, 1003], MARCH)
    assert [(each.service_location_id, type(each.error)) for each in stream.failures] == [(1001, PermissionDenied)]
    assert stream.failures[0].error.facts.status == 401


async def test_a_refused_park_costs_one_renewal_however_often_it_is_asked(refused_park: Cloud) -> None:
    """R47."""
    client = await refused_park.connect(limits=Limits(concurrency=1))

    for _ in range(5):
        await client.sessions([1002, 1001], MARCH, on_error="collect").collect()

    # Each query verifies that the park is still refused; only the first renews the token.
    tokens = Counter(each.route for each in refused_park.sim.requests)["token"]
    assert tokens == 2


async def test_a_park_that_is_accepted_again_is_read(refused_park: Cloud) -> None:
    client = await refused_park.connect()
    await client.sessions(PARKS, MARCH, on_error="collect").collect()
    refused_park.sim.clear_faults()

    assert told(await client.sessions(PARKS, MARCH).collect()) == refused_park.truth(PARKS, MARCH)


async def test_a_refusal_is_forgotten_after_a_while(refused_park: Cloud) -> None:
    client = await refused_park.connect(limits=Limits(concurrency=1))
    await client.sessions([1002, 1001], MARCH, on_error="collect").collect()
    await asyncio.sleep(REFUSED_TARGET_S + 1)
    refused_park.sim.reset_log()

    await client.sessions([1002, 1001], MARCH, on_error="collect").collect()

    assert [each.route for each in refused_park.sim.requests].count("token") == 1


async def test_an_account_that_is_refused_for_all_calls_must_log_in_again(cloud: Cloud) -> None:
    """R16."""
    client = await cloud.connect()
    await client.service_location(1001)
    cloud.sim.add_fault(Fault("unauthorized"))

    with pytest.raises(AuthenticationError, match="refused a fresh access token"):
        await client.sessions(PARKS, MARCH, on_error="collect").collect()
