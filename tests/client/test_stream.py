"""What a stream promises: all of it, once, in order, with an account."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from smappee_async import (
    AuthenticationError,
    ChargingSession,
    ClientClosed,
    ClientEvent,
    Credentials,
    DeadlineExceeded,
    Limits,
    NotFound,
    ResponseDecodeError,
    RetryPolicy,
    Seen,
    ServerError,
    SmappeeError,
    TimeRange,
    TransportError,
)
from smappee_async.simulator import Assumptions, Fault, Park, SimulatedClock, SimulatedSession

from .support import Cloud, StartCloud, told

pytestmark = pytest.mark.anyio

YEAR = TimeRange.year(2025, tz="UTC")
MARCH = TimeRange.month(2026, 3, tz="UTC")
PARKS = [1001, 1002, 1003]
#: For tests that look at single requests: no response is asked for again in parts.
BELIEVING = Limits(verify_from_sessions=None)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


# --- all of it, once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["arrival", "start"])
async def test_a_year_of_several_parks_comes_out_exactly_as_the_ledger_has_it(cloud: Cloud, order: Any) -> None:
    client = await cloud.connect()

    sessions = await client.sessions(PARKS, YEAR, order=order).collect()

    assert told(sessions) == cloud.truth(PARKS, YEAR)


@pytest.mark.parametrize("order", ["arrival", "start"])
@pytest.mark.parametrize("factor", [0, 0.1, 1, 10])
async def test_it_comes_out_the_same_whatever_was_seen_of_the_parks_before(
    cloud: Cloud, order: Any, factor: float
) -> None:
    client = await cloud.connect(limits=Limits(target_sessions=50))
    per_year = {1001: 365, 1002: 8_000, 1003: 7_300}
    seen = {park: Seen(int(sessions * factor), timedelta(days=365)) for park, sessions in per_year.items()}

    sessions = await client.sessions(PARKS, MARCH, order=order, seen=seen).collect()

    assert told(sessions) == cloud.truth(PARKS, MARCH)


@pytest.mark.parametrize("state", ["completed", "active", "all"])
@pytest.mark.parametrize("active_filter", ["strict", "lenient", "ignored"])
async def test_each_state_is_right_however_the_service_reads_the_active_flag(
    cloud_of: StartCloud, state: Any, active_filter: Any
) -> None:
    cloud = await cloud_of(
        Park.home(1001),
        Park.hub(1003, sessions_per_day=20),
        clock=SimulatedClock.at(NOW),
        assumptions=Assumptions(active_filter=active_filter),
    )
    client = await cloud.connect()
    week = TimeRange.last(days=7, now=NOW)

    sessions = await client.sessions([1001, 1003], week, state=state).collect()

    assert told(sessions) == cloud.truth([1001, 1003], week, state)


@pytest.mark.parametrize(
    "assumptions",
    [
        Assumptions(serial_number_type="text"),
        Assumptions(field_profile="documented"),
        Assumptions(field_profile="seen"),
        Assumptions(order="oldest_first"),
        Assumptions(order="shuffled"),
        Assumptions(empty_response="no_content"),
    ],
    ids=repr,
)
async def test_the_records_are_right_under_every_assumption_about_the_service(
    cloud_of: StartCloud, assumptions: Assumptions
) -> None:
    cloud = await cloud_of(Park.home(1001), Park.office(1002), assumptions=assumptions)
    client = await cloud.connect()

    sessions = await client.sessions([1001, 1002], MARCH).collect()

    assert told(sessions) == cloud.truth([1001, 1002], MARCH)


async def test_sessions_at_the_edges_of_the_range_and_of_its_chunks_come_once(cloud_of: StartCloud) -> None:
    """R2."""
    edges = [chunk.start_ms for chunk in YEAR.split("month")] + [YEAR.end_ms or 0]
    starts = [edge + shift for edge in edges for shift in (-1, 0, 1)]
    fixed = [SimulatedSession(id=number, start_ms=start, end_ms=start + 1000) for number, start in enumerate(starts, 1)]
    cloud = await cloud_of(Park.fixed(1004, fixed))
    client = await cloud.connect()

    sessions = await client.sessions(1004, YEAR).collect()

    assert Counter(each.from_ms for each in sessions) == Counter(start for start in starts if YEAR.contains_ms(start))


async def test_a_session_that_ends_between_the_two_queries_comes_once_and_completed(cloud_of: StartCloud) -> None:
    """R3: the active ones are asked first, so it cannot be in neither response."""
    now = SimulatedClock.at(NOW)
    running = SimulatedSession(id=7, start_ms=now.now_ms - 3_600_000, end_ms=now.now_ms + 60_000)
    cloud = await cloud_of(Park.fixed(1004, [running]), clock=now)

    def end_it(event: ClientEvent) -> None:
        if event.kind == "attempt_ended" and "chargingparks" in (event.facts.route or ""):
            now.move(timedelta(minutes=2))

    client = await cloud.connect(on_event=end_it)
    stream = client.sessions(1004, TimeRange.last(days=1, now=NOW), state="all")

    sessions = await stream.collect()

    assert [(each.id, each.ended_at is not None) for each in sessions] == [(7, True)]
    assert stream.stats.duplicates == 1


async def test_all_states_ask_for_the_active_sessions_first(cloud: Cloud) -> None:
    client = await cloud.connect(limits=BELIEVING)

    await client.sessions(1001, MARCH, state="all").collect()

    asked = [each.active for each in cloud.sim.requests if each.route == "park_sessions"]
    assert asked == [True, False]


async def test_the_last_chunk_of_an_open_range_is_sent_without_an_end(cloud: Cloud) -> None:
    """R8: a wrong clock on this side cuts nothing off."""
    client = await cloud.connect(limits=BELIEVING)

    await client.sessions(1001, TimeRange.since(NOW - timedelta(days=40))).collect()

    ends = [each.end_ms for each in sorted(cloud.sim.requests, key=lambda each: each.start_ms or 0)]
    assert ends[-1] is None
    assert None not in [each.end_ms for each in cloud.sim.requests if each.route == "park_sessions"][:-1]


async def test_a_park_that_is_named_twice_is_asked_once(cloud: Cloud) -> None:
    client = await cloud.connect()

    sessions = await client.sessions([1001, 1001], MARCH).collect()

    assert told(sessions) == cloud.truth([1001], MARCH)


async def test_stations_are_asked_by_serial_number(cloud: Cloud) -> None:
    client = await cloud.connect()
    serial = (await client.sessions(1001, MARCH).collect())[0].serial_number

    sessions = await client.station_sessions(serial, MARCH).collect()

    assert {each.id for each in sessions} == {
        each.id
        for each in cloud.sim.ledger.sessions(1001, MARCH.start_ms, MARCH.end_ms)
        if str(each.serial_number) == serial
    }
    assert {each.service_location_id for each in sessions} == {None}


async def test_a_response_that_is_too_large_is_cut_into_shorter_ranges(cloud: Cloud) -> None:
    client = await cloud.connect(limits=Limits(max_body_bytes=100_000))

    sessions = await client.sessions(1003, MARCH).collect()

    assert told(sessions) == cloud.truth([1003], MARCH)
    assert max(each.body_bytes for each in cloud.sim.requests if each.fault is None) > 100_000


async def test_a_park_that_does_not_answer_in_time_is_asked_for_shorter_ranges(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("stall_before_headers", route="park_sessions", wider_than_s=20 * 86400))
    client = await cloud.connect(limits=Limits(attempt_timeout_s=0.1), retry=RetryPolicy.none())

    sessions = await client.sessions(1001, MARCH).collect()

    assert told(sessions) == cloud.truth([1001], MARCH)


# --- order ----------------------------------------------------------------------------------------------------------------


async def test_order_by_start_holds_over_all_parks(cloud: Cloud) -> None:
    client = await cloud.connect()

    starts = [each.from_ms async for each in client.sessions(PARKS, YEAR, order="start")]

    assert starts == sorted(starts)
    assert len(starts) > 1000


async def test_order_by_start_holds_although_chunks_are_cut(cloud: Cloud) -> None:
    client = await cloud.connect(limits=Limits(max_body_bytes=100_000))

    starts = [each.from_ms async for each in client.sessions([1003, 1001], MARCH, order="start")]

    assert starts == sorted(starts)
    assert len(starts) == len(cloud.truth([1003, 1001], MARCH))


async def test_order_by_start_holds_one_response_of_each_park_in_hand_and_one_ahead(cloud: Cloud) -> None:
    client = await cloud.connect(limits=Limits(concurrency=2))
    stream = client.sessions(PARKS, YEAR, order="start")

    async with stream:
        await anext(stream)
        await asyncio.sleep(0.2)

        assert stream.stats.chunks <= 3 * len(PARKS)  # a first look without sessions is passed over


async def test_batches_by_start_come_by_the_start_of_their_chunk(cloud: Cloud) -> None:
    client = await cloud.connect()

    batches = [batch async for batch in client.sessions(PARKS, YEAR, order="start").batches()]

    assert [each.time_range.start_ms for each in batches] == sorted(each.time_range.start_ms for each in batches)
    assert told(each for batch in batches for each in batch.sessions) == cloud.truth(PARKS, YEAR)


# --- batches and checkpoints ----------------------------------------------------------------------------------------------


async def test_each_batch_is_of_one_park_and_one_time_range(cloud: Cloud) -> None:
    client = await cloud.connect()

    batches = [batch async for batch in client.sessions(PARKS, YEAR).batches()]

    assert all(
        each.service_location_id == batch.service_location_id and batch.time_range.contains_ms(each.from_ms)
        for batch in batches
        for each in batch.sessions
    )
    assert told(each for batch in batches for each in batch.sessions) == cloud.truth(PARKS, YEAR)


async def test_the_last_batches_of_all_chunks_tile_the_range_of_each_park(cloud: Cloud) -> None:
    client = await cloud.connect()

    batches = [batch async for batch in client.sessions([1001, 1003], YEAR).batches() if batch.is_last]

    for park in (1001, 1003):
        chunks = sorted((each.time_range for each in batches if each.service_location_id == park), key=str)
        assert chunks[0].start_ms == YEAR.start_ms
        assert [each.end_ms for each in chunks] == [each.start_ms for each in chunks[1:]] + [YEAR.end_ms]


async def test_a_chunk_without_sessions_comes_as_an_empty_batch(cloud_of: StartCloud) -> None:
    cloud = await cloud_of(Park.fixed(1004, []))
    client = await cloud.connect()

    batches = [batch async for batch in client.sessions(1004, MARCH).batches()]

    assert [(each.time_range, each.sessions, each.is_last) for each in batches] == [(MARCH, (), True)]


@pytest.mark.parametrize("order", ["arrival", "start"])
async def test_going_on_from_a_checkpoint_after_each_chunk_repeats_and_skips_nothing(cloud: Cloud, order: Any) -> None:
    client = await cloud.connect(limits=Limits(concurrency=2))
    saved: list[ChargingSession] = []
    checkpoint = None

    for _ in range(100):
        async with client.sessions([1001, 1003], MARCH, order=order, resume=checkpoint) as stream:
            async for batch in stream.batches():
                saved += batch.sessions
                if batch.is_last:
                    break
            else:
                break
            checkpoint = json.loads(json.dumps(stream.checkpoint()))

    assert told(saved) == cloud.truth([1001, 1003], MARCH)


async def test_a_checkpoint_between_two_sessions_never_skips_one(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions([1001, 1003], YEAR)
    saved = []
    async with stream:
        async for session in stream:
            saved.append(session)
            if len(saved) == 3_000:
                break
        checkpoint = stream.checkpoint()

    saved += await client.sessions([1001, 1003], YEAR, resume=checkpoint).collect()

    assert told(set(saved)) == cloud.truth([1001, 1003], YEAR)


async def test_what_a_checkpoint_covers_is_not_asked_again(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions(1001, YEAR)
    await stream.collect()
    cloud.sim.reset_log()

    again = await client.sessions(1001, YEAR, resume=stream.checkpoint()).collect()

    assert again == []
    assert cloud.sim.hits() == 0


# --- what goes wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "maintenance",
        "empty_200",
        "null_200",
        "object_200",
        "truncated_json",
        "truncated_body",
        "chunked_cut",
        "reset_before_headers",
        "reset_mid_body",
        "close_before_headers",
        "unauthorized",
        "token_revoked",
        "set_cookie",
        "huge_headers",
        "wrong_content_length",
    ],
)
async def test_a_fault_that_passes_costs_no_session(cloud: Cloud, kind: Any) -> None:
    """R1, R5."""
    cloud.sim.add_fault(Fault(kind, route="park_sessions", skip=1, times=1))
    client = await cloud.connect()

    stream = client.sessions([1001, 1002], MARCH)

    assert told(await stream.collect()) == cloud.truth([1001, 1002], MARCH)
    assert stream.stats.requests == cloud.sim.hits("park_sessions")


async def test_records_that_come_twice_are_handed_over_once_and_counted(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("duplicate_records"))
    client = await cloud.connect()
    stream = client.sessions(1001, MARCH)

    assert told(await stream.collect()) == cloud.truth([1001], MARCH)
    assert stream.stats.duplicates > 0


async def test_a_fault_that_stays_ends_the_stream_with_an_error_that_names_park_and_range(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("status", status=503, service_location_id=1002))
    client = await cloud.connect()

    with pytest.raises(ServerError) as caught:
        await client.sessions(PARKS, MARCH).collect()

    facts = caught.value.facts
    assert (facts.service_location_id, facts.status, facts.attempts) == (1002, 503, 4)
    assert facts.time_range is not None
    assert MARCH.contains_ms(facts.time_range.start_ms)


async def test_with_collect_the_other_parks_go_on_and_the_failure_is_listed(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("status", status=500, service_location_id=1002))
    client = await cloud.connect()
    stream = client.sessions(PARKS, MARCH, on_error="collect")

    assert told(await stream.collect()) == cloud.truth([1001, 1003], MARCH)
    assert {each.service_location_id for each in stream.failures} == {1002}
    lost = sorted((each.time_range for each in stream.failures), key=str)
    assert (lost[0].start_ms, lost[-1].end_ms) == (MARCH.start_ms, MARCH.end_ms)


async def test_a_park_that_does_not_exist_is_asked_once(cloud: Cloud) -> None:
    client = await cloud.connect(limits=Limits(concurrency=1))
    stream = client.sessions([999], YEAR, on_error="collect")

    assert await stream.collect() == []
    assert cloud.sim.hits("park_sessions") == 1
    assert isinstance(stream.failures[0].error, NotFound)


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_wrong_password_ends_the_stream_however_failures_are_handled(cloud: Cloud, on_error: Any) -> None:
    wrong = Credentials("simulated-client", "simulated-secret", "somebody", "wrong")
    client = await cloud.connect(credentials=wrong)

    with pytest.raises(AuthenticationError):
        await client.sessions(PARKS, MARCH, on_error=on_error).collect()


async def test_an_unreadable_record_ends_the_stream_with_its_park_range_index_and_path(cloud: Cloud) -> None:
    """R6."""
    cloud.sim.add_fault(Fault("bad_json_record", index=3, service_location_id=1001))
    client = await cloud.connect()

    with pytest.raises(ResponseDecodeError) as caught:
        await client.sessions(1001, YEAR).collect()

    error = caught.value
    assert (error.index, error.facts.service_location_id) == (3, 1001)
    assert error.json_path is not None
    assert error.facts.time_range is not None


async def test_unreadable_records_are_collected_and_the_others_come(cloud: Cloud) -> None:
    """R6."""
    cloud.sim.add_fault(Fault("bad_json_record", index=3, times=1))
    client = await cloud.connect(limits=BELIEVING)
    stream = client.sessions(1001, MARCH, on_invalid="collect")

    sessions = await stream.collect()

    assert len(sessions) == cloud.sim.ledger.count(1001, MARCH.start_ms, MARCH.end_ms) - 1
    assert len(stream.invalid) == 1
    assert stream.invalid[0].raw.startswith(b"{")


async def test_a_deadline_ends_the_stream_and_says_so(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("stall_before_headers", service_location_id=1002))
    client = await cloud.connect()

    with pytest.raises(DeadlineExceeded) as caught:
        await client.sessions(1002, MARCH, deadline=timedelta(seconds=0.1)).collect()

    assert caught.value.facts.service_location_id == 1002


@pytest.mark.parametrize("order", ["arrival", "start"])
async def test_with_collect_a_deadline_lists_each_of_very_many_parks_once(cloud: Cloud, order: Any) -> None:
    client = await cloud.connect()
    await client.service_locations()  # logs in
    cloud.sim.add_fault(Fault("stall_before_headers"))
    parks = range(1, 2001)
    stream = client.sessions(parks, MARCH, deadline=timedelta(seconds=0.1), on_error="collect", order=order)
    assert await stream.collect() == []
    assert sorted(failure.service_location_id or 0 for failure in stream.failures) == list(parks)
    assert {(failure.time_range, type(failure.error)) for failure in stream.failures} == {(MARCH, DeadlineExceeded)}


async def test_with_collect_a_deadline_lists_everything_that_was_not_read(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("stall_before_headers", service_location_id=1002))
    client = await cloud.connect(limits=Limits(concurrency=1))
    stream = client.sessions([1002], YEAR, deadline=timedelta(seconds=0.1), on_error="collect")

    assert await stream.collect() == []
    assert {type(each.error) for each in stream.failures} == {DeadlineExceeded}
    lost = sorted((each.time_range for each in stream.failures), key=str)
    assert (lost[0].start_ms, lost[-1].end_ms) == (YEAR.start_ms, YEAR.end_ms)


async def test_a_status_that_nobody_knows_is_handed_over_counted_and_told_once(cloud: Cloud) -> None:
    """R38."""
    cloud.sim.add_fault(Fault("unknown_status"))
    events: list[ClientEvent] = []
    client = await cloud.connect(on_event=events.append)
    stream = client.sessions(1002, MARCH)

    sessions = await stream.collect()

    strange = [each for each in sessions if not each.status.is_known]
    assert strange
    assert stream.stats.unknown_statuses == len(strange)
    assert len([each for each in events if each.kind == "unknown_status"]) == len({each.status for each in strange})


async def test_keys_that_nobody_knew_are_kept_in_extra(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("unknown_fields"))
    client = await cloud.connect()

    sessions = await client.sessions(1001, MARCH).collect()

    assert all(each.extra for each in sessions)


async def test_received_is_always_what_was_handed_over_and_left_out(cloud: Cloud) -> None:
    """R6: at any moment, not only at the end."""
    cloud.sim.add_fault(Fault("duplicate_records"))
    cloud.sim.add_fault(Fault("bad_json_record", index=5))
    client = await cloud.connect()
    stream = client.sessions(PARKS, MARCH, on_invalid="collect", order="start", state="all")

    handed_over = 0
    async for _ in stream:
        handed_over += 1
        stats = stream.stats
        assert stats.sessions == handed_over
        assert stats.received == stats.sessions + stats.filtered + stats.duplicates + stats.invalid


# --- the end --------------------------------------------------------------------------------------------------------------


async def idle(cloud: Cloud) -> bool:
    """Whether the service has nothing to do any more."""
    for _ in range(200):
        if cloud.sim.open_connections == 0:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_breaking_off_a_plain_loop_ends_the_requests(cloud: Cloud) -> None:
    """R28."""
    client = await cloud.connect()

    async for _ in client.sessions(PARKS, YEAR):
        break
    await asyncio.sleep(0.05)

    assert await idle(cloud)
    hits = cloud.sim.hits()
    await asyncio.sleep(0.05)
    assert cloud.sim.hits() == hits


async def test_an_exception_in_the_block_ends_the_requests_and_comes_out_as_it_is(cloud: Cloud) -> None:
    """R28."""
    client = await cloud.connect()

    async def fail() -> None:
        async with client.sessions(PARKS, YEAR) as stream:
            async for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await idle(cloud)


@pytest.mark.parametrize("how", ["native", "asyncio.timeout", "anyio"])
async def test_a_cancelled_consumer_leaves_nothing_and_the_client_goes_on(cloud: Cloud, how: str) -> None:
    """R28, R29."""
    client = await cloud.connect()

    async def consume() -> None:
        async with client.sessions(PARKS, YEAR) as stream:
            async for _ in stream:
                await asyncio.sleep(0.01)

    if how == "native":
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif how == "asyncio.timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await consume()
    else:
        with anyio.move_on_after(0.1):
            await consume()

    assert await idle(cloud)
    assert told(await client.sessions(1001, MARCH).collect()) == cloud.truth([1001], MARCH)


async def test_closing_the_client_ends_a_stream_that_is_being_read(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions(PARKS, YEAR)
    await anext(stream)
    await client.aclose()

    with pytest.raises(ClientClosed):
        [each async for each in stream]


async def test_a_stream_that_was_closed_hands_out_nothing_more(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions(PARKS, YEAR)
    await anext(stream)
    await stream.aclose()

    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_loop_that_was_broken_off_can_be_taken_up_within_the_block(cloud: Cloud) -> None:
    client = await cloud.connect()

    async with client.sessions(1003, MARCH) as stream:
        first = [await anext(stream) for _ in range(10)]
        rest = [each async for each in stream]

    assert told(first + rest) == cloud.truth([1003], MARCH)


async def test_a_stream_is_read_by_session_or_by_batch_but_not_both(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions(1001, MARCH)
    await stream.collect()

    with pytest.raises(RuntimeError, match="read once"):
        await anext(stream.batches())


async def test_a_stream_that_was_never_read_asks_nothing_and_needs_no_closing(cloud: Cloud) -> None:
    client = await cloud.connect()

    client.sessions(PARKS, YEAR)

    assert cloud.sim.hits() == 0


async def test_a_slow_consumer_holds_the_requests_back(cloud: Cloud) -> None:
    """R30."""
    client = await cloud.connect(limits=Limits(concurrency=4))

    async with client.sessions(PARKS, YEAR) as stream:
        await anext(aiter(stream.batches()))
        await asyncio.sleep(0.3)

        assert cloud.sim.hits("park_sessions") <= 5


async def test_the_service_never_sees_more_calls_at_once_than_allowed(cloud: Cloud) -> None:
    """R27: over several streams of one client."""
    cloud.sim.latency_s = 0.005
    client = await cloud.connect(limits=Limits(concurrency=3))

    await asyncio.gather(*(client.sessions(PARKS, YEAR).collect() for _ in range(3)))

    assert cloud.sim.peak_concurrency == 3


async def test_every_try_is_counted_as_the_service_counts_it(cloud: Cloud) -> None:
    """R22: nothing below this package sends anything again by itself."""
    cloud.sim.add_fault(Fault("close_before_headers", route="park_sessions", probability=0.3))
    client = await cloud.connect(retry=RetryPolicy(attempts=20, base_delay_s=0.0001, budget=1000))
    stream = client.sessions(PARKS, YEAR)

    await stream.collect()

    assert stream.stats.requests == cloud.sim.hits("park_sessions")
    assert stream.stats.retries > 0


async def test_all_errors_of_a_stream_are_errors_of_this_package(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("reset_mid_body", route="park_sessions"))
    client = await cloud.connect()

    with pytest.raises(SmappeeError) as caught:
        await client.sessions(1001, MARCH).collect()

    assert isinstance(caught.value, TransportError)


@pytest.mark.parametrize("truncation", [100, 137, 500, 777])
@pytest.mark.parametrize("order", ["newest_first", "shuffled"])
async def test_a_silent_limit_on_responses_is_found_out_and_cut_around(
    cloud_of: StartCloud, truncation: int, order: Any
) -> None:
    """R7."""
    cloud = await cloud_of(
        Park.home(1001),
        Park.hub(1003, sessions_per_day=20),
        assumptions=Assumptions(session_limit=truncation, order=order),
    )
    client = await cloud.connect()

    sessions = await client.sessions([1001, 1003], MARCH).collect()

    assert told(sessions) == cloud.truth([1001, 1003], MARCH)


async def test_a_response_as_large_as_one_that_was_proven_whole_is_not_asked_again(cloud: Cloud) -> None:
    client = await cloud.connect()
    await client.sessions(1002, MARCH).collect()
    cloud.sim.reset_log()

    await client.sessions(1002, MARCH).collect()

    assert cloud.sim.hits() == 1


async def test_more_sessions_at_one_instant_than_the_service_gives_are_an_error(cloud_of: StartCloud) -> None:
    """R7."""
    crowd = [
        SimulatedSession(id=number, start_ms=MARCH.start_ms, end_ms=MARCH.start_ms + 1) for number in range(1, 201)
    ]
    crowd += [SimulatedSession(id=999, start_ms=MARCH.start_ms + 1, end_ms=MARCH.start_ms + 2)]
    cloud = await cloud_of(Park.fixed(1004, crowd), assumptions=Assumptions(session_limit=150))
    client = await cloud.connect()

    with pytest.raises(ResponseDecodeError, match="stops at 150 sessions"):
        await client.sessions(1004, MARCH).collect()


async def test_a_response_that_says_things_twice_is_not_taken_for_a_limit(cloud_of: StartCloud) -> None:
    cloud = await cloud_of(Park.hub(1003, sessions_per_day=20), faults=[Fault("duplicate_records", skip=2, times=1)])
    client = await cloud.connect()

    await client.sessions(1003, YEAR).collect()
    cloud.sim.reset_log()
    await client.sessions(1003, YEAR).collect()

    assert cloud.sim.hits() <= 16


async def test_trouble_with_the_token_is_no_request_that_was_sent_again(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("status", route="token", status=503, retry_after="0", times=2))
    client = await cloud.connect()
    stream = client.sessions(1001, MARCH)

    await stream.collect()

    assert (stream.stats.retries, stream.stats.requests) == (0, cloud.sim.hits("park_sessions"))
