"""What both backends promise, over real HTTP on either side."""

from __future__ import annotations

import asyncio

import aiohttp
import attrs
import pytest

from smappee_async.simulator import Fault, Simulator

from .serving import (
    HOME,
    HUB,
    MARCH,
    OFFICE,
    STREAM,
    Backend,
    Behind,
    Serve,
    energy_kwh,
    get,
    holding_little,
    stalled,
    told,
    too_large,
    truth,
    until,
)

pytestmark = pytest.mark.anyio

LATE_MS = (MARCH.end_ms or 0) - 3_600_000

# --- the stream -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("park", [HOME, HUB])
async def test_the_stream_is_complete_and_exact(sim: Simulator, backend: Backend, park: int) -> None:
    reply = await get(backend.url + STREAM.format(park))

    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert told(reply.body) == truth(sim, park)


async def test_a_month_without_sessions_is_an_empty_stream(sim: Simulator, backend: Backend) -> None:
    reply = await get(backend.url + f"/parks/{HOME}/sessions?month=2014-03")

    assert (reply.status, reply.body) == (200, b"")


async def test_no_rfid_gets_out(sim: Simulator, backend: Backend) -> None:
    rfids = {each.rfid for each in sim.ledger.sessions(HUB, MARCH.start_ms, MARCH.end_ms)} - {None}

    reply = await get(backend.url + STREAM.format(HUB))

    assert rfids
    assert not [rfid for rfid in rfids if str(rfid).encode() in reply.body]


async def test_a_response_that_breaks_off_half_way_has_no_proper_end(sim: Simulator, backend: Backend) -> None:
    # The last of a long response: others are on their way by then.
    sim.add_fault(Fault("bad_json_record", covers_ms=LATE_MS, index=1_000_000))

    async with aiohttp.ClientSession() as http:
        response = await http.get(backend.url + STREAM.format(HUB))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert response.status == 200


async def test_two_requests_at_once_share_the_client_and_its_one_token(sim: Simulator, backend: Backend) -> None:
    replies = await asyncio.gather(*(get(backend.url + STREAM.format(park)) for park in (HOME, OFFICE)))

    assert [told(reply.body) for reply in replies] == [truth(sim, HOME), truth(sim, OFFICE)]
    assert sim.hits("token") == 1


# --- hanging up -------------------------------------------------------------------------------------------------------------


async def test_a_client_that_hangs_up_before_the_first_line_leaves_nothing_behind(
    sim: Simulator, backend: Backend
) -> None:
    behind = Behind(sim)
    sim.add_fault(stalled())

    async with aiohttp.ClientSession() as http:
        request = asyncio.create_task(http.get(backend.url + STREAM.format(HUB)))
        await until(lambda: sim.open_connections > 0)
        request.cancel()
        await asyncio.wait([request])

    await behind.nothing()


async def test_a_client_that_hangs_up_while_the_rest_is_asked_for_leaves_nothing_behind(
    sim: Simulator, backend: Backend
) -> None:
    behind = Behind(sim)
    sim.add_fault(too_large())
    sim.add_fault(stalled(covers_ms=LATE_MS))

    async with aiohttp.ClientSession() as http:
        response = await http.get(backend.url + STREAM.format(HUB))
        await response.content.readline()
        await until(lambda: sim.open_connections > 0)
        response.close()

    await behind.nothing()


async def test_a_client_that_hangs_up_without_reading_on_leaves_nothing_behind(
    sim: Simulator, backend: Backend
) -> None:
    behind = Behind(sim)
    sim.add_fault(too_large())
    sim.add_fault(stalled(covers_ms=LATE_MS))

    async with aiohttp.ClientSession(connector=holding_little(), read_bufsize=1024) as http:
        response = await http.get(backend.url + STREAM.format(HUB))
        await response.content.readline()
        await until(lambda: sim.open_connections > 0)
        for _ in range(25):  # until the backend can write no more, and waits
            await asyncio.sleep(0.002)
        response.close()

    await behind.nothing()


async def test_after_a_hang_up_the_app_goes_on_serving(sim: Simulator, backend: Backend) -> None:
    async with aiohttp.ClientSession() as http:
        response = await http.get(backend.url + STREAM.format(HUB))
        await response.content.readline()
        response.close()

    reply = await get(backend.url + STREAM.format(HUB))

    assert told(reply.body) == truth(sim, HUB)


# --- many parks at once -----------------------------------------------------------------------------------------------------


