"""When a call is tried again, how long everybody waits, and when it is given up: on virtual time, over real HTTP."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from smappee_async import (
    DeadlineExceeded,
    Limits,
    RateLimited,
    ResponseDecodeError,
    ResponseTooLarge,
    RetryPolicy,
    ServerError,
    SmappeeClient,
    TimeRange,
    TransportError,
)
from smappee_async.simulator import Fault
from smappee_async.testing import VirtualTimeLoop

from .support import Cloud, told

pytestmark = pytest.mark.anyio

MARCH = TimeRange.month(2026, 3, tz="UTC")
YEAR = TimeRange.year(2025, tz="UTC")
QUARTER = TimeRange.parse("2025-01-01..2025-04-01")
DEFAULT = RetryPolicy(patience=None)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def now() -> float:
    return asyncio.get_running_loop().time()


async def logged_in(cloud: Cloud, **settings: Any) -> SmappeeClient:
    """A client that has its token already, and a log that is empty."""
    client = await cloud.connect(**({"retry": DEFAULT} | settings))
    await client.service_location(1001)
    cloud.sim.reset_log()
    return client


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_passing_status_is_tried_four_times_and_then_raised_with_its_facts(cloud: Cloud, status: int) -> None:
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=status))

    with pytest.raises(Exception, match=str(status)) as caught:
        await client.service_location(1001)

    assert cloud.sim.hits() == 4
    assert caught.value.facts.attempts == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_a_definite_status_is_not_tried_again(cloud: Cloud, status: int) -> None:
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=status))

    with pytest.raises(Exception, match=str(status)):
        await client.service_location(1001)

    assert cloud.sim.hits() == 1


async def test_with_retry_policy_none_every_call_is_sent_once(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy.none())
    cloud.sim.add_fault(Fault("close_before_headers"))

    with pytest.raises(TransportError, match="disconnected"):
        await client.service_location(1001)

    assert cloud.sim.hits() == 1


async def test_waits_grow_but_stay_below_their_bounds(cloud: Cloud) -> None:
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=500))

    with pytest.raises(ServerError):
        await client.service_location(1001)

    at = [each.at_s for each in cloud.sim.requests]
    waits = [after - before for before, after in itertools.pairwise(at)]
    assert all(wait <= bound + 0.01 for wait, bound in zip(waits, (0.1, 0.2, 0.4), strict=True))


async def test_a_429_pauses_everybody_then_one_probe_goes_first(cloud: Cloud) -> None:
    """R23."""
    client = await logged_in(cloud, limits=Limits(concurrency=16))
    cloud.sim.latency_s = 1.0
    cloud.sim.add_fault(Fault("status", status=429, retry_after="30", times=16))
    began = now()

    await asyncio.gather(*(client.service_location(1001) for _ in range(24)))

    refused = [each for each in cloud.sim.requests if each.status == 429]
    later = sorted(each.at_s for each in cloud.sim.requests if each.status == 200)
    assert len(refused) == 16
    assert all(each.at_s - began < 1 for each in refused)
    assert 30 <= later[0] - began <= 34.1
    assert later[1] - later[0] >= 1.0  # the second waits until the probe has come back
    assert len(later) == 24


async def test_a_retry_after_beyond_the_cap_is_raised_at_once(cloud: Cloud) -> None:
    """R24."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=429, retry_after="121"))
    began = now()

    with pytest.raises(RateLimited) as caught:
        await client.service_location(1001)

    assert caught.value.retry_after_s == 121
    assert now() - began < 1
    assert cloud.sim.hits() == 1


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "soon", "Fri, 29 Sep 100000 10:00:00 GMT", ""])
async def test_a_retry_after_that_says_nothing_usable_is_as_if_it_were_not_there(cloud: Cloud, text: str) -> None:
    """R24."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=503, retry_after=text, times=1))
    began = now()

    await client.service_location(1001)

    assert now() - began <= 1.01


async def test_a_service_that_always_hangs_up_is_asked_little_more_than_once_a_call(cloud: Cloud) -> None:
    """R22: the retry budget; and each hit is one that was counted."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("close_before_headers"))
    failures = []
    for _ in range(300):
        with pytest.raises(TransportError) as caught:
            await client.service_location(1001)
        failures.append(caught.value)

    attempts = sum(each.facts.attempts or 0 for each in failures)

    assert cloud.sim.hits() == attempts
    assert attempts / 300 <= 1.1
    assert failures[-1].retry_budget_exhausted


