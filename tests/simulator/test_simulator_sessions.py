"""The data calls: what a range and ``active`` select, what a record says, and every switch of the assumptions."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from smappee_async.simulator import Assumptions, Park, SimulatedClock, World

from .calling import DAY_MS, HOUR_MS, NOON_MS, NOW_MS, PARK, Serve, few, one_open, session

pytestmark = pytest.mark.anyio

WORLD = World.of([Park.home(PARK), Park.office(1002, timezone="Europe/London"), Park.hub(1003)], seed=7)


# Ranges


@pytest.mark.parametrize(("start", "end", "found"), [(0, 1, True), (-1, 0, False), (1, 2, False), (-1, 1, True)])
async def test_a_range_includes_its_start_and_excludes_its_end(
    serve: Serve, *, start: int, end: int, found: bool
) -> None:
    caller = await serve(few(1))
    assert await caller.ids(f"range={NOON_MS + start},{NOON_MS + end}") == ([1] if found else [])


async def test_a_session_at_the_edge_of_two_ranges_is_in_the_second(serve: Serve) -> None:
    caller = await serve(few(2))
    assert await caller.ids(f"range={NOON_MS},{NOON_MS + HOUR_MS}") == [1]
    assert await caller.ids(f"range={NOON_MS + HOUR_MS},{NOON_MS + 2 * HOUR_MS}") == [2]


async def test_the_end_of_a_range_is_optional(serve: Serve) -> None:
    assert await (await serve(few(3))).ids(f"range={NOON_MS + 1}") == [3, 2]


async def test_the_comma_may_be_encoded(serve: Serve) -> None:
    assert await (await serve(few(1))).ids(f"range={NOON_MS}%2C{NOON_MS + 1}") == [1]


async def test_an_empty_range_holds_nothing(serve: Serve) -> None:
    assert await (await serve(few(1))).ids(f"range={NOON_MS},{NOON_MS}") == []


async def test_a_range_may_reach_from_the_beginning_into_the_far_future(serve: Serve) -> None:
    caller = await serve(WORLD)
    sessions = await caller.sessions(f"range={NOW_MS - 30 * DAY_MS},99999999999999999")
    assert caller.sim.ledger.digest(PARK, NOW_MS - 30 * DAY_MS) == caller.sim.ledger.digest_of(sessions)


@pytest.mark.parametrize(
    "text", ["", "x", "1,", ",1", "1,2,3", "-5", "1.5", "2,1", "1e3", "1,%C2%B2", "123456789012345678"]
)
async def test_a_bad_range_is_400(serve: Serve, text: str) -> None:
    reply = await (await serve()).ask(f"range={text}")
    assert reply.status == 400
    assert "range" in reply.json["message"]


@pytest.mark.parametrize("status", [400, 500])
async def test_a_missing_range_is_an_error_of_the_assumed_status(serve: Serve, status: int) -> None:
    caller = await serve(assumptions=Assumptions(missing_range_status=status))  # type: ignore[arg-type]
    assert (await caller.ask("active=true")).status == status


@pytest.mark.parametrize("text", ["True", "1", "", "yes"])
async def test_active_is_true_or_false_and_nothing_else(serve: Serve, text: str) -> None:
    assert (await (await serve()).ask(f"range=0&active={text}")).status == 400


# What is selected


@pytest.mark.parametrize(
    ("assumptions", "query", "ids"),
    [
        (Assumptions(), "active=false&", [1]),
        (Assumptions(), "active=true&", [2]),
        (Assumptions(), "", [1]),
        (Assumptions(active_default="active"), "", [2]),
        (Assumptions(active_default="everything"), "", [2, 1]),
        (Assumptions(active_filter="lenient"), "active=false&", [2, 1]),
        (Assumptions(active_filter="lenient"), "active=true&", [2]),
        (Assumptions(active_filter="lenient"), "", [2, 1]),
        (Assumptions(active_filter="ignored"), "active=true&", [2, 1]),
    ],
)
async def test_active_selects_as_assumed(serve: Serve, assumptions: Assumptions, query: str, ids: list[int]) -> None:
    caller = await serve(one_open(), assumptions=assumptions)
    assert await caller.ids(f"{query}range=0") == ids


async def test_an_open_session_that_started_before_the_range_is_not_selected(serve: Serve) -> None:
    assert await (await serve(one_open())).ids(f"active=true&range={NOW_MS - HOUR_MS + 1}") == []


async def test_a_session_that_has_not_begun_is_not_served(serve: Serve) -> None:
    caller = await serve(Park.fixed(PARK, [session(1, NOW_MS + 1, NOW_MS + 2)]))
    assert await caller.ids(f"active=true&range=0,{NOW_MS + DAY_MS}") == []


async def test_the_open_sessions_of_a_computed_park_are_found(serve: Serve) -> None:
    caller = await serve(WORLD)
    served = await caller.sessions("active=true&range=0", park=1003)
    truth = [one.id for one in WORLD.sessions(1003, NOW_MS - 30 * DAY_MS, NOW_MS + 1) if one.open_at(NOW_MS)]
    assert truth
    assert sorted(record["id"] for record in served) == sorted(truth)


async def test_a_station_serves_the_sessions_of_its_connectors_only(serve: Serve) -> None:
    caller = await serve(WORLD)
    query = f"range={NOW_MS - 30 * DAY_MS},{NOW_MS}"
    of_park = await caller.sessions(query)
    stations = sorted({record["serialNumber"] for record in of_park})
    for serial in stations:
        of_station = (await caller.get(f"/dev/v3/chargingstations/{serial}/sessions?{query}")).json
        assert of_station == [record for record in of_park if record["serialNumber"] == serial]


@pytest.mark.parametrize("assumptions", [Assumptions(), Assumptions.documented(), Assumptions.seen_in_clients()])
@pytest.mark.parametrize("park", WORLD.parks)
@pytest.mark.parametrize("state", ["completed", "active"])
async def test_what_is_served_is_what_the_ledger_says(
    serve: Serve, assumptions: Assumptions, park: int, state: str
) -> None:
    caller = await serve(WORLD, assumptions=assumptions)
    start_ms, end_ms = NOW_MS - 21 * DAY_MS + 12_345, NOW_MS - HOUR_MS
    active = "true" if state == "active" else "false"
    served = await caller.sessions(f"active={active}&range={start_ms},{end_ms}", park)
    truth = "all" if assumptions.active_filter == "lenient" and state == "completed" else state
    ledger = caller.sim.ledger
    assert ledger.count(park, start_ms, end_ms, truth) == len(served)  # type: ignore[arg-type]
    assert ledger.digest(park, start_ms, end_ms, truth) == ledger.digest_of(served)  # type: ignore[arg-type]


# What a record says


async def test_a_completed_record_has_the_documented_example_s_fields(serve: Serve) -> None:
    caller = await serve(few(1), assumptions=Assumptions.documented())
    assert await caller.sessions() == [
        {
            "id": 1,
            "serialNumber": 6_100_000_001,
            "authenticationType": "RFID",
            "rfid": "TESTCARD01",
            "csmsTransactionId": "",
            "from": NOON_MS,
            "to": NOON_MS + HOUR_MS,
            "status": "STOPPED",
            "range": 100,
            "duration": 2,
            "priority": 100,
            "startReading": 100.0,
            "stopReading": 114.25,
        }
    ]


async def test_a_record_has_the_fields_that_clients_have_seen(serve: Serve) -> None:
    [record] = await (await serve(few(1), assumptions=Assumptions(field_profile="seen"))).sessions()
    assert record["energy"] == 14.25
    assert record["connector"] == 1
    assert record["maxAmperes"] == [16, 16, 16]
    assert record.keys().isdisjoint({"range", "duration", "csmsTransactionId"})


@pytest.mark.parametrize(("form", "value"), [("number", 6_100_000_001), ("text", "6100000001")])
async def test_a_serial_number_is_of_the_assumed_type(serve: Serve, form: str, value: object) -> None:
    caller = await serve(few(1), assumptions=Assumptions(serial_number_type=form))  # type: ignore[arg-type]
    assert (await caller.sessions())[0]["serialNumber"] == value


async def test_an_open_record_has_no_end_and_no_stop_reading(serve: Serve) -> None:
    [record] = await (await serve(one_open())).sessions("active=true&range=0")
    assert record.keys().isdisjoint({"to", "stopReading"})
    assert 0 < record["energy"] < 14.25


async def test_an_unauthenticated_session_has_neither_type_nor_card_nor_user(serve: Serve) -> None:
    anonymous = session(1, authentication_type=None, rfid=None, user_id=None)
    [record] = await (await serve(Park.fixed(PARK, [anonymous]))).sessions()
    assert record.keys().isdisjoint({"authenticationType", "rfid", "userId"})


async def test_further_keys_of_a_fixed_session_are_served_as_they_are(serve: Serve) -> None:
    odd = session(1, extra={"status": "PARKED", "colour": "green"})
    [record] = await (await serve(Park.fixed(PARK, [odd]))).sessions()
    assert (record["status"], record["colour"]) == ("PARKED", "green")


async def test_a_session_goes_through_its_states_as_the_clock_moves(serve: Serve) -> None:
    clock = SimulatedClock(NOON_MS)
    caller = await serve(Park.fixed(PARK, [session(1, pauses=True)]), clock=clock)
    seen = []
    for moment_s in (1, 20, 600, 1200, 3000, 3598):
        clock.move(timedelta(milliseconds=NOON_MS + moment_s * 1000 - clock.now_ms))
        seen += [record["status"] for record in await caller.sessions("active=true&range=0")]
    assert seen == ["INITIAL", "STARTED", "CHARGING", "SUSPENDED", "STARTED", "STOPPING"]


async def test_energy_of_an_open_session_only_grows(serve: Serve) -> None:
    caller = await serve(few(1), clock=SimulatedClock(NOON_MS))
    energies = []
    for _ in range(5):
        caller.sim.clock.move(600)
        energies += [record["energy"] for record in await caller.sessions("active=true&range=0")]
    assert len(energies) == 5
    assert energies == sorted(energies)


async def test_moving_the_clock_ends_an_open_session(serve: Serve) -> None:
    caller = await serve(one_open())
    caller.sim.clock.move(timedelta(hours=1))
    assert await caller.ids("active=true&range=0") == []
    assert await caller.ids("active=false&range=0") == [2, 1]


async def test_a_session_is_over_at_its_very_end(serve: Serve) -> None:
    caller = await serve(few(1), clock=SimulatedClock(NOON_MS + HOUR_MS - 1))
    assert await caller.ids("active=true&range=0") == [1]
    caller.sim.clock.move(0.001)
    assert await caller.ids("active=false&range=0") == [1]


async def test_a_session_that_starts_this_very_millisecond_is_open(serve: Serve) -> None:
    caller = await serve(Park.fixed(PARK, [session(1, NOW_MS, NOW_MS + 1)]))
    assert await caller.ids("active=true&range=0") == [1]
    assert caller.sim.ledger.count(PARK, 0, NOW_MS + 1, "active") == 1


async def test_a_day_with_open_sessions_is_told_anew_when_they_have_ended(serve: Serve) -> None:
    # Now is a Sunday; some of so many homes have a session that has been open since Friday.
    caller = await serve(Park.home(PARK, connectors=64))
    start_ms, end_ms = NOW_MS - 5 * DAY_MS, NOW_MS
    query = f"active=false&range={start_ms},{end_ms}"
    before = await caller.sessions(query)
    caller.sim.clock.move(timedelta(days=10))
    after = await caller.sessions(query)
    assert len(after) > len(before)
    assert caller.sim.ledger.digest_of(after) == caller.sim.ledger.digest(PARK, start_ms, end_ms)


async def test_a_session_without_an_end_never_ends(serve: Serve) -> None:
    caller = await serve(Park.fixed(PARK, [session(1, end_ms=None)]))
    caller.sim.clock.move(timedelta(days=3650))
    assert await caller.ids("active=true&range=0") == [1]


async def test_a_running_clock_moves_with_the_loop(serve: Serve) -> None:
    caller = await serve(clock=SimulatedClock.at("2026-11-01T00:00:00Z", running=True))
    before_ms = caller.sim.clock.now_ms
    await asyncio.sleep(0.02)
    assert caller.sim.clock.now_ms > before_ms >= NOW_MS


# Order, session limits, empty responses


async def test_responses_come_in_the_assumed_order(serve: Serve) -> None:
    newest = await (await serve(few(5))).ids()
    oldest = await (await serve(few(5), assumptions=Assumptions(order="oldest_first"))).ids()
    assert newest == [5, 4, 3, 2, 1]
    assert oldest == [1, 2, 3, 4, 5]


async def test_a_shuffled_response_is_always_the_same_disorder(serve: Serve) -> None:
    caller = await serve(few(40), assumptions=Assumptions(order="shuffled"))
    ids = await caller.ids()
    assert sorted(ids) == list(range(1, 41))
    assert ids not in (sorted(ids), sorted(ids, reverse=True))
    assert await caller.ids() == ids


@pytest.mark.parametrize(("order", "ids"), [("newest_first", [5, 4]), ("oldest_first", [1, 2])])
async def test_a_result_cap_keeps_the_first_of_the_order_served(serve: Serve, order: str, ids: list[int]) -> None:
    assumptions = Assumptions(session_limit=2, order=order)  # type: ignore[arg-type]
    assert await (await serve(few(5), assumptions=assumptions)).ids() == ids


@pytest.mark.parametrize(("keeps", "ids"), [("first", [5, 4]), ("newest", [5, 4]), ("oldest", [2, 1])])
async def test_a_result_cap_keeps_one_end_in_the_order_served(serve: Serve, keeps: str, ids: list[int]) -> None:
    assumptions = Assumptions(session_limit=2, limit_keeps=keeps)  # type: ignore[arg-type]
    assert await (await serve(few(5), assumptions=assumptions)).ids() == ids


async def test_a_result_cap_can_hold_for_one_park_only(serve: Serve) -> None:
    caller = await serve(WORLD, assumptions=Assumptions(session_limit_by_park={1003: 7}))
    served = await caller.sessions(f"range={NOW_MS - 60 * DAY_MS}", park=1003)
    others = await caller.sessions(f"range={NOW_MS - 60 * DAY_MS}", park=1002)
    assert len(served) == 7 < len(others)


async def test_a_cap_on_the_size_leaves_out_whole_records(serve: Serve) -> None:
    caller = await serve(WORLD, assumptions=Assumptions(size_limit_bytes=20_000))
    reply = await caller.ask(f"range={NOW_MS - 60 * DAY_MS}", park=1003)
    whole = await (await serve(WORLD)).sessions(f"range={NOW_MS - 60 * DAY_MS}", park=1003)
    served = json.loads(reply.body)
    assert 19_000 < len(reply.body) <= 20_000
    assert served == whole[: len(served)]


@pytest.mark.parametrize(
    ("range_filter", "ids"), [("strict", [3]), ("start_only", [5, 4, 3]), ("ignored", [5, 4, 3, 2, 1])]
)
async def test_the_range_selects_in_the_assumed_way(serve: Serve, range_filter: str, ids: list[int]) -> None:
    caller = await serve(few(5), assumptions=Assumptions(range_filter=range_filter))  # type: ignore[arg-type]
    starts = {record["id"]: record["from"] for record in await caller.sessions("range=0")}
    assert await caller.ids(f"range={starts[3]},{starts[3] + 1}") == ids


async def test_a_result_cap_holds_for_a_computed_park(serve: Serve) -> None:
    caller = await serve(WORLD, assumptions=Assumptions(session_limit=100))
    everything = sorted(one.start_ms for one in caller.sim.ledger.sessions(1003, NOW_MS - 60 * DAY_MS))
    served = await caller.sessions(f"range={NOW_MS - 60 * DAY_MS}", park=1003)
    assert [record["from"] for record in served] == everything[:-101:-1]


@pytest.mark.parametrize(
    ("form", "status", "body"), [("array", 200, b"[]"), ("no_content", 204, b""), ("empty_body", 200, b"")]
)
async def test_nothing_is_said_in_the_assumed_way(serve: Serve, form: str, status: int, body: bytes) -> None:
    caller = await serve(few(), assumptions=Assumptions(empty_response=form))  # type: ignore[arg-type]
    reply = await caller.ask("range=0,1")
    assert (reply.status, reply.body) == (status, body)


# The other calls


async def test_service_locations_are_listed(serve: Serve) -> None:
    caller = await serve(WORLD)
    reply = (await caller.get("/dev/v3/servicelocation")).json
    assert [location["serviceLocationId"] for location in reply["serviceLocations"]] == [1001, 1002, 1003]
    assert reply["serviceLocations"][0].keys() == {
        "serviceLocationId",
        "serviceLocationUuid",
        "name",
        "deviceSerialNumber",
    }


async def test_info_names_the_time_zone(serve: Serve) -> None:
    caller = await serve(WORLD)
    reply = (await caller.get("/dev/v3/servicelocation/1002/info")).json
    assert (reply["serviceLocationId"], reply["timezone"]) == (1002, "Europe/London")


@pytest.mark.parametrize("status", [404, 403])
@pytest.mark.parametrize(
    "path",
    ["chargingparks/9/sessions?range=0", "chargingstations/9/sessions?range=0", "servicelocation/9/info"],
)
async def test_an_unknown_place_is_an_error_of_the_assumed_status(serve: Serve, status: int, path: str) -> None:
    caller = await serve(assumptions=Assumptions(unknown_park_status=status))  # type: ignore[arg-type]
    assert (await caller.get(f"/dev/v3/{path}")).status == status


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["chargingparks", "chargingstations"])
async def test_sessions_are_not_supported_before_version_3(serve: Serve, version: str, kind: str) -> None:
    caller = await serve()
    reply = await caller.get(f"/dev/{version}/{kind}/{PARK}/sessions?range=0")
    assert reply.status == 404
    assert "not supported" in reply.json["message"]
    assert caller.sim.hits("unsupported") == 1


@pytest.mark.parametrize("path", ["/", "/dev/v3/nothing", "/dev/v3/chargingparks/x/sessions?range=0"])
async def test_another_path_is_404(serve: Serve, path: str) -> None:
    assert (await (await serve()).get(path)).status == 404


async def test_data_is_only_got(serve: Serve) -> None:
    caller = await serve()
    async with caller.http.post(caller.sim.base_url + "/servicelocation") as reply:
        assert reply.status == 405


async def test_calls_beyond_the_most_of_a_second_are_told_to_wait_for_one(serve: Serve) -> None:
    caller = await serve(few(1), assumptions=Assumptions(requests_per_second=2))
    replies = [await caller.ask("range=0") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].headers["Retry-After"] == "1"
