"""A plain caller of the simulated service: a few lines of aiohttp that hide nothing."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import pytest
from yarl import URL

from smappee_async.simulator import Park, SimulatedClock, SimulatedSession, Simulator, World

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDictProxy

NOW = "2026-11-01T00:00:00Z"
NOW_MS = SimulatedClock.at(NOW).now_ms
NOON_MS = SimulatedClock.at("2026-10-10T12:00:00Z").now_ms
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PARK = 1001

# asyncio, and asyncio on uvloop where that is installed: sockets behave differently there.
LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"),
    ),
]


@attrs.frozen
class Reply:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Serve(Protocol):
    async def __call__(self, world: World | Park | None = None, **options: Any) -> Caller: ...


class Caller:
    """Calls one simulator; logs in by itself unless told otherwise."""

    def __init__(self, sim: Simulator, http: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.http = http
        self.access_token = "none"
        self.refresh_token = "none"

    async def form(self, path: str = "/dev/v3/oauth2/token", **form: str) -> Reply:
        account = self.sim.account
        form = {"client_id": account.client_id, "client_secret": account.client_secret, **form}
        async with self.http.post(self.sim.origin + path, data=form) as response:
            return Reply(response.status, response.headers, await response.read())

    async def log_in(self, **form: str) -> Reply:
        account = self.sim.account
        form = {"grant_type": "password", "username": account.username, "password": account.password, **form}
        return self._keep(await self.form(**form))

    async def refresh(self, refresh_token: str | None = None) -> Reply:
        token = self.refresh_token if refresh_token is None else refresh_token
        return self._keep(await self.form(grant_type="refresh_token", refresh_token=token))

    def _keep(self, reply: Reply) -> Reply:
        if reply.status == 200:
            self.access_token = reply.json["access_token"]
            self.refresh_token = reply.json.get("refresh_token", self.refresh_token)
        return reply

    async def get(self, path: str) -> Reply:
        """GET a path with its query exactly as written."""
        url = URL(self.sim.origin + path, encoded=True)
        headers = {"Authorization": f"Bearer {self.access_token}"}
        async with self.http.get(url, headers=headers, allow_redirects=False) as response:
            return Reply(response.status, response.headers, await response.read())

    async def ask(self, query: str = f"range=0,{NOW_MS}", park: int = PARK) -> Reply:
        return await self.get(f"/dev/v3/chargingparks/{park}/sessions?{query}")

    async def sessions(self, query: str = f"range=0,{NOW_MS}", park: int = PARK) -> list[dict[str, Any]]:
        reply = await self.ask(query, park)
        assert reply.status == 200, reply
        records: list[dict[str, Any]] = reply.json
        return records

    async def ids(self, query: str = f"range=0,{NOW_MS}", park: int = PARK) -> list[int]:
        return [record["id"] for record in await self.sessions(query, park)]

    async def admin(self, method: str, path: str, **json_body: Any) -> Reply:
        url = f"{self.sim.origin}/_admin/{path}"
        async with self.http.request(method, url, json=json_body or None) as response:
            return Reply(response.status, response.headers, await response.read())


def session(
    session_id: int, start_ms: int = NOON_MS, end_ms: int | None = NOON_MS + HOUR_MS, **more: Any
) -> SimulatedSession:
    return SimulatedSession(session_id, start_ms, end_ms, **more)


def few(count: int = 3) -> Park:
    """A park of ``count`` completed sessions with ids from 1, an hour apart."""
    return Park.fixed(PARK, [session(n + 1, NOON_MS + n * HOUR_MS, NOON_MS + (n + 1) * HOUR_MS) for n in range(count)])


def one_open() -> Park:
    """A park of one completed session, id 1, and one that is open, id 2."""
    return Park.fixed(PARK, [session(1), session(2, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)])
