"""Peers that mean harm: responses without end, redirects elsewhere, and accounts that share a process."""

from __future__ import annotations

import asyncio
import re
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import aiohttp
import attrs
import pytest
from aiohttp import web
from yarl import URL

from smappee_async import (
    ClientEvent,
    ConfigurationError,
    Credentials,
    Limits,
    ResponseDecodeError,
    ResponseTooLarge,
    RetryPolicy,
    SessionStatus,
    SmappeeClient,
    SmappeeError,
    TimeRange,
    TransportError,
)
from smappee_async.simulator import Fault, Simulator
from smappee_async.testing import VirtualTimeLoop

from .support import MARCH, Connect, client_of, credentials, simulator, until

pytestmark = pytest.mark.anyio
VIRTUAL_TIME = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual time"]
)

# --- responses without end --------------------------------------------------------------------------------------------------

#: Large beside what the HTTP library itself has in hand, which no limit of ours changes: about 3 MiB.
CAP = 8 * 2**20
AIOHTTP = tuple(map(int, re.findall(r"\d+", aiohttp.__version__)[:3]))


class Known:
    """A host program that owns the login."""

    def __init__(self, token: str = "a-token-of-the-host") -> None:
        self.token = token

    async def access_token(self, rejected: str | None) -> str:
        return self.token


