"""A backfill through a real nginx: whole under its limits, short connections, reloads and restarts.

nginx shares no line with the simulator or the client. Its access log is a second count of what the client sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import attrs
import pytest

from smappee_async import (
    ChargingSession,
    ClientEvent,
    Credentials,
    Limits,
    RetryPolicy,
    SessionStream,
    SmappeeClient,
    TimeRange,
)
from smappee_async.simulator import Fault, Park, Simulator, World
from tests.client.support import told, truth_of

from .conftest import StartNginx
from .front import Logged, Nginx, Settings

pytestmark = pytest.mark.anyio

YEAR: Final = TimeRange.year(2025, tz="Europe/Brussels")
WORLD: Final = World.of(
    [
        Park.home(1001, connectors=2),
        Park.office(1002, timezone="Europe/London", connectors=2),
        Park.hub(1003, sessions_per_day=3),
        Park.hub(1004, sessions_per_day=3),
    ],
    seed=3,
)
PARKS: Final = tuple(WORLD.parks)
#: Small chunks, so that there are many requests.
LIMITS: Final = Limits(target_sessions=150)
#: Waits that are short, but not too short, because nginx counts its limits in real time. A 503 pauses nobody, so each call
#: finds out about a limit by itself: that takes more retries than a default client has.
RETRY: Final = RetryPolicy(attempts=12, base_delay_s=0.02, throttled_base_delay_s=0.2, max_delay_s=1.0, budget=1000)


@attrs.define
class Backfill:
    """A year of some parks, read by a client through nginx from a simulator."""

    sim: Simulator
    nginx: Nginx
    stream: SessionStream
    events: list[ClientEvent]

    async def read(self, *, at: int = 0, then: Callable[[], Awaitable[None]] | None = None) -> list[ChargingSession]:
        """Read all; after ``at`` batches, ``then`` happens."""
        sessions: list[ChargingSession] = []
        batches = 0
        async with self.stream as stream:
            async for batch in stream.batches():
                sessions += batch.sessions
                batches += 1
                if batches == at and then is not None:
                    await then()
        assert batches > at
        return sessions

    def check_whole(self, sessions: list[ChargingSession]) -> None:
        """Nothing is missing, and nothing came twice."""
        truth = truth_of(self.sim, PARKS, YEAR)
        assert len(truth) > 3000
        assert told(sessions) == truth

    def calls(self) -> list[Logged]:
        """What nginx logged, but for the calls for tokens."""
        return [each for each in self.nginx.requests() if not each.path.endswith("/oauth2/token")]

    def check_counted(self) -> Counter[int]:
        """Each attempt that nginx logged is one that the client counted; returns how often each status came."""
        calls = self.calls()
        renewals = [event for event in self.events if event.kind == "token_renewal_ended"]
        assert len(calls) == self.stream.stats.requests
        assert len(self.nginx.requests()) == len(calls) + len(renewals)
        return Counter(each.status for each in calls)

    def check_counted_through_an_end(self) -> None:
        """The same, where nginx closed connections: what was sent on one of them may have reached it or not."""
        answered = [event for event in self.events if event.kind == "attempt_ended" and event.facts.status is not None]
        assert len(answered) <= len(self.calls()) <= self.stream.stats.requests
        assert {each.status for each in self.calls()} == {200}


@asynccontextmanager
async def backfill(
    start_nginx: StartNginx, settings: Settings, *faults: Fault, latency_s: float = 0.0
) -> AsyncIterator[Backfill]:
    async with Simulator(WORLD, faults=faults, latency_s=latency_s) as sim:
        nginx = start_nginx(sim.origin, settings)
        who, events = sim.account, list[ClientEvent]()
        credentials = Credentials(who.client_id, who.client_secret, who.username, who.password)
        async with SmappeeClient(
            credentials, base_url=nginx.base_url, limits=LIMITS, retry=RETRY, on_event=events.append
        ) as smappee:
            yield Backfill(sim, nginx, smappee.sessions(PARKS, YEAR), events)


# Limits


@pytest.mark.parametrize(("directive", "status"), [("limit_req_status 429;", 429), ("", 503)])
async def test_a_limit_on_requests_a_second_slows_a_backfill_and_takes_nothing_from_it(
    start_nginx: StartNginx, directive: str, status: int
) -> None:
    settings = Settings(
        http="limit_req_zone $server_port zone=seen:64k rate=60r/s;",
        location=f"limit_req zone=seen burst=10 nodelay; {directive}",
    )
    async with backfill(start_nginx, settings) as run:
        run.check_whole(await run.read())
    statuses = run.check_counted()
    assert statuses.keys() == {200, status}


async def test_a_limit_on_requests_at_once_takes_nothing_from_a_backfill(start_nginx: StartNginx) -> None:
    settings = Settings(http="limit_conn_zone $server_port zone=held:64k;", location="limit_conn held 4;")
    async with backfill(start_nginx, settings, latency_s=0.01) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200, 503}


# Connections


async def test_connections_of_three_requests_are_enough(start_nginx: StartNginx) -> None:
    async with backfill(start_nginx, Settings(server="keepalive_requests 3;")) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200}
    assert max(Counter(each.connection for each in run.nginx.requests()).values()) == 3


async def test_connections_that_end_while_the_consumer_pauses_are_made_anew(start_nginx: StartNginx) -> None:
    async with backfill(start_nginx, Settings(server="keepalive_timeout 1s;")) as run:

        async def pause() -> None:
            await asyncio.sleep(1.2)
            paused.append(run.nginx.requests()[-1].connection)

        paused: list[int] = []
        run.check_whole(await run.read(at=5, then=pause))
    assert run.check_counted().keys() == {200}
    assert run.nginx.requests()[-1].connection > paused[0]


# Responses


async def test_responses_that_nginx_compresses_are_read_whole(start_nginx: StartNginx) -> None:
    # The simulator is told that nobody takes gzip, so that it is nginx that compresses.
    location = 'proxy_set_header Accept-Encoding ""; gzip on; gzip_types application/json; gzip_proxied any;'
    async with backfill(start_nginx, Settings(location=location)) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200}
    assert "gzip" in {each.encoding for each in run.calls()}


async def test_responses_that_are_passed_on_piece_by_piece_are_read_whole(start_nginx: StartNginx) -> None:
    async with backfill(start_nginx, Settings(location="proxy_buffering off; proxy_http_version 1.1;")) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200}


async def test_a_service_that_stalls_behind_nginx_is_asked_again_after_its_504(start_nginx: StartNginx) -> None:
    stalls = Fault("stall_before_headers", route="park_sessions", skip=5, times=3)
    async with backfill(start_nginx, Settings(location="proxy_read_timeout 1s;"), stalls) as run:
        run.check_whole(await run.read())
    assert run.check_counted()[504] == 3


async def test_a_service_that_resets_behind_nginx_is_asked_again_after_its_502(start_nginx: StartNginx) -> None:
    resets = Fault("reset_before_headers", route="park_sessions", skip=5, times=3)
    async with backfill(start_nginx, Settings(), resets) as run:
        run.check_whole(await run.read())
    assert run.check_counted()[502] == 3


async def test_a_response_that_breaks_off_behind_nginx_is_asked_for_again(start_nginx: StartNginx) -> None:
    # nginx has sent 200 by then, so only the length of the body tells.
    cuts = Fault("reset_mid_body", route="park_sessions", skip=5, times=3)
    async with backfill(start_nginx, Settings(location="proxy_buffering off;"), cuts) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200}
    assert run.stream.stats.retries == 3


# Headers


async def test_the_headers_of_a_request_fit_into_half_a_kilobyte(start_nginx: StartNginx) -> None:
    # nginx itself allows a line of 8 kB; some are set up for less, and answer 400 or 414.
    settings = Settings(server="client_header_buffer_size 512; large_client_header_buffers 1 512;")
    async with backfill(start_nginx, settings) as run:
        run.check_whole(await run.read())
    assert run.check_counted().keys() == {200}


async def test_a_response_with_headers_that_nginx_refuses_is_asked_for_again(start_nginx: StartNginx) -> None:
    huge = Fault("huge_headers", route="park_sessions", skip=5, times=2)
    async with backfill(start_nginx, Settings(), huge) as run:
        run.check_whole(await run.read())
    assert run.check_counted()[502] == 2


# nginx itself


async def test_a_reload_in_mid_backfill_takes_nothing_from_it(start_nginx: StartNginx) -> None:
    async with backfill(start_nginx, Settings()) as run:

        async def reload() -> None:
            await asyncio.to_thread(run.nginx.reload)

        run.check_whole(await run.read(at=10, then=reload))
    run.check_counted_through_an_end()
    assert len({each.worker for each in run.calls()}) == 2


async def test_a_restart_in_mid_backfill_takes_nothing_from_it(start_nginx: StartNginx) -> None:
    async with backfill(start_nginx, Settings(), latency_s=0.01) as run:

        async def restart() -> None:
            await asyncio.to_thread(run.nginx.stop)
            await asyncio.sleep(0.2)  # calls are refused meanwhile
            await asyncio.to_thread(run.nginx.start)

        run.check_whole(await run.read(at=10, then=restart))
    run.check_counted_through_an_end()
    assert run.stream.stats.requests > len(run.calls())