async def test_the_budget_refills_with_success(cloud: Cloud) -> None:
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("close_before_headers", times=60))
    for _ in range(40):
        with pytest.raises(TransportError):
            await client.service_location(1001)
    cloud.sim.clear_faults()
    for _ in range(100):
        await client.service_location(1001)
    cloud.sim.reset_log()
    cloud.sim.add_fault(Fault("close_before_headers", times=3))

    await client.service_location(1001)

    assert cloud.sim.hits() == 4


async def test_an_outage_is_outlasted_with_patience_at_one_probe_in_fifteen_seconds(cloud: Cloud) -> None:
    """R26."""
    client = await logged_in(cloud, retry=RetryPolicy(patience=timedelta(hours=6)))
    outage = Fault("status", status=503)
    cloud.sim.add_fault(outage)
    began = now()
    asyncio.get_running_loop().call_later(1800, cloud.sim.clear_faults)

    sessions = await client.sessions([1001, 1002], YEAR).collect()

    failed = [each.at_s - began for each in cloud.sim.requests if each.status == 503]
    assert told(sessions) == cloud.truth([1001, 1002], YEAR)
    assert len([at for at in failed if at > 60]) <= 1800 / 15
    assert 1800 <= now() - began <= 1900


async def test_patience_ends(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy(patience=timedelta(minutes=10)))
    cloud.sim.add_fault(Fault("status", status=503))
    began = now()

    with pytest.raises(ServerError):
        await client.sessions([1001], MARCH).collect()

    assert 600 <= now() - began <= 700


@pytest.mark.parametrize(
    "outage", [Fault("status", status=502), Fault("reset_before_headers"), Fault("close_before_headers")]
)
@pytest.mark.parametrize("concurrency", [8, 16, 64])
async def test_an_outage_of_a_second_does_not_end_a_default_stream(
    cloud: Cloud, outage: Fault, concurrency: int
) -> None:
    """R46."""
    client = await logged_in(cloud, retry=RetryPolicy(), limits=Limits(concurrency=concurrency, target_sessions=20))
    cloud.sim.latency_s = 0.1
    cloud.sim.add_fault(outage)
    asyncio.get_running_loop().call_later(1, cloud.sim.clear_faults)

    stream = client.sessions([1001, 1002, 1003], QUARTER)
    sessions = await stream.collect()

    assert told(sessions) == cloud.truth([1001, 1002, 1003], QUARTER)
    assert stream.stats.requests > concurrency


async def test_an_outage_of_a_second_does_not_end_a_stream_that_must_log_in_first(cloud: Cloud) -> None:
    """R46."""
    client = await cloud.connect(retry=RetryPolicy())
    cloud.sim.add_fault(Fault("status", status=502))
    asyncio.get_running_loop().call_later(1, cloud.sim.clear_faults)

    assert told(await client.sessions(1001, QUARTER).collect()) == cloud.truth([1001], QUARTER)
    assert cloud.sim.hits("token") <= 12


async def test_in_a_long_outage_a_default_client_sends_little_more_than_once_a_call(cloud: Cloud) -> None:
    """R46, R22."""
    client = await logged_in(cloud, retry=RetryPolicy(), limits=Limits(concurrency=16))
    cloud.sim.add_fault(Fault("status", status=502))
    for _ in range(20):
        failed = await asyncio.gather(*(client.service_location(1001) for _ in range(50)), return_exceptions=True)
        assert {type(each) for each in failed} == {ServerError}

    assert cloud.sim.hits() / 1000 <= 1.1


async def test_a_park_that_fails_while_others_succeed_is_not_waited_for(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy(patience=timedelta(hours=6)))
    cloud.sim.add_fault(Fault("status", status=502, service_location_id=1001))
    other = asyncio.create_task(ask_often(client, 1002))
    began = now()

    with pytest.raises(ServerError):
        await client.sessions(1001, MARCH).collect()

    other.cancel()
    assert now() - began < 60


async def ask_often(client: SmappeeClient, park: int) -> None:
    while True:
        await client.service_location(park)
        await asyncio.sleep(0.01)


async def test_a_retry_after_beyond_the_patience_that_is_left_is_raised(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy(max_retry_after_s=60, patience=timedelta(minutes=10)))
    cloud.sim.add_fault(Fault("status", status=429, retry_after="9999999"))
    began = now()

    with pytest.raises(RateLimited):
        await client.service_location(1001)

    assert now() - began < 1


