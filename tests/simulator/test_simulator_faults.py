"""Every kind of fault, as the other side of the socket sees it, and which requests it strikes."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import get_args

import aiohttp
import pytest

from smappee_async.simulator import Assumptions, Fault, FaultKind, Park, Simulator, World
from smappee_async.simulator.delivery import gzip_bomb

from .calling import HOUR_MS, LOOPS, NOON_MS, NOW_MS, PARK, Caller, Serve, few, one_open, session

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def raw_response(sim: Simulator, access_token: str) -> bytes:
    """All the bytes of one response, until the connection ends or resets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.origin.rpartition(":")[2]))
    request = (
        f"GET /dev/v3/chargingparks/{PARK}/sessions?range=0 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {access_token}\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode())
    received = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65_536), 5):
            received += chunk
    finally:
        writer.close()
    return received


# Another response than the right one


async def test_a_status_comes_with_its_retry_after_verbatim(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status", status=429, retry_after="soon", route="park_sessions")])
    reply = await caller.ask()
    assert (reply.status, reply.headers["Retry-After"]) == (429, "soon")


@pytest.mark.parametrize("status", [502, 200])
async def test_maintenance_is_a_page_in_html(serve: Serve, status: int) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("maintenance", status=status))
    reply = await caller.ask()
    assert reply.status == status
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b"under maintenance" in reply.body


@pytest.mark.parametrize(
    ("kind", "body"), [("empty_200", b""), ("null_200", b"null"), ("object_200", b'{"sessions":[]}')]
)
async def test_a_wrong_body_comes_with_200(serve: Serve, kind: FaultKind, body: bytes) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault(kind))
    reply = await caller.ask()
    assert (reply.status, reply.body) == (200, body)


async def test_unauthorized_leaves_the_token_good(serve: Serve) -> None:
    caller = await serve(faults=[Fault("unauthorized", times=1)])
    assert [(await caller.ask()).status for _ in range(2)] == [401, 200]


async def test_token_revoked_ends_the_token(serve: Serve) -> None:
    caller = await serve(faults=[Fault("token_revoked", times=1)])
    assert [(await caller.ask()).status for _ in range(2)] == [401, 401]
    await caller.refresh()
    assert (await caller.ask()).status == 200


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_a_redirect_points_where_it_is_told(serve: Serve, status: int) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("redirect", status=status, location="http://elsewhere.invalid/"))
    reply = await caller.ask()
    assert (reply.status, reply.headers["Location"]) == (status, "http://elsewhere.invalid/")


async def test_a_raw_response_is_verbatim(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("raw", status=299, body=b"\xff\x00", headers={"Content-Type": "x/y", "X-A": "b"}))
    reply = await caller.ask()
    assert (reply.status, reply.body) == (299, b"\xff\x00")
    assert (reply.headers["Content-Type"], reply.headers["X-A"]) == ("x/y", "b")


async def test_an_odd_token_response_strikes_the_token_call_only(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("token_odd", body=b'{"access_token":"","expires_in":NaN}'))
    assert (await caller.form(grant_type="password")).body == b'{"access_token":"","expires_in":NaN}'
    assert (await caller.ask()).status == 200


# The right response, damaged or late


async def test_truncated_json_is_good_http(serve: Serve) -> None:
    caller = await serve()
    whole = (await caller.ask()).body
    caller.sim.add_fault(Fault("truncated_json"))
    body = (await caller.ask()).body
    assert whole.startswith(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize("kind", ["truncated_body", "chunked_cut", "reset_mid_body"])
async def test_a_body_that_breaks_off_is_noticed(serve: Serve, kind: FaultKind) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault(kind))
    with pytest.raises(aiohttp.ClientError):
        await caller.ask()
    assert caller.sim.requests[-1].status == 200
    assert caller.sim.requests[-1].sessions == 0


async def test_truncated_body_claims_more_than_it_sends(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("truncated_body"))
    head, _, body = (await raw_response(caller.sim, caller.access_token)).partition(b"\r\n\r\n")
    assert int(head.partition(b"Content-Length: ")[2]) > len(body) > 0


async def test_wrong_content_length_claims_less_than_it_sends(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("wrong_content_length"))
    head, _, body = (await raw_response(caller.sim, caller.access_token)).partition(b"\r\n\r\n")
    assert int(head.partition(b"Content-Length: ")[2]) < len(body)


