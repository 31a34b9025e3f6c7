"""Each switch of the simulator turns the line of the report that is about it, and no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smappee_async import Credentials, RetryPolicy, SmappeeClient
from smappee_async.doctor import DoctorReport, examine
from smappee_async.simulator import Assumptions, Fault, Park, SimulatedClock, SimulatedSession, Simulator, World

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
RFID, PARK = "04A1B2C3D4E5F6", 4_711_815


def sessions(now_ms: int) -> list[SimulatedSession]:
    """Ten completed sessions and one that runs."""
    ended = [
        SimulatedSession(id=900_000 + n, start_ms=now_ms - n * HOUR_MS, end_ms=now_ms - n * HOUR_MS + 1000, rfid=RFID)
        for n in range(1, 11)
    ]
    return [*ended, SimulatedSession(id=900_099, start_ms=now_ms - HOUR_MS // 2, rfid=RFID)]


@pytest.fixture
async def examined(anyio_backend: object) -> Any:
    async def examine_service(
        *, fault: Fault | None = None, more: tuple[SimulatedSession, ...] = (), **switches: Any
    ) -> DoctorReport:
        now = datetime.now(UTC)
        now_ms = int(now.timestamp() * 1000)
        world = World.of([Park.fixed(PARK, [*sessions(now_ms), *more])])
        clock = SimulatedClock.at(now)
        async with Simulator(world, assumptions=Assumptions(**switches), clock=clock) as sim:
            if fault is not None:
                sim.add_fault(fault)
            account = sim.account
            credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
            async with SmappeeClient(credentials, base_url=sim.base_url, retry=RetryPolicy.none()) as client:
                report = await examine(client, period=timedelta(days=2))
            assert report.requests == len(sim.requests) - 1  # all but the login
            return report

    return examine_service


def otherwise(report: DoctorReport) -> set[str]:
    return {finding.name for finding in report.findings if finding.verdict == "otherwise"}


async def test_the_simulator_is_as_assumed(examined: Any) -> None:
    report = await examined()
    assert {finding.name: finding.seen for finding in report.findings if finding.verdict != "as assumed"} == {}


async def test_an_examination_takes_about_thirty_requests_at_most(examined: Any) -> None:
    assert (await examined()).requests <= 30


@pytest.mark.parametrize(
    ("switches", "names"),
    [
        ({"active_filter": "lenient"}, {"active_filter"}),
        ({"active_default": "everything"}, {"active_default"}),
        ({"active_default": "active"}, {"active_default"}),
        ({"order": "oldest_first"}, {"order"}),
        ({"serial_number_type": "text"}, {"serial_number_type"}),
        ({"missing_range_status": 500}, {"missing_range_status"}),
        ({"refresh_returns_new_token": False}, {"refresh_returns_new_token"}),
        ({"session_limit": 6}, {"session_limit"}),
        ({"empty_response": "no_content"}, {"empty_response"}),
        ({"empty_response": "empty_body"}, {"empty_response"}),
        ({"unknown_park_status": 403}, set()),
        ({"sends_date": False}, {"sends_date"}),
    ],
)
async def test_a_switch_turns_its_line(examined: Any, switches: dict[str, Any], names: set[str]) -> None:
    assert otherwise(await examined(**switches)) >= names
    assert otherwise(await examined(**switches)) - names <= {"edges", "comma"} - names


@pytest.mark.parametrize(
    ("kind", "name"),
    [("unknown_fields", "keys"), ("unknown_status", "statuses"), ("bad_json_record", "types")],
)
async def test_an_odd_record_turns_its_line(examined: Any, kind: Any, name: str) -> None:
    assert name in otherwise(await examined(fault=Fault(kind)))


async def test_an_id_at_two_stations_is_seen(examined: Any) -> None:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    twin = SimulatedSession(
        id=900_050,
        start_ms=now_ms - 7 * HOUR_MS,
        end_ms=now_ms - 6 * HOUR_MS,
        serial_number=6_100_000_002,
        extra={"id": 900_001},
    )
    assert "unique" in otherwise(await examined(more=(twin,)))


async def test_an_energy_in_another_unit_is_seen(examined: Any) -> None:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    odd = SimulatedSession(id=900_050, start_ms=now_ms - 5000, end_ms=now_ms - 4000, extra={"energy": 14_250})
    assert "units" in otherwise(await examined(more=(odd,)))


async def test_what_no_session_shows_could_not_be_seen(anyio_backend: object) -> None:
    async with Simulator(World.of([Park.fixed(PARK, [])]), clock=SimulatedClock.at(datetime.now(UTC))) as sim:
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        async with SmappeeClient(credentials, base_url=sim.base_url) as client:
            report = await examine(client)
    seen = {finding.name for finding in report.findings if finding.verdict == "could not be seen"}
    assert {"active_filter", "order", "types", "units", "unique", "edges"} <= seen


async def test_a_report_holds_nothing_personal(examined: Any) -> None:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    odd = SimulatedSession(
        id=900_050, start_ms=now_ms - 5000, end_ms=now_ms - 4000, extra={"priority": RFID, "status": "STOPPED"}
    )
    text = json.dumps((await examined(more=(odd,))).to_dict())
    assert "types" in text
    assert [secret for secret in (RFID, str(PARK), "9000", "6100000001", "TESTCARD", "4242") if secret in text] == []