@asynccontextmanager
async def raw_server(
    response: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers whatever it is asked by hand; what it was sent, request by request."""
    heard: list[bytes] = []
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            await response(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dev/v3", heard
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 4000 + b"\r\n")
        await writer.drain()


async def one_endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-More: ")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def a_length_beyond_belief(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1099511627776\r\n\r\n[")


async def a_length_that_lies(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n[]")


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


async def test_headers_without_end_are_ended_by_the_bound_of_the_attempt() -> None:
    """R33: with any aiohttp; since 3.13.4 their number ends them sooner."""
    limits = Limits(attempt_timeout_s=0.3)
    async with (
        raw_server(endless_headers) as (base_url, _),
        SmappeeClient(Known(), base_url=base_url, retry=RetryPolicy.none(), limits=limits) as client,
    ):
        with pytest.raises(TransportError):
            await client.service_locations()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(
            endless_headers,
            TransportError,
            marks=pytest.mark.skipif(
                AIOHTTP < (3, 13, 4), reason="aiohttp bounds the number of headers since 3.13.4; here only time does"
            ),
        ),
        (one_endless_header, TransportError),
        (a_length_beyond_belief, ResponseTooLarge),
        (a_length_that_lies, TransportError),
        (endless_chunks, ResponseTooLarge),
    ],
)
async def test_a_response_that_is_out_of_all_bounds_is_an_error_within_bounded_memory(
    response: Any, error: type[SmappeeError]
) -> None:
    """R33."""
    async with raw_server(response) as (base_url, _):
        settings: dict[str, Any] = {"retry": RetryPolicy.none(), "limits": Limits(max_body_bytes=CAP)}
        async with SmappeeClient(Known(), base_url=base_url, **settings) as client:
            tracemalloc.start()
            try:
                with pytest.raises(error):
                    await client.service_locations()
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert peak <= 2 * CAP


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless_body"])
async def test_a_bomb_takes_no_more_than_twice_the_limit_and_leaves_the_other_calls_alone(
    sim: Simulator, connect: Connect, kind: Any
) -> None:
    """R33."""
    client = await connect(limits=Limits(max_body_bytes=CAP, concurrency=2))
    await client.service_locations()
    sim.add_fault(Fault(kind, size_bytes=16 * CAP, service_location_id=1001))
    tracemalloc.start()
    try:
        bombed, *others = await asyncio.gather(
            client.service_location(1001),
            *(client.service_location(1002) for _ in range(10)),
            return_exceptions=True,
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(bombed, ResponseTooLarge)
    assert [getattr(other, "id", other) for other in others] == [1002] * 10
    assert peak <= 2 * CAP


@VIRTUAL_TIME
@pytest.mark.parametrize("pace_s", [5.0, 29.0])
async def test_headers_that_drip_are_ended_by_the_bound_of_the_attempt(pace_s: float) -> None:
    """R33, R25: each byte resets the time-out for silence."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pace_s)

    async with (
        raw_server(drip) as (base_url, _),
        SmappeeClient(Known(), base_url=base_url, retry=RetryPolicy.none()) as client,
    ):
        began = asyncio.get_running_loop().time()
        with pytest.raises(TransportError):
            await client.service_locations()
        assert asyncio.get_running_loop().time() - began <= 61


# --- nothing goes elsewhere -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("route", ["token", "servicelocations", "park_sessions"])
async def test_a_redirect_to_another_host_gets_no_byte_and_no_connection(status: int, route: Any) -> None:
    """R20, R36."""
    connections: list[object] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.read(1))
        writer.close()

    server = await asyncio.start_server(trap, "127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        stack.callback(server.close)
        sim = await stack.enter_async_context(simulator())
        client = await stack.enter_async_context(client_of(sim, retry=RetryPolicy.none()))
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dev/v3/servicelocation"
        if route != "token":
            await client.service_locations()
        for location in (there, there.replace("127.0.0.1", "localhost"), there.removeprefix("http:")):
            sim.clear_faults()
            headers = {"Refresh": f"0;url={location}", "Content-Location": location}
            sim.add_fault(Fault("redirect", route=route, status=status, location=location, headers=headers))
            with pytest.raises(SmappeeError):
                await client.sessions([1001], MARCH).collect() if route == "park_sessions" else (
                    await client.service_locations()
                )
        for _ in range(20):
            await asyncio.sleep(0)
    assert connections == []


@pytest.mark.parametrize(
    "base_url",
    [
        "http://smappee.example/dev/v3",
        "http://localhost.evil.example/dev/v3",
        "http://127.0.0.1@evil.example/dev/v3",
        "http://127.0.0.1:80@evil.example/dev/v3",
        "http://evil.example#@127.0.0.1/",
        "http://evil.example\\@127.0.0.1/",
        "https://user:password@app1pub.smappee.net/dev/v3",
        "https://app1pub.smappee.net/dev/v3?x=1",
        "https://app1pub.smappee.net/dev/v3#x",
        "https://app1pub.smappee.net/../v3",
        "https://app1pub.smappee.net/dev%2fv3",
        "https://app1pub.smappee.net\r\nX-Evil: 1/dev/v3",
        "https://app1pub.smappee.net\t/dev/v3",
        "https://app1pub.smappеe.net/dev/v3",  # noqa: RUF001 - a Cyrillic letter, on purpose
        "https://app1pub.smappee.net:port/dev/v3",
        "file:///etc/passwd",
        "ftp://127.0.0.1/dev/v3",
        "//127.0.0.1/dev/v3",
        "http://127.1/dev/v3",
        "http://0.0.0.0/dev/v3",
        "http://2130706433/dev/v3",
        "",
        None,
        b"https://app1pub.smappee.net/dev/v3",
    ],
)
def test_a_base_url_that_only_looks_right_is_refused(base_url: Any) -> None:
    """R36."""
    with pytest.raises(ConfigurationError):
        SmappeeClient(credentials(), base_url=base_url)


@pytest.mark.parametrize("serial", ["../x?y", "a/b", "a?b", "a#b", "a%2fb", "a b", "", "ä", "a\r\nb", "a" * 65, True])
async def test_a_serial_number_cannot_change_the_url(sim: Simulator, connect: Connect, serial: Any) -> None:
    """R36."""
    client = await connect()
    with pytest.raises(ConfigurationError):
        client.station_sessions(serial, MARCH)
    assert sim.hits() == 0


async def test_a_base_url_on_this_machine_may_be_plain() -> None:
    """R36: the corpus above refuses for the right reason."""
    for base_url in ("http://127.0.0.1:8080/dev/v3", "http://[::1]/dev/v3", "http://localhost/dev/v3"):
        SmappeeClient(credentials(), base_url=base_url)


# --- two accounts ---------------------------------------------------------------------------------------------------------


@attrs.define
class TwoAccounts:
    """A service with one origin for both accounts, which sets cookies and notes who sends what."""

    base_url: str = ""
    seen: list[tuple[str, str | None]] = attrs.field(factory=list)
    pause: dict[str, int] = attrs.field(factory=dict)
    """How often an account is still told to come back in half a minute."""

    async def token(self, request: web.Request) -> web.Response:
        who = str((await request.post())["username"])
        self.seen.append((f"login of {who}", request.headers.get("Cookie")))
        response = web.json_response({"access_token": f"token-{who}", "refresh_token": f"r-{who}", "expires_in": 3600})
        response.set_cookie("SID", f"login-{who}")
        return response

    async def locations(self, request: web.Request) -> web.Response:
        who = request.headers["Authorization"].removeprefix("Bearer token-")
        self.seen.append((who, request.headers.get("Cookie")))
        if self.pause.get(who, 0):
            self.pause[who] -= 1
            return web.json_response({}, status=429, headers={"Retry-After": "30"})
        response = web.json_response({"serviceLocations": [{"serviceLocationId": 1, "name": f"of {who}"}]})
        response.set_cookie("SID", f"data-{who}")
        return response


@pytest.fixture
async def accounts(anyio_backend: object) -> AsyncIterator[TwoAccounts]:
    accounts = TwoAccounts()
    app = web.Application()
    app.add_routes(
        [web.post("/dev/v3/oauth2/token", accounts.token), web.get("/dev/v3/servicelocation", accounts.locations)]
    )
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    accounts.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/dev/v3"
    yield accounts
    await runner.cleanup()


@asynccontextmanager
async def both(accounts: TwoAccounts, how: Literal["apart", "sharing"]) -> AsyncIterator[list[SmappeeClient]]:
    async with AsyncExitStack() as stack:
        host = None
        if how == "sharing":
            jar = aiohttp.CookieJar(unsafe=True)
            jar.update_cookies({"host": "a-cookie-of-the-host"}, URL(accounts.base_url))
            host = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar, headers={"X-Host": "1"}))
        yield [
            await stack.enter_async_context(
                SmappeeClient(
                    Credentials("c", "s", who, "p"),
                    base_url=accounts.base_url,
                    http_session=host,
                    limits=Limits(concurrency=1),
                )
            )
            for who in ("ann", "bob")
        ]
        if host is not None:
            assert [cookie.key for cookie in host.cookie_jar] == ["host"]