async def test_chunked_cut_ends_without_the_last_chunk(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("chunked_cut"))
    received = await raw_response(caller.sim, caller.access_token)
    assert b"Transfer-Encoding: chunked" in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("kind", ["reset_before_headers", "reset_mid_body"])
async def test_a_reset_is_a_reset(serve: Serve, kind: FaultKind) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault(kind))
    with pytest.raises(ConnectionResetError):
        await raw_response(caller.sim, caller.access_token)


async def test_a_closed_connection_ends_without_a_byte(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("close_before_headers"))
    assert await raw_response(caller.sim, caller.access_token) == b""
    assert caller.sim.requests[-1].status == 0


async def test_a_drip_is_slow_and_complete(serve: Serve) -> None:
    caller = await serve()
    whole = await caller.sessions()
    size = caller.sim.requests[-1].body_bytes
    caller.sim.add_fault(Fault("drip", bytes_per_s=size * 10))
    began_s = asyncio.get_running_loop().time()
    assert await caller.sessions() == whole
    assert caller.sim.requests[-1].sessions == len(whole)
    assert asyncio.get_running_loop().time() - began_s > 0.08


@pytest.mark.parametrize("kind", ["stall_before_headers", "stall_after_headers"])
async def test_a_stall_with_an_end_is_followed_by_the_response(serve: Serve, kind: FaultKind) -> None:
    caller = await serve(faults=[Fault(kind, delay_s=0.02, route="park_sessions")])
    assert await caller.ids() == [3, 2, 1]


@pytest.mark.parametrize(("kind", "status"), [("stall_before_headers", 0), ("stall_after_headers", 200)])
async def test_a_stall_without_end_ends_when_the_client_goes(serve: Serve, kind: FaultKind, status: int) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault(kind))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await caller.ask()
    await until_nobody_is_connected(caller)
    assert caller.sim.requests[-1].status == status


async def until_nobody_is_connected(caller: Caller) -> None:
    """Fails by the time limit of tests if that does not come."""
    while caller.sim.open_connections:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
        await asyncio.sleep(0.001)


async def test_a_token_whose_response_was_lost_has_been_rotated(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("token_lost", times=1))
    with pytest.raises(aiohttp.ClientError):
        await caller.refresh()
    assert caller.sim.oauth.refresh_grants == 1
    assert (await caller.refresh()).status == 400
    assert caller.sim.oauth.reuse_detections == 1


async def test_a_token_call_that_is_reset_before_its_headers_has_not_rotated(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("reset_before_headers", times=1))
    with pytest.raises(aiohttp.ClientError):
        await caller.refresh()
    assert (await caller.refresh()).status == 200


async def test_a_cookie_comes_with_a_good_response(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("set_cookie"))
    reply = await caller.ask()
    assert (reply.status, "SIMULATED=" in reply.headers["Set-Cookie"]) == (200, True)


async def test_huge_headers_are_too_much_for_a_careful_client(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("huge_headers"))
    with pytest.raises(aiohttp.ClientError):
        await caller.ask()


# Responses that are far too large


def test_a_gzip_bomb_is_valid_and_expands_to_an_array() -> None:
    bomb = b"".join(gzip_bomb(3 * 1024 * 1024))
    assert len(bomb) < 10_000
    plain = gzip.decompress(bomb)
    assert len(plain) >= 3 * 1024 * 1024
    assert json.loads(plain) == []
    assert struct.unpack("<II", bomb[-8:]) == (zlib.crc32(plain), len(plain))


async def test_a_gzip_bomb_goes_off_in_a_client_that_lets_it(serve: Serve) -> None:
    caller = await serve(faults=[Fault("gzip_bomb", size_bytes=4 * 1024 * 1024, route="park_sessions")])
    reply = await caller.ask()
    assert len(reply.body) >= 4 * 1024 * 1024
    assert caller.sim.requests[-1].body_bytes < 20_000


async def test_an_endless_body_does_not_end(serve: Serve) -> None:
    caller = await serve(faults=[Fault("endless_body", route="park_sessions")])
    headers = {"Authorization": f"Bearer {caller.access_token}"}
    async with caller.http.get(f"{caller.sim.base_url}/chargingparks/{PARK}/sessions", headers=headers) as response:
        received = 0
        while received < 5_000_000:
            received += len(await response.content.readany())
        response.close()
    await until_nobody_is_connected(caller)


