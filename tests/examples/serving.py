"""What the tests of both backends share: ways to start and to call them, and what they should respond."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import aiohttp
import attrs
import uvicorn
from aiohttp import web

from smappee_async import SmappeeClient, TimeRange
from smappee_async.simulator import Fault, Simulator

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def load_example(name: str) -> ModuleType:
    """One of the whole programs of the documentation, as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


aiohttp_app = load_example("aiohttp_app")
fastapi_app = load_example("fastapi_app")

HOME, OFFICE, HUB = 1001, 1002, 1003
MARCH = TimeRange.month(2026, 3, tz="Europe/Brussels")
STREAM = "/parks/{}/sessions?month=2026-03"

# --- the backends -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Backend:
    """A running backend.

    :param client: the client that it opened.
    """

    url: str
    client: SmappeeClient
    app: web.Application | None = None


class Serve(Protocol):
    def __call__(self, *, patient: bool = True) -> AbstractAsyncContextManager[Backend]:
        """Start a backend, and at the end, if ``patient``, let it finish the requests that it is serving."""
        ...


@asynccontextmanager
async def serve_fastapi(*, patient: bool = True) -> AsyncIterator[Backend]:
    """The FastAPI app under uvicorn."""
    with listener() as listening:
        grace_s = 60 if patient else 0
        config = uvicorn.Config(
            fastapi_app.app, log_config=None, ws="none", lifespan="on", timeout_graceful_shutdown=grace_s
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: server.started or serving.done())
            yield Backend(url_of(listening), server.lifespan.state["smappee"])
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def serve_aiohttp(*, patient: bool = True) -> AsyncIterator[Backend]:
    """The aiohttp app, as its own last line starts it."""
    with listener() as listening:
        app = aiohttp_app.make_app()
        grace_s = 60 if patient else 0.001  # 0 would be for ever
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=grace_s)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            yield Backend(url_of(listening), app[aiohttp_app.SMAPPEE], app)
        finally:
            await runner.cleanup()


def listener() -> socket.socket:
    """A port of the system's choice, whose connections hold little: a reader who stops reading soon stops the writer."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return listening


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"http://{host}:{port}"


# --- calling them -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def get(url: str) -> Reply:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return Reply(response.status, dict(response.headers), await response.read())


def holding_little() -> aiohttp.TCPConnector:
    """For a reader of whose response little is under way: the writer soon has to wait for it."""

    def make(address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return made

    return aiohttp.TCPConnector(socket_factory=make)


async def until(holds: Callable[[], bool]) -> None:
    """Wait, but not for ever."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come to hold")


class Behind:
    """What is left behind, in this event loop and at the service, since it was made."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._before = asyncio.all_tasks()

    async def nothing(self) -> None:
        """Wait until there is nothing."""
        await until(lambda: not self._sim.open_connections and not self.tasks())

    def tasks(self) -> list[asyncio.Task[Any]]:
        # aiohttp's servers have a task for every connection that is kept for a next request.
        return [task for task in asyncio.all_tasks() - self._before if "RequestHandler.start" not in repr(task)]


# --- what they should respond -----------------------------------------------------------------------------------------------


def truth(sim: Simulator, park: int) -> list[dict[str, Any]]:
    """The lines of a park's March, by id."""
    lines = []
    for each in sim.ledger.sessions(park, MARCH.start_ms, MARCH.end_ms):
        wire = sim.ledger.wire(each)
        line = {"park": park, "id": wire["id"], "status": wire["status"], "energy_kwh": repr(wire["energy"])}
        lines.append(line | {"started_at": wire["from"], "ended_at": wire["to"]})
    return sorted(lines, key=lambda line: line["id"])


def told(body: bytes) -> list[dict[str, Any]]:
    """The lines that a backend sent, in the same form."""
    lines = [json.loads(line) for line in body.splitlines()]
    for line in lines:
        line |= {name: TimeRange.parse(f"{line[name]}..").start_ms for name in ("started_at", "ended_at")}
    return sorted(lines, key=lambda line: line["id"])


def energy_kwh(sim: Simulator, park: int) -> str:
    return str(sum((Decimal(line["energy_kwh"]) for line in truth(sim, park)), Decimal(0)))


# --- what goes wrong at the service -----------------------------------------------------------------------------------------


def stalled(**where: Any) -> Fault:
    """No response about sessions, for good."""
    return Fault("stall_before_headers", route="park_sessions", **where)


def too_large() -> Fault:
    """Answers about more than 20 days are larger than the client takes: it asks for two halves instead."""
    return Fault("gzip_bomb", route="park_sessions", wider_than_s=20 * 86400, size_bytes=65 * 1024 * 1024)