@pytest.mark.parametrize("how", ["apart", "sharing"])
async def test_two_accounts_of_one_process_share_no_cookie_and_no_token(
    accounts: TwoAccounts, how: Literal["apart", "sharing"]
) -> None:
    """R37."""
    async with both(accounts, how) as (ann, bob):
        for _ in range(3):
            names = [(await client.service_locations())[0].name for client in (ann, bob)]
            assert names == ["of ann", "of bob"]

    assert {cookie for _, cookie in accounts.seen} == {None}
    assert sorted(who for who, _ in accounts.seen) == ["ann"] * 3 + ["bob"] * 3 + ["login of ann", "login of bob"]


@VIRTUAL_TIME
@pytest.mark.parametrize("how", ["apart", "sharing"])
async def test_a_pause_of_one_account_does_not_hold_the_other(
    accounts: TwoAccounts, how: Literal["apart", "sharing"]
) -> None:
    """R37, R23."""
    now = asyncio.get_running_loop().time
    async with both(accounts, how) as (ann, bob):
        await asyncio.gather(ann.service_locations(), bob.service_locations())
        accounts.pause["ann"] = 1
        accounts.seen.clear()
        began = now()
        waiting = [asyncio.create_task(ann.service_locations()) for _ in range(3)]
        await until(lambda: len(accounts.seen) > 0)
        for _ in range(10):
            await bob.service_locations()
        assert now() - began < 10
        assert [who for who, _ in accounts.seen] == ["ann"] + ["bob"] * 10

        await asyncio.gather(*waiting)
        assert 30 <= now() - began <= 34


# --- what was never seen before -------------------------------------------------------------------------------------------