# Wrong content


async def test_one_record_is_malformed(serve: Serve) -> None:
    caller = await serve(faults=[Fault("bad_json_record", index=1)])
    assert [type(record["from"]) for record in await caller.sessions()] == [int, dict, int]


async def test_nan_stands_where_a_number_should(serve: Serve) -> None:
    caller = await serve(faults=[Fault("nan")])
    assert b'"startReading":NaN' in (await caller.ask()).body


@pytest.mark.parametrize("body", [None, b'"\xff"', b"-Infinity", b"[" * 5_000 + b"]" * 5_000])
async def test_one_record_is_not_valid_json(serve: Serve, body: bytes | None) -> None:
    caller = await serve(faults=[Fault("odd_record", index=1, body=body)])
    whole = (await caller.ask()).body
    assert (body or b'"\\ud800"') in whole
    assert whole.count(b'"smartMode":"SMART"') == 2


async def test_a_session_without_an_end_has_the_end_0(serve: Serve) -> None:
    caller = await serve(one_open(), faults=[Fault("zero_end")])
    [record] = (await caller.ask(f"range=0,{NOW_MS}&active=true")).json
    assert record["to"] == 0


async def test_sessions_of_two_stations_have_the_same_id(serve: Serve) -> None:
    caller = await serve(faults=[Fault("same_id")])
    records = await caller.sessions()
    assert len(records) == 4
    assert records[0]["id"] == records[1]["id"]
    assert records[0]["serialNumber"] != records[1]["serialNumber"]


async def test_a_session_is_in_the_next_range_too_with_a_corrected_start(serve: Serve) -> None:
    sessions = [session(1, NOON_MS - 1000), session(2, NOON_MS - 9_000_000), session(3, NOON_MS)]
    caller = await serve(Park.fixed(PARK, sessions), faults=[Fault("moved_start", delay_s=60)])
    before = (await caller.ask(f"range=0,{NOON_MS}")).json
    after = (await caller.ask(f"range={NOON_MS}")).json
    assert sorted((each["id"], each["from"]) for each in before) == [(1, NOON_MS - 1000), (2, NOON_MS - 9_000_000)]
    assert sorted((each["id"], each["from"]) for each in after) == [(1, NOON_MS), (3, NOON_MS)]


async def test_some_records_come_twice(serve: Serve) -> None:
    caller = await serve(faults=[Fault("duplicate_records")])
    ids = await caller.ids()
    assert set(ids) == {1, 2, 3}
    assert len(ids) > 3
    assert caller.sim.requests[-1].sessions == len(ids)


