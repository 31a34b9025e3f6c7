"""The simulator as a program: start and close, request log, admin routes, and what it imports."""

from __future__ import annotations

import ast
import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

import smappee_async.simulator
from smappee_async.simulator import (
    Account,
    Assumptions,
    Fault,
    Ledger,
    Park,
    SimulatedClock,
    Simulator,
    World,
)
from smappee_async.simulator.cache import BytesCache
from smappee_async.simulator.responses import SessionResponses
from smappee_async.simulator.routing import SessionQuery

from .calling import DAY_MS, LOOPS, NOON_MS, NOW_MS, PARK, Caller, Serve, few, one_open

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


PACKAGE = Path(smappee_async.simulator.__file__).parent


# Start and close


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", ""])
def test_a_host_that_others_can_reach_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="allow_remote=True"):
        Simulator(World.of([few()]), host=host)


def test_another_host_is_allowed_when_that_is_meant() -> None:
    Simulator(World.of([few()]), host="0.0.0.0", allow_remote=True)


def test_there_is_no_address_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Simulator(World.of([few()])).base_url


async def test_a_simulator_serves_once() -> None:
    async with Simulator(World.of([few()])) as sim:
        with pytest.raises(RuntimeError, match="started before"):
            await sim.start()


async def test_a_simulator_can_be_closed_twice() -> None:
    async with Simulator(World.of([few()])) as sim:
        await sim.close()


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind() -> None:
    async with Simulator(World.of([few()])) as sim:
        taken = Simulator(World.of([few()]), port=int(sim.origin.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            await taken.start()


async def test_leaving_cancels_stalled_responses_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as http:
        async with Simulator(World.of([few()])) as sim:
            caller = Caller(sim, http)
            await caller.log_in()
            sim.add_fault(Fault("stall_before_headers", times=1))
            sim.add_fault(Fault("endless_body", times=1))
            stalled = [asyncio.ensure_future(caller.ask()) for _ in range(2)]
            while sim.open_connections < 2:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
                await asyncio.sleep(0.001)
        results = await asyncio.gather(*stalled, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_nobody_listens_after_the_end() -> None:
    async with Simulator(World.of([few()])) as sim:
        port = int(sim.origin.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_running_clock_stands_still_after_the_end() -> None:
    async with Simulator(World.of([few()]), clock=SimulatedClock(NOW_MS, running=True)) as sim:
        await asyncio.sleep(0.01)
    now_ms = sim.clock.now_ms
    await asyncio.sleep(0.01)
    assert sim.clock.now_ms == now_ms > NOW_MS


async def test_an_account_of_one_s_own_is_honoured(serve: Serve) -> None:
    caller = await serve(account=Account(client_id="a", client_secret="b", username="c", password="d"))
    assert (await caller.ask()).status == 200


def test_an_account_does_not_show_its_secrets() -> None:
    account = Account()
    shown = repr(account)
    assert not any(secret in shown for secret in (account.client_secret, account.username, account.password))


async def test_latency_is_waited_for(serve: Serve) -> None:
    caller = await serve(latency_s=0.05)
    began_s = time.monotonic()
    await caller.ask()
    assert time.monotonic() - began_s >= 0.045


async def test_a_client_that_leaves_in_the_middle_of_a_response_is_no_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caller = await serve(faults=[Fault("endless_body", route="park_sessions")])
    for _ in range(30):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await caller.ask()
    await asyncio.sleep(0.05)
    assert caplog.records == []


# The log


async def test_a_request_is_logged_with_its_query_and_its_response(serve: Serve) -> None:
    caller = await serve(few(3))
    reply = await caller.ask(f"active=false&range={NOON_MS},{NOW_MS}")
    [log] = caller.sim.requests
    assert (log.index, log.method, log.route, log.service_location_id) == (0, "GET", "park_sessions", PARK)
    assert (log.start_ms, log.end_ms, log.active) == (NOON_MS, NOW_MS, False)
    assert (log.status, log.sessions, log.body_bytes, log.fault) == (200, 3, len(reply.body), None)


async def test_a_station_request_is_logged_with_serial_and_park(serve: Serve) -> None:
    caller = await serve(few(1))
    await caller.get("/dev/v3/chargingstations/6100000001/sessions?range=0")
    log = caller.sim.requests[-1]
    assert (log.route, log.serial_number, log.service_location_id) == (
        "station_sessions",
        6_100_000_001,
        PARK,
    )


async def test_hits_are_counted_by_route_beyond_the_log_s_limit(serve: Serve) -> None:
    caller = await serve(log_limit=3)
    for _ in range(5):
        await caller.ask()
    await caller.get("/dev/v3/servicelocation")
    assert (caller.sim.hits(), caller.sim.hits("park_sessions"), caller.sim.hits("servicelocations")) == (
        6,
        5,
        1,
    )
    assert [log.index for log in caller.sim.requests] == [3, 4, 5]


async def test_the_log_can_be_reset(serve: Serve) -> None:
    caller = await serve()
    await caller.ask()
    caller.sim.reset_log()
    assert (caller.sim.hits(), caller.sim.requests, caller.sim.peak_concurrency) == (0, [], 0)


async def test_simultaneous_requests_are_counted(serve: Serve) -> None:
    caller = await serve(latency_s=0.05)
    await asyncio.gather(*(caller.ask() for _ in range(7)))
    assert caller.sim.peak_concurrency == 7
    assert caller.sim.open_connections == 0


# Cached responses


async def test_a_response_is_cached_for_its_query_and_its_moment() -> None:
    responses = SessionResponses(World.of([few()]), Assumptions(), cache_bytes=1 << 20)
    query = SessionQuery(PARK, None, 0, None, False)
    assert responses.ready(query, NOW_MS) is None
    body = await responses.body(query, NOW_MS)
    assert responses.ready(query, NOW_MS) == body
    assert responses.ready(query, NOW_MS + 1) is None


def test_kept_bytes_are_bounded_and_the_least_recently_used_go_first() -> None:
    cache = BytesCache(10_000)
    for key in range(5):
        cache.put(key, bytes(1_500), 1)
    cache.get(0)
    for key in range(5, 8):
        cache.put(key, bytes(1_500), 1)
    assert [key for key in range(8) if cache.get(key)] == [0, 4, 5, 6, 7]
    assert cache.size_bytes <= 10_000


def test_what_would_fill_a_quarter_of_the_room_is_not_kept() -> None:
    cache = BytesCache(10_000)
    cache.put("large", bytes(2_500), 1)
    assert cache.get("large") is None


async def test_a_cached_response_is_the_same_bytes_again(serve: Serve) -> None:
    caller = await serve(Park.hub(PARK))
    query = f"range={NOW_MS - 40 * DAY_MS},{NOW_MS}"
    assert (await caller.ask(query)).body == (await caller.ask(query)).body


async def test_a_simulator_without_a_cache_serves_the_same(serve: Serve) -> None:
    query = f"range={NOW_MS - 40 * DAY_MS + 1},{NOW_MS}"
    bodies = [(await (await serve(Park.hub(PARK), cache_bytes=size)).ask(query)).body for size in (0, 1 << 20, 1 << 28)]
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize(("park", "days"), [(Park.hub(PARK, sessions_per_day=3000), 4), (Park.office(PARK), 400)])
async def test_a_large_response_that_is_not_cached_yields_to_other_tasks(serve: Serve, park: Park, days: int) -> None:
    caller = await serve(park)
    response = asyncio.ensure_future(caller.ask(f"range={NOW_MS - days * DAY_MS},{NOW_MS}"))
    turns = 0
    while not response.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 30


# The truth


def test_a_digest_depends_on_every_record_but_not_on_their_order() -> None:
    one, other = {"id": 1, "from": 2}, {"from": 3, "id": 2}
    digest_of = Ledger.digest_of
    assert digest_of([one, other]) == digest_of([other, {"from": 2, "id": 1}])
    assert len({digest_of(records) for records in ([], [one], [one, one], [one, other], [one, one, other])}) == 5


def test_a_ledger_knows_no_other_park() -> None:
    with pytest.raises(LookupError):
        Simulator(World.of([few()])).ledger.count(9, 0)


# Admin


async def test_the_ledger_can_be_asked_from_outside(serve: Serve) -> None:
    caller = await serve(one_open())
    served = await caller.sessions("active=false&range=0")
    truth = (await caller.admin("GET", f"ledger?park={PARK}&start=0&end={NOW_MS}&state=completed&full=1")).json
    assert (truth["count"], truth["digest"]) == (1, caller.sim.ledger.digest_of(served))
    assert truth["sessions"] == served


async def test_the_ledger_can_be_asked_about_another_moment(serve: Serve) -> None:
    caller = await serve(one_open())
    truth = (await caller.admin("GET", f"ledger?park={PARK}&start=0&state=active&at={NOON_MS}")).json
    assert truth["count"] == 1
    assert truth["digest"] == caller.sim.ledger.digest(PARK, 0, state="active", at_ms=NOON_MS)


async def test_the_requests_and_counters_can_be_read_from_outside(serve: Serve) -> None:
    caller = await serve()
    await caller.ask()
    [log] = (await caller.admin("GET", "requests")).json
    stats = (await caller.admin("GET", "stats")).json
    assert (log["route"], log["status"]) == ("park_sessions", 200)
    assert (stats["hits"], stats["hits_by_route"]["park_sessions"], stats["password_grants"]) == (1, 1, 1)


async def test_the_clock_can_be_moved_from_outside(serve: Serve) -> None:
    caller = await serve()
    assert (await caller.admin("POST", "clock", move_s=1.5)).json["now_ms"] == NOW_MS + 1500
    assert (await caller.admin("POST", "clock", move_to="2027-01-01T00:00:00Z")).json["now"].startswith("2027-01-01")
    assert (await caller.admin("GET", "clock")).json["now_ms"] == caller.sim.clock.now_ms


async def test_faults_can_be_set_listed_and_cleared_from_outside(serve: Serve) -> None:
    caller = await serve()
    await caller.admin("POST", "faults", kind="raw", status=418, body="tea", times=2, headers={"X-A": "b"})
    reply = await caller.ask()
    assert (reply.status, reply.body, reply.headers["X-A"]) == (418, b"tea", "b")
    [listed] = (await caller.admin("GET", "faults")).json
    assert (listed["kind"], listed["body"], listed["times"], listed["struck"]) == ("raw", "tea", 2, 1)
    await caller.admin("DELETE", "faults")
    assert (await caller.ask()).status == 200


@pytest.mark.parametrize("wrong", [{"kind": "typo"}, {"route": "token"}, {"kind": "drip", "typo": 1}])
async def test_a_fault_that_makes_no_sense_is_refused_from_outside(serve: Serve, wrong: dict[str, object]) -> None:
    caller = await serve()
    assert (await caller.admin("POST", "faults", **wrong)).status == 400
    assert (await caller.admin("GET", "faults")).json == []


@pytest.mark.parametrize("verb", ["expire", "revoke"])
async def test_tokens_can_be_ended_from_outside(serve: Serve, verb: str) -> None:
    caller = await serve()
    assert (await caller.admin("POST", f"oauth/{verb}")).status == 200
    assert (await caller.ask()).status == 401
    assert (await caller.refresh()).status == 200


async def test_every_token_can_be_revoked_from_outside(serve: Serve) -> None:
    caller = await serve()
    await caller.admin("POST", "oauth/revoke", everything=True)
    assert (await caller.refresh()).status == 400


@pytest.mark.parametrize(
    ("path", "status"), [("ledger?park=9&start=0", 404), ("ledger?park=x&start=0", 400), ("nothing", 404)]
)
async def test_an_admin_request_that_makes_no_sense_says_so(serve: Serve, path: str, status: int) -> None:
    reply = await (await serve()).admin("GET", path)
    assert (reply.status, "message" in reply.json) == (status, True)


async def test_admin_requests_are_not_logged(serve: Serve) -> None:
    caller = await serve()
    await caller.admin("GET", "stats")
    assert caller.sim.hits() == 0


# A process of its own


def test_it_runs_in_a_process_of_its_own_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "smappee_async.simulator", "--world", "small", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        greeting = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)
    assert greeting["base_url"].endswith("/dev/v3")
    assert greeting["account"].keys() == {"client_id", "client_secret", "username", "password"}
    assert (process.returncode, errors) == (0, "")


# What it depends on


def test_the_simulator_imports_nothing_of_the_client_and_little_else() -> None:
    allowed = {"aiohttp", "attrs", "msgspec"} | sys.stdlib_module_names
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name} reaches out of the package"
                names = [node.module or ""] if node.level == 0 else []
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert all(name.partition(".")[0] in allowed for name in names), (path.name, names)


def test_every_public_name_is_there() -> None:
    module = smappee_async.simulator
    assert all(hasattr(module, name) for name in module.__all__)