async def test_what_the_service_may_invent_is_still_delivered_and_told_once(sim: Simulator, connect: Connect) -> None:
    """R38: a new status, new fields, and numbers as texts."""
    body = b"""[
        {"id": "1", "serialNumber": 6100000001, "from": "%d", "status": "PARKED", "energy": "1.25"},
        {"id": 2, "serialNumber": "6100000001", "from": %d, "status": "PARKED", "colour": {"of": ["the", "car"]}},
        {"id": 3, "serialNumber": "X-1", "from": %d, "to": null, "status": "", "priority": "7"}
    ]""" % ((MARCH.start_ms,) * 3)
    sim.add_fault(Fault("raw", route="park_sessions", body=body))
    events: list[ClientEvent] = []
    client = await connect(on_event=events.append)
    stream = client.sessions([1001], MARCH)

    sessions = sorted(await stream.collect(), key=lambda session: session.id)

    assert [(session.id, session.status, session.status.is_known) for session in sessions] == [
        (1, "PARKED", False),
        (2, SessionStatus("PARKED"), False),
        (3, "", False),
    ]
    assert (sessions[0].energy, sessions[2].priority) == (1.25, 7)
    assert sessions[1].extra == {"colour": {"of": ["the", "car"]}}
    assert stream.stats.unknown_statuses == 3
    assert sorted(event.detail for event in events if event.kind == "unknown_status") == ["", "PARKED"]


# --- records that are odd -------------------------------------------------------------------------------------------------

#: Asks once for each chunk.
BELIEVING = Limits(verify_from_sessions=None)
VALUES = [rb'"\ud800"', b"NaN", b'"\xff"', b'{"a":' * 50_000 + b"1" + b"}" * 50_000]
VALUE_NAMES = ["half a surrogate pair", "NaN", "not UTF-8", "deep"]


@pytest.mark.parametrize("value", VALUES, ids=VALUE_NAMES)
@pytest.mark.parametrize("order", ["arrival", "start"])
async def test_a_record_that_cannot_be_decoded_at_all_is_listed_and_the_others_come(
    sim: Simulator, connect: Connect, value: bytes, order: Any
) -> None:
    """R45, R6."""
    sim.add_fault(Fault("odd_record", index=7, body=value))
    client = await connect(limits=BELIEVING)
    stream = client.sessions([1002], MARCH, on_invalid="collect", order=order)

    sessions = await stream.collect()

    due = [each.id for each in sim.ledger.sessions(1002, MARCH.start_ms, MARCH.end_ms)]
    assert len({each.id for each in sessions}) == len(sessions) == len(due) - 1
    (invalid,) = stream.invalid
    assert value in invalid.raw
    assert isinstance(invalid.error, ResponseDecodeError)
    assert (invalid.error.index, invalid.error.facts.service_location_id) == (7, 1002)
    stats = stream.stats
    assert stats.received == stats.sessions + stats.filtered + stats.duplicates + stats.invalid == len(due)
    assert stats.requests == sim.hits("park_sessions") == 1


@pytest.mark.parametrize("value", VALUES, ids=VALUE_NAMES)
async def test_with_raise_a_record_that_cannot_be_decoded_is_an_error_that_names_its_place(
    sim: Simulator, connect: Connect, value: bytes
) -> None:
    """R45, R6: it is as it is, so it is not asked for again."""
    sim.add_fault(Fault("odd_record", index=7, body=value))
    client = await connect(limits=BELIEVING)

    with pytest.raises(ResponseDecodeError) as caught:
        await client.sessions([1002], MARCH).collect()

    assert (caught.value.index, caught.value.facts.service_location_id) == (7, 1002)
    assert caught.value.facts.time_range == MARCH
    assert sim.hits("park_sessions") == 1


async def test_half_an_array_with_an_odd_record_is_asked_for_again(sim: Simulator, connect: Connect) -> None:
    """R45, R5."""
    sim.add_fault(Fault("raw", route="park_sessions", body=b'[{"id":NaN},{"id":', times=1))
    client = await connect(limits=BELIEVING)
    stream = client.sessions([1002], MARCH, on_invalid="collect")

    sessions = await stream.collect()

    assert len(sessions) == len(list(sim.ledger.sessions(1002, MARCH.start_ms, MARCH.end_ms)))
    assert (stream.stats.invalid, stream.stats.requests) == (0, 2)


async def test_an_end_of_0_is_no_end(sim: Simulator, connect: Connect) -> None:
    """R45."""
    sim.add_fault(Fault("zero_end"))
    client = await connect()
    stream = client.sessions([1001, 1002], MARCH, state="active")

    sessions = await stream.collect()

    due = [
        each.id for park in (1001, 1002) for each in sim.ledger.sessions(park, MARCH.start_ms, MARCH.end_ms, "active")
    ]
    assert sorted(each.id for each in sessions) == sorted(due)
    assert due
    assert {each.to_ms for each in sessions} == {None}