async def test_an_ended_session_seems_to_charge_again(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status_backwards", times=1)])
    [record] = [record for record in await caller.sessions() if record["status"] == "CHARGING"]
    assert "to" in record
    assert {record["status"] for record in await caller.sessions()} == {"STOPPED"}


async def test_a_status_that_nobody_knows_appears(serve: Serve) -> None:
    caller = await serve(faults=[Fault("unknown_status")])
    assert {record["status"] for record in await caller.sessions()} == {"STOPPED", "HIBERNATING"}


async def test_fields_that_nobody_knows_appear(serve: Serve) -> None:
    caller = await serve(faults=[Fault("unknown_fields")])
    assert all(record["simulatedUnknownList"] == [1, 2, 3] for record in await caller.sessions())


async def test_a_session_that_has_just_ended_settles_late(serve: Serve) -> None:
    ended = [session(n, NOW_MS - HOUR_MS + n, NOW_MS - 60_000) for n in range(1, 21)]
    caller = await serve(Park.fixed(PARK, ended), faults=[Fault("late_finalisation", delay_s=120)])
    active = await caller.sessions("active=true&range=0")
    completed = await caller.sessions("active=false&range=0")
    assert len(active) + len(completed) == 20
    assert all(record["status"] == "CHARGING" and "to" not in record for record in active)
    assert all("to" in record and "stopReading" not in record for record in completed)
    assert active
    assert completed
    caller.sim.clock.move(61)
    settled = await caller.sessions("active=false&range=0")
    assert caller.sim.ledger.digest_of(settled) == caller.sim.ledger.digest(PARK, 0)


async def test_sessions_that_settle_very_late_are_all_still_told_once(serve: Serve) -> None:
    world = World.of([Park.hub(PARK, sessions_per_day=10)])
    caller = await serve(world, faults=[Fault("late_finalisation", delay_s=20 * 86_400)])
    told = await caller.ids("active=true&range=0") + await caller.ids(f"range={NOW_MS - 40 * 24 * HOUR_MS}")
    recent = {one.id for one in caller.sim.ledger.sessions(PARK, NOW_MS - 40 * 24 * HOUR_MS, state="all")}
    assert len(told) == len(set(told))
    assert set(told) == recent


async def test_content_faults_add_up_and_are_sent_as_another_fault_wants(serve: Serve) -> None:
    faults = [Fault("unknown_fields"), Fault("duplicate_records"), Fault("set_cookie", route="park_sessions")]
    caller = await serve(faults=faults)
    reply = await caller.ask()
    assert len(reply.json) > 3
    assert "simulatedUnknown" in reply.json[0]
    assert "Set-Cookie" in reply.headers
    assert caller.sim.requests[-1].fault == "unknown_fields+duplicate_records+set_cookie"


# Which requests are struck


async def test_the_first_hits_are_spared_and_only_so_many_struck(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("status", status=503, skip=1, times=2))
    assert [(await caller.ask()).status for _ in range(5)] == [200, 503, 503, 200, 200]


async def test_of_two_faults_that_could_strike_the_second_waits_its_turn(serve: Serve) -> None:
    caller = await serve()
    for status in (503, 500):
        caller.sim.add_fault(Fault("status", status=status, times=1))
    assert [(await caller.ask()).status for _ in range(3)] == [503, 500, 200]


async def test_probability_is_drawn_the_same_way_every_time(serve: Serve) -> None:
    runs = []
    for _ in range(2):
        caller = await serve(faults=[Fault("status", probability=0.5, route="park_sessions")])
        runs.append([(await caller.ask()).status for _ in range(30)])
    assert runs[0] == runs[1]
    assert 5 < runs[0].count(500) < 25


async def test_a_fault_keeps_to_its_park(serve: Serve) -> None:
    world = World.of([few(), Park.fixed(1002)])
    caller = await serve(world, faults=[Fault("status", service_location_id=1002)])
    assert [(await caller.ask(park=park)).status for park in (PARK, 1002)] == [200, 500]


async def test_a_fault_keeps_to_its_route(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status", route="info")])
    assert (await caller.ask()).status == 200
    assert (await caller.get(f"/dev/v3/servicelocation/{PARK}/info")).status == 500


async def test_a_fault_keeps_to_open_or_completed_sessions(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status", active=True)])
    statuses = [(await caller.ask(f"active={active}&range=0")).status for active in ("true", "false")]
    assert statuses == [500, 200]


async def test_a_fault_can_lie_at_an_instant(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status", covers_ms=NOON_MS)])
    ranges = [f"{NOON_MS},{NOON_MS + 1}", f"{NOON_MS - 1},{NOON_MS}", "0"]
    assert [(await caller.ask(f"range={text}")).status for text in ranges] == [500, 200, 500]


async def test_a_fault_can_strike_wide_ranges_only(serve: Serve) -> None:
    caller = await serve(faults=[Fault("status", wider_than_s=10)])
    assert [(await caller.ask(f"range={text}")).status for text in ("0,10000", "0,10001", "0")] == [
        200,
        500,
        500,
    ]


async def test_cleared_faults_strike_no_more(serve: Serve) -> None:
    caller = await serve()
    caller.sim.add_fault(Fault("status"))
    assert (await caller.ask()).status == 500
    caller.sim.clear_faults()
    assert (await caller.ask()).status == 200


async def test_a_status_fault_counts_as_served_with_that_status(serve: Serve) -> None:
    caller = await serve(one_open(), assumptions=Assumptions(active_default="everything"))
    caller.sim.add_fault(Fault("status", status=503))
    await caller.ask("range=0")
    log = caller.sim.requests[-1]
    assert (log.status, log.sessions, log.fault) == (503, 0, "status")


@pytest.mark.parametrize(
    "wrong", [{"kind": "typo"}, {"kind": "drip", "route": "typo"}, {"kind": "drip", "probability": 2}]
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"typo|2"):
        Fault(**wrong)  # type: ignore[arg-type]


def test_every_kind_of_fault_is_seen_in_a_test_of_this_file() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in get_args(FaultKind) if f'"{kind}"' not in text] == []