async def test_the_energy_of_many_parks_is_exact(sim: Simulator, backend: Backend) -> None:
    reply = await get(f"{backend.url}/energy?month=2026-03&park={HOME}&park={OFFICE}")

    assert reply.json == {
        "energy_kwh": {str(HOME): energy_kwh(sim, HOME), str(OFFICE): energy_kwh(sim, OFFICE)},
        "failures": {},
    }


async def test_a_park_that_cannot_be_read_is_listed_and_the_others_are_told(sim: Simulator, backend: Backend) -> None:
    reply = await get(f"{backend.url}/energy?month=2026-03&park={HOME}&park=999")

    assert reply.json["energy_kwh"] == {str(HOME): energy_kwh(sim, HOME)}
    assert list(reply.json["failures"]) == ["999"]


async def test_a_park_that_does_not_answer_before_the_deadline_is_listed(sim: Simulator, backend: Backend) -> None:
    sim.add_fault(stalled(service_location_id=OFFICE))

    reply = await get(f"{backend.url}/energy?month=2026-03&park={HOME}&park={OFFICE}&within_s=0.5")

    assert reply.json["energy_kwh"] == {str(HOME): energy_kwh(sim, HOME)}
    assert list(reply.json["failures"]) == [str(OFFICE)]


# --- what goes wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param(STREAM.format(999), 404, id="no such park"),
        pytest.param(STREAM.format(0), 422, id="no park id"),
        pytest.param(f"/parks/{HOME}/sessions?month=2026-13", 422, id="no such month"),
        pytest.param(f"/parks/{HOME}/sessions", 422, id="no month"),
        pytest.param(f"/parks/{HOME}/sessions?month=2026-03&tz=Nowhere", 422, id="no such zone"),
        pytest.param("/energy?month=2026-03", 422, id="no parks"),
        pytest.param(f"/energy?month=2026-03&park={HOME}&within_s=0", 422, id="no time"),
        pytest.param(f"/energy?month=2026-03&park={HOME}&within_s=soon", 422, id="no number"),
    ],
)
async def test_a_request_that_cannot_be_answered_is_the_callers_mistake(
    sim: Simulator, backend: Backend, path: str, status: int
) -> None:
    assert (await get(backend.url + path)).status == status


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param(Fault("status", status=403), 404, id="forbidden"),
        pytest.param(Fault("status", status=400), 502, id="refused"),
        pytest.param(Fault("status", status=500), 502, id="failing"),
        pytest.param(Fault("maintenance", status=200), 502, id="maintenance"),
        pytest.param(Fault("bad_json_record"), 502, id="unreadable"),
        pytest.param(Fault("status", status=429, retry_after="300"), 503, id="throttled"),
    ],
)
async def test_what_fails_at_smappee_has_a_status_of_its_own(
    sim: Simulator, backend: Backend, fault: Fault, status: int
) -> None:
    sim.add_fault(attrs.evolve(fault, route="park_sessions"))

    assert (await get(backend.url + STREAM.format(HOME))).status == status


async def test_a_throttled_caller_is_told_when_to_come_back(sim: Simulator, backend: Backend) -> None:
    sim.add_fault(Fault("status", status=429, retry_after="300", route="park_sessions"))

    reply = await get(backend.url + STREAM.format(HOME))

    assert reply.headers["Retry-After"] == "300"


async def test_a_refused_login_is_the_operators_business_and_no_secret_gets_out(
    sim: Simulator, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMAPPEE_PASSWORD", "not-the-password")
    async with serve() as backend:
        reply = await get(backend.url + STREAM.format(HOME))

    assert reply.status == 503
    assert "operator" in reply.json["detail"]
    assert b"not-the-password" not in reply.body


# --- the end ----------------------------------------------------------------------------------------------------------------


async def test_shutting_down_closes_the_client(sim: Simulator, serve: Serve) -> None:
    async with serve() as backend:
        await get(backend.url + STREAM.format(HOME))

    assert repr(backend.client).endswith("closed>")


async def test_shutting_down_in_the_middle_of_a_request_leaves_nothing_behind(sim: Simulator, serve: Serve) -> None:
    behind = Behind(sim)
    sim.add_fault(stalled())

    async with serve(patient=False) as backend:
        request = asyncio.create_task(get(backend.url + STREAM.format(HUB)))
        await until(lambda: sim.open_connections > 0)
    await asyncio.wait([request])
    assert request.exception() is not None or request.result().status == 500

    await behind.nothing()