async def test_a_deadline_is_kept_while_the_response_of_another_stream_is_verified(cloud: Cloud) -> None:
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("stall_before_headers", service_location_id=1003, skip=1, delay_s=15))
    slow = asyncio.create_task(client.sessions(1003, MARCH).collect())
    await asyncio.sleep(1)
    began = now()

    await client.sessions(1002, TimeRange.year(2025, tz="UTC"), deadline=timedelta(seconds=2)).collect()

    assert now() - began <= 2.1
    await slow


@pytest.mark.parametrize("kind", ["stall_before_headers", "stall_after_headers", "drip"])
async def test_a_deadline_holds_whatever_the_service_does(cloud: Cloud, kind: Any) -> None:
    """R25."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault(kind, bytes_per_s=10))
    began = now()

    with pytest.raises(DeadlineExceeded):
        await client.sessions([1001, 1002, 1003], MARCH, deadline=timedelta(seconds=100)).collect()

    assert 99 <= now() - began <= 101


async def test_a_deadline_covers_a_pause_that_the_service_asked_for(cloud: Cloud) -> None:
    """R25."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("status", status=429, retry_after="100"))
    began = now()

    with pytest.raises(DeadlineExceeded):
        await client.sessions([1001], MARCH, deadline=timedelta(seconds=50)).collect()

    assert now() - began <= 51


async def test_waiting_for_a_free_place_does_not_count_as_an_attempts_time(cloud: Cloud) -> None:
    """R25: 24 calls of 25 s, one at a time, against a time-out of 60 s an attempt."""
    client = await logged_in(cloud, limits=Limits(concurrency=1))
    cloud.sim.latency_s = 25
    began = now()

    await asyncio.gather(*(client.service_location(1001) for _ in range(24)))

    assert now() - began >= 600


async def test_a_park_that_never_answers_in_time_is_not_split_without_end(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy.none(), limits=Limits(concurrency=1))
    cloud.sim.add_fault(Fault("stall_before_headers", service_location_id=1001))

    with pytest.raises(TransportError, match="silent"):
        await client.sessions([1001], MARCH).collect()

    assert cloud.sim.hits() == 4


async def test_an_attempt_that_drips_for_ever_is_ended_by_its_own_bound(cloud: Cloud) -> None:
    """R33."""
    client = await logged_in(cloud, retry=RetryPolicy.none())
    cloud.sim.add_fault(Fault("drip", bytes_per_s=0.5))
    began = now()

    with pytest.raises(TransportError, match="longer than 60 s"):
        await client.service_location(1001)

    assert 59 <= now() - began <= 61


async def test_silence_is_ended_by_the_read_time_out(cloud: Cloud) -> None:
    client = await logged_in(cloud, retry=RetryPolicy.none())
    cloud.sim.add_fault(Fault("stall_after_headers"))
    began = now()

    with pytest.raises(TransportError, match="silent for 30 s"):
        await client.service_location(1001)

    assert 29 <= now() - began <= 32


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless_body"])
async def test_a_response_without_an_end_is_refused_at_the_body_limit(cloud: Cloud, kind: Any) -> None:
    """R33."""
    client = await logged_in(cloud, limits=Limits(max_body_bytes=1_000_000))
    cloud.sim.add_fault(Fault(kind, size_bytes=64 * 2**20, service_location_id=1001))

    with pytest.raises(ResponseTooLarge, match="1,000,000"):
        await client.service_location(1001)

    assert (await client.service_location(1002)).id == 1002


@pytest.mark.parametrize("kind", ["empty_200", "null_200", "object_200", "truncated_json", "maintenance"])
async def test_an_unreadable_response_is_tried_again_and_then_an_error_never_no_sessions(
    cloud: Cloud, kind: Any
) -> None:
    """R5."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault(kind, status=200, route="park_sessions"))

    with pytest.raises(ResponseDecodeError):
        await client.sessions([1001], MARCH).collect()

    assert cloud.sim.hits("park_sessions") == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(cloud: Cloud, status: int) -> None:
    """R20, R36."""
    client = await logged_in(cloud)
    cloud.sim.add_fault(Fault("redirect", status=status, location=f"{cloud.sim.origin}/elsewhere"))

    with pytest.raises(Exception, match="redirected"):
        await client.service_location(1001)

    assert cloud.sim.hits() == 1


async def test_calls_keep_to_the_rate_that_was_set(cloud: Cloud) -> None:
    client = await logged_in(cloud, limits=Limits(rate=2))
    began = now()

    await asyncio.gather(*(client.service_location(1001) for _ in range(24)))

    assert cloud.sim.hits() == 24
    assert 10 <= now() - began <= 13
