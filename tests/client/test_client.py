"""The front door: what it takes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from smappee_async import (
    AuthenticationError,
    ClientClosed,
    ClientEvent,
    ConfigurationError,
    Credentials,
    Limits,
    ServiceLocation,
    SmappeeClient,
    TimeRange,
)
from smappee_async.simulator import Fault

from .support import Cloud, told

MARCH = TimeRange.month(2026, 3, tz="UTC")
SOMEBODY = Credentials("client", "secret", "user", "password")


# --- what it takes --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_service_locations_are_what_the_account_sees(cloud: Cloud) -> None:
    client = await cloud.connect()

    assert [each.id for each in await client.service_locations()] == [1001, 1002, 1003]


@pytest.mark.anyio
async def test_a_service_location_tells_its_time_zone_and_currency(cloud: Cloud) -> None:
    client = await cloud.connect()

    info = await client.service_location(1002)

    assert (info.timezone, info.currency) == ("Europe/London", "EUR")


@pytest.mark.anyio
async def test_parks_may_be_given_as_service_locations(cloud: Cloud) -> None:
    client = await cloud.connect()
    parks = await client.service_locations()

    sessions = await client.sessions(parks[:2], MARCH).collect()

    assert told(sessions) == cloud.truth([1001, 1002], MARCH)


@pytest.mark.anyio
async def test_one_client_serves_many_tasks_with_one_login(cloud: Cloud) -> None:
    """R10: also for the first token of all."""
    client = await cloud.connect()

    await asyncio.gather(*(client.service_location(1001) for _ in range(200)))

    assert cloud.sim.hits("token") == 1


@pytest.mark.anyio
async def test_a_host_that_owns_the_login_gives_the_tokens_itself(cloud: Cloud) -> None:
    owner = await cloud.connect()
    await owner.service_locations()
    asked: list[str | None] = []

    class Login:
        async def access_token(self, rejected: str | None) -> str:
            asked.append(rejected)
            token = await owner._open._tokens.access_token()  # type: ignore[union-attr]
            return token.reveal()

    client = await cloud.connect(credentials=Login())

    assert await client.service_locations()
    assert set(asked) == {None}


@pytest.mark.anyio
async def test_a_provider_that_repeats_a_refused_token_is_told_so(cloud: Cloud) -> None:
    class Stubborn:
        async def access_token(self, rejected: str | None) -> str:
            return "stale"

    client = await cloud.connect(credentials=Stubborn())

    with pytest.raises(AuthenticationError, match="gave the access token again"):
        await client.service_locations()
    assert cloud.sim.hits("servicelocations") == 1


@pytest.mark.anyio
async def test_the_host_is_told_what_happens_and_a_fault_in_its_hook_harms_nothing(cloud: Cloud) -> None:
    kinds = []

    def hook(event: ClientEvent) -> None:
        kinds.append(event.kind)
        raise ZeroDivisionError

    cloud.sim.add_fault(Fault("status", status=500, times=1, route="park_sessions"))
    client = await cloud.connect(on_event=hook, limits=Limits(verify_from_sessions=None))

    sessions = await client.sessions(1001, MARCH).collect()

    assert told(sessions) == cloud.truth([1001], MARCH)
    assert kinds == [
        "stream_started",
        "chunk_started",
        "token_renewal_started",
        "token_renewal_ended",
        "attempt_started",
        "attempt_ended",
        "wait_started",
        "wait_ended",
        "attempt_started",
        "attempt_ended",
        "chunk_ended",
        "stream_ended",
    ]


# --- a session that the host owns -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_session_of_the_host_is_neither_closed_nor_changed(cloud: Cloud) -> None:
    cloud.sim.add_fault(Fault("set_cookie"))
    async with aiohttp.ClientSession(headers={"X-Host": "1"}) as host:
        before = (dict(host.headers), host.timeout, host._retry_connection)
        client = await cloud.connect(http_session=host)
        await client.sessions(1001, MARCH).collect()
        await client.aclose()

        assert not host.closed
        assert (dict(host.headers), host.timeout, host._retry_connection) == before
        assert list(host.cookie_jar) == []
        async with host.get(f"{cloud.sim.base_url}/servicelocation") as response:
            assert response.status == 401


@pytest.mark.anyio
async def test_the_connections_of_a_hosts_session_are_shared(cloud: Cloud) -> None:
    async with aiohttp.ClientSession() as host:
        client = await cloud.connect(http_session=host)
        await client.service_locations()

        assert host.connector is not None
        assert sum(map(len, host.connector._conns.values())) == 1
        await client.aclose()


@pytest.mark.anyio
async def test_a_session_of_the_host_that_is_closed_is_refused(cloud: Cloud) -> None:
    async with aiohttp.ClientSession() as host:
        pass

    with pytest.raises(ConfigurationError, match="closed"):
        await cloud.connect(http_session=host)


# --- opening and closing --------------------------------------------------------------------------------------------------


def test_a_client_is_built_before_any_loop_runs() -> None:
    assert "not open yet" in repr(SmappeeClient(SOMEBODY))


@pytest.mark.anyio
async def test_use_before_opening_is_refused_at_once() -> None:
    """R32."""
    client = SmappeeClient(SOMEBODY)

    with pytest.raises(ClientClosed, match="not open yet"):
        client.sessions(1, MARCH)
    with pytest.raises(ClientClosed, match="not open yet"):
        await client.service_locations()


@pytest.mark.anyio
async def test_use_after_closing_is_refused_at_once_and_closing_twice_is_nothing(cloud: Cloud) -> None:
    """R32."""
    client = await cloud.connect()
    stream = client.sessions(1001, MARCH)
    await client.aclose()
    await client.aclose()

    with pytest.raises(ClientClosed):
        client.sessions(1001, MARCH)
    with pytest.raises(ClientClosed):
        await anext(stream)


@pytest.mark.anyio
async def test_a_client_is_opened_once(cloud: Cloud) -> None:
    client = await cloud.connect()

    with pytest.raises(ClientClosed):
        await client.__aenter__()


@pytest.mark.anyio
async def test_use_from_another_event_loop_is_refused_at_once(cloud: Cloud) -> None:
    """R32."""
    client = await cloud.connect()

    async def elsewhere() -> None:
        await client.service_locations()

    with pytest.raises(ClientClosed, match="another event loop"):
        await asyncio.to_thread(asyncio.run, elsewhere())


@pytest.mark.anyio
async def test_use_after_a_fork_is_refused_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """R32."""
    client = await cloud.connect()
    monkeypatch.setattr(os, "getpid", lambda: -1)

    with pytest.raises(ClientClosed, match="fork"):
        client.sessions(1001, MARCH)


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("thing", [SOMEBODY, SmappeeClient(SOMEBODY)], ids=["credentials", "client"])
def test_clients_and_credentials_are_not_copied(copying: Any, thing: object) -> None:
    """R35."""
    with pytest.raises(TypeError):
        copying(thing)


def test_the_client_shows_no_secret() -> None:
    shown = repr(SmappeeClient(SOMEBODY)) + repr(SOMEBODY)

    assert not any(secret in shown for secret in ("'client'", "'secret'", "'user'", "'password'"))


# --- what it refuses, before anything is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (([], MARCH), {}),
        ((0, MARCH), {}),
        ((-1, MARCH), {}),
        ((True, MARCH), {}),
        (("1001", MARCH), {}),
        (([1001, "1002"], MARCH), {}),
        ((None, MARCH), {}),
        ((1001, "2026-03"), {}),
        ((1001, (datetime(2026, 1, 1, tzinfo=UTC), None)), {}),
        ((1001, MARCH), {"state": "open"}),
        ((1001, MARCH), {"order": "end"}),
        ((1001, MARCH), {"on_error": "ignore"}),
        ((1001, MARCH), {"on_invalid": "ignore"}),
        ((1001, MARCH), {"deadline": 30}),
        ((1001, MARCH), {"deadline": timedelta(0)}),
        ((1001, MARCH), {"resume": {}}),
        ((1001, MARCH), {"resume": {"version": 1, "state": "active", "read": {}}}),
    ],
)
@pytest.mark.anyio
async def test_a_question_that_cannot_be_asked_is_refused_at_once(
    cloud: Cloud, arguments: tuple[Any, Any], settings: dict[str, Any]
) -> None:
    client = await cloud.connect()

    with pytest.raises(ConfigurationError):
        client.sessions(*arguments, **settings)
    assert cloud.sim.hits() == 0


def test_credentials_of_another_type_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Credentials"):
        SmappeeClient(("client", "secret"))  # type: ignore[arg-type]


def test_a_base_url_that_is_not_safe_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        SmappeeClient(SOMEBODY, base_url="http://smappee.example/dev/v3")


def test_a_service_location_stands_for_its_id() -> None:
    assert ServiceLocation(7).id == 7
