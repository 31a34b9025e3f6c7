"""The live page for tests: its app under uvicorn, and listeners that are not browsers."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import aiohttp
import attrs
import uvicorn

from smappee_async.simulator import Park, SimulatedClock, SimulatedSession, Simulator, World

from .serving import EXAMPLES, listener, load_example, until, url_of

live_page = load_example("live_page")

PARK = 1001
NOW = "2026-11-01T12:00:00Z"
#: Two sessions run, one begins after a minute, and the first one ends after two.
SESSIONS = (
    SimulatedSession.between(1, "2026-11-01T11:00:00Z", "2026-11-01T12:02:00Z", energy_kwh=14.25),
    SimulatedSession.between(2, "2026-11-01T11:30:00Z", "2026-11-01T18:00:00Z", connector=2),
    SimulatedSession.between(3, "2026-11-01T12:01:00Z", "2026-11-01T19:00:00Z", serial_number=6_100_000_002),
)


def make_simulator(sessions: tuple[SimulatedSession, ...] = SESSIONS) -> Simulator:
    return Simulator(World.of([Park.fixed(PARK, sessions)]), clock=SimulatedClock.at(NOW))


def environment_of(sim: Simulator) -> dict[str, str]:
    """What the app is told of its service. It visits a park every 50 ms."""
    return {
        "SMAPPEE_BASE_URL": sim.base_url,
        "SMAPPEE_CLIENT_ID": sim.account.client_id,
        "SMAPPEE_CLIENT_SECRET": sim.account.client_secret,
        "SMAPPEE_USERNAME": sim.account.username,
        "SMAPPEE_PASSWORD": sim.account.password,
        "LIVE_PAGE_EVERY_S": "0.05",
    }


@attrs.frozen
class LivePage:
    """The running app. ``feed`` is its own :class:`live_page.Feed`."""

    url: str
    feed: Any


@asynccontextmanager
async def serve_live_page() -> AsyncIterator[LivePage]:
    """The app under uvicorn, in this process. Its listeners are ended first, because no signal does it here."""
    with listener() as listening:
        server = uvicorn.Server(uvicorn.Config(live_page.app, log_config=None, ws="none", lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: server.started or serving.done())
            running = LivePage(url_of(listening), server.lifespan.state["feed"])
            try:
                yield running
            finally:
                running.feed.close()
        finally:
            server.should_exit = True
            await serving


@attrs.frozen
class Message:
    """One message, as a browser would see it."""

    id: str
    data: dict[str, Any]

    @property
    def told(self) -> tuple[str, int]:
        """The kind of the event, and the session."""
        return self.data["kind"], self.data["session"]["id"]


class Listener:
    """One open response of ``/events``."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def block(self) -> dict[str, str]:
        """The next lines up to an empty one, by field; a comment has the empty name.

        :raises EOFError: the response has ended as it should.
        """
        fields: dict[str, str] = {}
        while line := (await self._response.content.readline()).decode():
            if line == "\n":
                return fields
            name, _, value = line.rstrip("\n").partition(": " if not line.startswith(":") else ":")
            fields[name] = value
        raise EOFError

    async def message(self) -> Message:
        """The next message, without comments and settings."""
        while "data" not in (fields := await self.block()):
            pass
        return Message(fields["id"], json.loads(fields["data"]))

    async def until_told(self, kind: str, session: int) -> list[Message]:
        """The messages up to the event of a session."""
        messages = [await self.message()]
        while messages[-1].data["kind"] == "all" or messages[-1].told != (kind, session):
            messages.append(await self.message())
        return messages


@attrs.define
class Listeners:
    """Listeners of one page."""

    url: str
    http: aiohttp.ClientSession
    _open: list[aiohttp.ClientResponse] = attrs.field(factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        await self.http.close()

    async def join(self, last_event_id: str | None = None) -> Listener:
        headers: Mapping[str, str] = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        response = await self.http.get(f"{self.url}/events", headers=headers)
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        self._open.append(response)
        return Listener(response)

    def leave(self) -> None:
        """Cut all connections, as browsers do whose tabs are closed."""
        while self._open:
            self._open.pop().close()


def listeners_of(url: str, connector: aiohttp.TCPConnector | None = None) -> Listeners:
    # Not more than these at once, and no limit on how long they listen.
    connector = connector or aiohttp.TCPConnector(limit=0)
    return Listeners(url, aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)))


# --- as a process of its own --------------------------------------------------------------------------------------------------


@attrs.define
class Server:
    """``uvicorn live_page:app`` as a process. ``log`` is what it has written so far."""

    process: subprocess.Popen[bytes]
    url: str
    log: bytes

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        _, rest = self.process.communicate(timeout=100)
        self.log += rest
        return self.process.returncode


@contextmanager
def uvicorn_process(environment: Mapping[str, str], *options: str) -> Iterator[Server]:
    command = [sys.executable, "-X", "dev", "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", *options]
    with subprocess.Popen([*command, "live_page:app"], env=dict(environment), stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            log = b""
            while (found := re.search(rb"running on (http://[\d.:]+)", log)) is None:
                line = process.stderr.readline()
                assert line, log.decode()
                log += line
            yield Server(process, found[1].decode(), log)
        finally:
            process.kill()
