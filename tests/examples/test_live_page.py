"""The live page: what its listeners are sent, by one watch for all of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import attrs
import pytest

import smappee_async
from smappee_async import ChargingSession, SessionStatus
from smappee_async.simulator import Fault, SimulatedSession, Simulator
from smappee_async.sync import Updated
from smappee_async.testing.thread import in_thread

from .live import (
    PARK,
    LivePage,
    environment_of,
    listeners_of,
    live_page,
    make_simulator,
    serve_live_page,
    uvicorn_process,
)
from .serving import get, holding_little, until

anyio = pytest.mark.anyio

LISTENERS = 200


@pytest.fixture
async def sim(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with make_simulator() as simulator:
        for name, value in environment_of(simulator).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SMAPPEE_REFRESH_TOKEN", raising=False)
        yield simulator


@pytest.fixture
async def page(sim: Simulator) -> AsyncIterator[LivePage]:
    """The page, with the two sessions that run at first."""
    async with serve_live_page() as running:
        await until(lambda: running.feed.number >= 2)
        yield running


async def go_on(sim: Simulator, page: LivePage, minutes: float) -> None:
    """Move the clock of the service, and wait until the page has heard of it."""
    before = page.feed.number
    sim.clock.move(60 * minutes)
    await until(lambda: page.feed.number > before)


# --- what a listener is sent -------------------------------------------------------------------------------------------------


@anyio
async def test_a_listener_first_gets_what_runs_and_then_what_happens(sim: Simulator, page: LivePage) -> None:
    async with listeners_of(page.url) as listeners:
        listener = await listeners.join()
        first = await listener.message()
        await go_on(sim, page, 1.0)
        await listener.until_told("started", 3)
        await go_on(sim, page, 1.0)
        (*_, ended) = await listener.until_told("ended", 1)

    assert first.data["kind"] == "all"
    assert {each["id"]: each["connector"] for each in first.data["sessions"]} == {1: 1, 2: 2}
    assert not ended.data["runs"]
    assert ended.data["session"] == {
        "park": PARK,
        "id": 1,
        "station": "6100000001",
        "connector": 1,
        "status": "STOPPED",
        "started_at": "2026-11-01T11:00:00+00:00",
        "energy_kwh": "14.25",
    }


@anyio
async def test_many_listeners_of_one_watch_get_each_event_once(sim: Simulator, page: LivePage) -> None:
    loop = asyncio.get_running_loop()
    async with listeners_of(page.url) as listeners:
        joined = await asyncio.gather(*(listeners.join() for _ in range(LISTENERS)))
        for listener in joined:
            assert (await listener.message()).data["kind"] == "all"
        sim.reset_log()
        began_at = loop.time()
        await go_on(sim, page, 1.0)
        await go_on(sim, page, 1.0)
        heard = await asyncio.gather(*(listener.until_told("ended", 1) for listener in joined))
        visits = (loop.time() - began_at) / 0.05 + 1
        requests = sim.hits("park_sessions")

    numbers = [int(message.id.partition("-")[2]) for message in heard[0]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len([message for message in heard[0] if message.told == ("started", 3)]) == 1
    assert all(other == heard[0] for other in heard)
    # A visit is one request or two, whoever listens.
    assert requests <= 2 * visits


@anyio
async def test_no_rfid_gets_out(sim: Simulator, page: LivePage) -> None:
    async with listeners_of(page.url) as listeners:
        listener = await listeners.join()
        await listener.message()
        await go_on(sim, page, 2.0)
        heard = await listener.until_told("ended", 1)

    assert {each.rfid for each in sim.world.sessions(PARK, 0, 1 << 60)} == {"TESTCARD01"}
    assert "TESTCARD" not in json.dumps([message.data for message in heard])


@anyio
async def test_a_listener_to_whom_nothing_happens_gets_comments(
    sim: Simulator, page: LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_page, "KEEP_ALIVE_S", 0.01)
    async with listeners_of(page.url) as listeners:
        listener = await listeners.join()
        await listener.message()
        assert await listener.block() == {"": " keep-alive"}


# --- connecting again --------------------------------------------------------------------------------------------------------


@anyio
async def test_a_listener_that_comes_back_gets_what_it_missed(sim: Simulator, page: LivePage) -> None:
    async with listeners_of(page.url) as listeners:
        seen = await (await listeners.join()).message()
        listeners.leave()
        await go_on(sim, page, 1.0)
        heard = await (await listeners.join(seen.id)).until_told("started", 3)

    numbers = [int(message.id.partition("-")[2]) for message in heard]
    first = int(seen.id.partition("-")[2]) + 1
    assert numbers == list(range(first, first + len(numbers)))
    assert {message.data["kind"] for message in heard} <= {"updated", "started"}


@anyio
@pytest.mark.parametrize(
    "last",
    [lambda page: f"{page.feed.run}-999999", lambda page: "other-1", lambda page: "1", lambda page: "\xe9"],
    ids=["of the future", "of another process", "without a process", "of nobody"],
)
async def test_a_listener_that_comes_with_an_unknown_id_gets_what_runs(
    sim: Simulator, page: LivePage, last: Callable[[LivePage], str]
) -> None:
    async with listeners_of(page.url) as listeners:
        message = await (await listeners.join(last(page))).message()

    assert message.data["kind"] == "all"


@anyio
async def test_a_listener_that_comes_back_after_a_restart_gets_what_runs(sim: Simulator) -> None:
    async with serve_live_page() as page, listeners_of(page.url) as listeners:
        await until(lambda: page.feed.number >= 2)
        seen = await (await listeners.join()).message()
    sim.clock.move(120)  # the first session has ended meanwhile, and the third one runs
    async with serve_live_page() as page, listeners_of(page.url) as listeners:
        await until(lambda: page.feed.number >= 2)
        message = await (await listeners.join(seen.id)).message()

    assert message.data["kind"] == "all"
    assert {each["id"] for each in message.data["sessions"]} == {2, 3}


# --- listeners that are slow, or go ------------------------------------------------------------------------------------------


def a_session() -> ChargingSession:
    return ChargingSession(
        id=99, serial_number="6100000001", from_ms=0, status=SessionStatus.CHARGING, service_location_id=PARK
    )


@anyio
async def test_a_slow_listener_holds_up_nobody_and_is_right_in_the_end(
    sim: Simulator, page: LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = 8 * live_page.KEPT_EVENTS
    session = a_session()
    async with listeners_of(page.url, holding_little()) as sleepers, listeners_of(page.url) as listeners:
        slow, fast = await sleepers.join(), await listeners.join()
        await fast.message()
        for kwh in range(1, events + 1):
            after = attrs.evolve(session, energy=float(kwh))
            page.feed.publish(Updated(number=kwh, at_ms=0, before=session, after=after))
            await asyncio.sleep(0)
        last = f"{page.feed.run}-{page.feed.number}"
        while (await fast.message()).id != last:
            pass
        received = [await slow.message()]
        while received[-1].data["kind"] == "all" or received[-1].data["session"]["id"] != 99:
            received.append(await slow.message())
        table: dict[int, str] = {}
        restarts = 0
        while True:
            message = received[-1]
            if message.data["kind"] == "all":
                restarts += 1
                table = {each["id"]: each["energy_kwh"] for each in message.data["sessions"]}
            else:
                table[message.data["session"]["id"]] = message.data["session"]["energy_kwh"]
            if table.get(99) == f"{float(events)}":
                break
            received.append(await slow.message())

    assert restarts >= 1
    assert len(received) < events
    assert set(table) == {1, 2, 99}


@anyio
async def test_listeners_that_go_leave_no_task(sim: Simulator, page: LivePage) -> None:
    before = asyncio.all_tasks()
    async with listeners_of(page.url) as listeners:
        for listener in [await listeners.join() for _ in range(20)]:
            await listener.message()
        assert page.feed.listeners == 20
        listeners.leave()
        await until(lambda: page.feed.listeners == 0)
        # The watch and the simulator have tasks that come and go.
        await until(lambda: not [each for each in asyncio.all_tasks() - before if "uvicorn" in repr(each)])


# --- what is shown of errors ---------------------------------------------------------------------------------------------------


@anyio
async def test_health_names_the_parks_that_could_not_be_read(sim: Simulator, page: LivePage) -> None:
    assert (await get(f"{page.url}/health")).json == {"watch_runs": True, "failures": {}, "listeners": 0}
    sim.add_fault(Fault("status", route="park_sessions", status=404))
    requests = sim.hits("park_sessions")
    await until(lambda: sim.hits("park_sessions") > requests + 2)  # the first of these visits is over

    failures = (await get(f"{page.url}/health")).json["failures"]
    assert list(failures) == [str(PARK)]
    assert "404" in failures[str(PARK)]


@anyio
async def test_the_page_loads_nothing_from_elsewhere(sim: Simulator, page: LivePage) -> None:
    reply = await get(page.url)

    assert (
        "default-src 'none'"
        in {name.lower(): value for name, value in reply.headers.items()}["content-security-policy"]
    )
    assert b"//" not in reply.body.replace(b"// ", b"")


# --- the end, as a process of its own ------------------------------------------------------------------------------------------


def environment(sim: Simulator) -> dict[str, str]:
    return os.environ | environment_of(sim) | {"PYTHONPATH": str(Path(smappee_async.__file__).parents[1])}


def test_a_server_that_is_told_to_end_does_not_wait_for_its_listeners() -> None:
    with in_thread(make_simulator) as sim, uvicorn_process(environment(sim)) as server:
        responses = [urlopen(f"{server.url}/events", timeout=100) for _ in range(10)]
        for response in responses:
            assert response.readline() == b"retry: 2000\n"
        server.process.send_signal(signal.SIGTERM)
        server.wait()
        # Each has come to its proper end: what is cut off raises an error.
        assert all(response.read() for response in responses)

    assert b"Application shutdown complete" in server.log
    assert not [word for word in (b"Traceback", b"Warning", b"was destroyed") if word in server.log], (
        server.log.decode()
    )


def test_a_listener_that_does_not_read_does_not_hold_up_the_end_for_ever() -> None:
    # More than the system takes from the server for a connection whose other end does not read.
    sessions = tuple(SimulatedSession.between(number, "2026-11-01T11:00:00Z") for number in range(1, 30_001))
    with (
        in_thread(lambda: make_simulator(sessions)) as sim,
        uvicorn_process(environment(sim), "--timeout-graceful-shutdown", "1") as server,
        urlopen(f"{server.url}/events", timeout=60) as reader,
        socket.socket() as sleeper,
    ):
        while b'"id": 30000,' not in reader.readline():
            pass
        host = urlsplit(server.url)
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect((host.hostname, host.port))
        sleeper.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sleeper.recv(8) == b"HTTP/1.1"
        server.process.send_signal(signal.SIGTERM)
        server.wait()

    assert b"timeout graceful shutdown exceeded" in server.log
    assert b"Application shutdown complete" in server.log


def test_a_watch_that_ends_ends_the_server_visibly() -> None:
    with in_thread(make_simulator) as sim, uvicorn_process(environment(sim)) as server:
        response = urlopen(f"{server.url}/events", timeout=100)
        refusal = b'{"error": "invalid_grant"}'
        sim.add_fault(Fault("raw", route="token", status=400, body=refusal))
        sim.oauth.revoke_everything()
        code = server.wait()
        response.read()  # it has come to its proper end

    assert code != 0
    assert b"AuthenticationError" in server.log
    assert b"Application shutdown failed" in server.log


def test_it_runs_on_a_thread_that_gets_no_signals() -> None:
    handler = signal.getsignal(signal.SIGTERM)

    def enter() -> None:
        async def run() -> None:
            feed = live_page.Feed()
            with live_page.closing_at_exit(feed):
                assert signal.getsignal(signal.SIGTERM) is handler

        asyncio.run(run())
        entered.append(True)

    entered: list[bool] = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