# --- ids that repeat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["completed", "all"])
async def test_sessions_of_two_stations_with_one_id_are_both_handed_over_and_told(
    sim: Simulator, connect: Connect, state: Any
) -> None:
    """R44."""
    sim.add_fault(Fault("same_id"))
    events: list[ClientEvent] = []
    client = await connect(on_event=events.append)
    stream = client.sessions([1002], MARCH, state=state)

    sessions = await stream.collect()

    due = list(sim.ledger.sessions(1002, MARCH.start_ms, MARCH.end_ms, state))
    stations = {each.id: {other.serial_number for other in sessions if other.id == each.id} for each in due}
    repeated = [number for number, found in stations.items() if len(found) == 2]
    assert len(sessions) == len(due) + len(repeated)
    assert stream.stats.conflicts == len(repeated) > 0
    assert stream.stats.duplicates == 0
    (told,) = [event for event in events if event.kind == "id_conflict"]
    assert told.facts.service_location_id == 1002


@pytest.mark.parametrize("order", ["arrival", "start"])
@pytest.mark.parametrize("how", ["sessions", "batches"])
async def test_a_session_whose_start_is_corrected_while_it_is_read_comes_once(
    sim: Simulator, connect: Connect, order: Any, how: str
) -> None:
    """R44: in each response are sessions that moved there from the range before."""
    sim.add_fault(Fault("moved_start", delay_s=6 * 3600, skip=1))
    client = await connect(limits=Limits(target_sessions=20, verify_from_sessions=None))
    winter = TimeRange(datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC))
    stream = client.sessions([1001, 1002], winter, order=order)

    if how == "sessions":
        sessions = [session async for session in stream]
    else:
        sessions = [session async for batch in stream.batches() for session in batch.sessions]

    due = {
        (park, each.id) for park in (1001, 1002) for each in sim.ledger.sessions(park, winter.start_ms, winter.end_ms)
    }
    keys = [session.key for session in sessions]
    assert len(keys) == len(set(keys))
    # Before the range there are sessions too, and they may have moved into it.
    assert due <= set(keys)
    stats = stream.stats
    assert stats.moved > 0
    assert (stats.duplicates, stats.conflicts, stats.forgotten) == (stats.moved, 0, 0)
    assert stats.received == stats.sessions + stats.filtered + stats.duplicates + stats.invalid


# --- clocks that are wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong_by_s", [-3600, 0, 3600])
async def test_a_clock_that_is_wrong_by_an_hour_loses_no_session(
    sim: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch, wrong_by_s: int
) -> None:
    """R8."""
    now = sim.clock.now
    monkeypatch.setattr("time.time", lambda: now.timestamp() + wrong_by_s)
    asked = TimeRange.since(now - timedelta(days=60))
    client = await connect(limits=Limits(target_sessions=50))

    sessions = await client.sessions([1001, 1002], asked, state="all").collect()

    due = [
        (park, session.id)
        for park in (1001, 1002)
        for session in sim.ledger.sessions(park, asked.start_ms, asked.end_ms, "all")
    ]
    assert sorted((session.key) for session in sessions) == sorted(due)
    assert any(now.timestamp() - session.from_ms / 1000 < 3600 for session in sessions)


@VIRTUAL_TIME
@pytest.mark.parametrize("wrong_by_s", [-3600, 3600])
async def test_a_wait_until_a_date_is_right_by_a_clock_that_is_wrong(
    sim: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch, wrong_by_s: int
) -> None:
    """R8: the date is taken relative to the response's own."""
    sent = datetime(2026, 3, 20, 12, tzinfo=UTC)
    monkeypatch.setattr("time.time", lambda: sent.timestamp() + wrong_by_s)
    client = await connect()
    await client.service_locations()
    dates = {
        "Date": format_datetime(sent, usegmt=True),
        "Retry-After": format_datetime(sent + timedelta(seconds=30), usegmt=True),
    }
    sim.add_fault(Fault("status", status=503, times=1, headers=dates))
    began = asyncio.get_running_loop().time()

    await client.service_locations()

    assert 29 <= asyncio.get_running_loop().time() - began <= 34  # 30 s and up to a tenth of them
