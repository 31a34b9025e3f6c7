"""The Home Assistant sketch: who owns the session and the tokens, and how each failure of an update is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

import smappee_async
from smappee_async import AuthenticationError, SmappeeClient, TimeRange
from smappee_async.simulator import Fault, Park, Simulator, World
from smappee_async.testing.thread import in_thread

from .serving import EXAMPLES, HOME, HUB, load_example

NOW = datetime(2026, 10, 31, 17, tzinfo=UTC)
TODAY = TimeRange.day(2026, 10, 31, tz="Europe/Brussels")


@pytest.fixture
def example(sim: Simulator) -> Any:
    """The module, which reads the address of the service from the environment."""
    sim.clock.move_to(NOW)
    return load_example("home_assistant")


@pytest.fixture
def answers(sim: Simulator) -> dict[str, str]:
    """What the user types into the form."""
    return {name: getattr(sim.account, name) for name in ("client_id", "client_secret", "username", "password")}


@pytest.fixture
async def http(anyio_backend: object) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def entry(example: Any, http: aiohttp.ClientSession, answers: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = await example.log_in(http, answers)
    return made


@pytest.fixture
async def smappee(example: Any, http: aiohttp.ClientSession, entry: dict[str, Any]) -> AsyncIterator[SmappeeClient]:
    async with example.make_client(http, entry, entry.update) as opened:
        yield opened


@pytest.fixture
def coordinator(example: Any, smappee: SmappeeClient) -> Any:
    return example.ParkCoordinator(smappee, HUB, ZoneInfo("Europe/Brussels"), lambda: NOW)


@pytest.mark.anyio
async def test_the_entry_holds_the_tokens_and_no_password(entry: dict[str, Any], answers: dict[str, str]) -> None:
    assert set(entry) == {"client_id", "client_secret", "token"}
    assert answers["password"] not in repr(entry)


@pytest.mark.anyio
async def test_a_wrong_password_is_an_authentication_error(
    example: Any, http: aiohttp.ClientSession, answers: dict[str, str]
) -> None:
    with pytest.raises(AuthenticationError):
        await example.log_in(http, answers | {"password": "not-the-password"})


@pytest.mark.anyio
async def test_an_update_tells_what_is_active_and_what_ended_today(sim: Simulator, coordinator: Any) -> None:
    state = await coordinator._async_update_data()

    active = sim.ledger.sessions(HUB, sim.clock.now_ms - 14 * 86_400_000, None, "active")
    ended = [sim.ledger.wire(each) for each in sim.ledger.sessions(HUB, TODAY.start_ms, TODAY.end_ms)]
    assert [session.id for session in state.active] == [session.id for session in active]
    assert state.today_kwh == sum((Decimal(repr(record["energy"])) for record in ended), Decimal(0)) > 0


@pytest.mark.anyio
async def test_two_updates_without_a_change_are_equal(coordinator: Any) -> None:
    assert await coordinator._async_update_data() == await coordinator._async_update_data()


@pytest.mark.anyio
async def test_renewed_tokens_are_saved_in_the_entry(
    sim: Simulator, example: Any, http: aiohttp.ClientSession, entry: dict[str, Any]
) -> None:
    first = entry["token"]
    sim.oauth.revoke_access_tokens()

    async with example.make_client(http, entry, entry.update) as smappee:
        await smappee.service_locations()

    assert entry["token"]["refresh_token"] != first["refresh_token"]


@pytest.mark.anyio
async def test_a_lost_login_asks_for_a_new_one(sim: Simulator, example: Any, coordinator: Any) -> None:
    sim.add_fault(Fault("status", route="token", status=401))
    sim.oauth.revoke_access_tokens()

    with pytest.raises(example.ConfigEntryAuthFailed):
        await coordinator._async_update_data()


@pytest.mark.anyio
async def test_a_rate_limit_says_when_to_come_back(sim: Simulator, example: Any, coordinator: Any) -> None:
    sim.add_fault(Fault("status", route="park_sessions", status=429, retry_after="300"))

    with pytest.raises(example.UpdateFailed) as raised:
        await coordinator._async_update_data()

    assert raised.value.retry_after == 300


@pytest.mark.anyio
async def test_any_other_failure_is_a_failed_update(sim: Simulator, example: Any, coordinator: Any) -> None:
    sim.add_fault(Fault("status", route="park_sessions", status=500))

    with pytest.raises(example.UpdateFailed):
        await coordinator._async_update_data()


@pytest.mark.anyio
async def test_unloading_leaves_the_session_of_home_assistant_open(
    http: aiohttp.ClientSession, smappee: SmappeeClient
) -> None:
    await smappee.aclose()

    assert not http.closed


def test_it_runs_without_home_assistant() -> None:
    with in_thread(lambda: Simulator(World.of([Park.home(HOME)], seed=5))) as sim:
        environment = os.environ | {
            "PYTHONPATH": str(Path(smappee_async.__file__).parents[1]),
            "SMAPPEE_BASE_URL": sim.base_url,
            "SMAPPEE_CLIENT_ID": sim.account.client_id,
            "SMAPPEE_CLIENT_SECRET": sim.account.client_secret,
            "SMAPPEE_USERNAME": sim.account.username,
            "SMAPPEE_PASSWORD": sim.account.password,
        }
        command = [sys.executable, "-X", "dev", str(EXAMPLES / "home_assistant.py"), str(HOME)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"\d+ active, [\d.]+ kWh of sessions that started today and have ended\n", ended.stdout)
