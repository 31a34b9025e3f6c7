"""A simulator in a process of its own, and a client of its admin routes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import attrs
import msgspec

from smappee_async import Credentials
from smappee_async.simulator import Account, Assumptions, Ledger, SimulatedClock, Simulator, World
from smappee_async.simulator.assumptions import EmptyResponse

_MODULE: Final = "benchmarks.reliability.service"
_ROOT: Final = Path(__file__).parents[2]
_NOW: Final = "2026-11-01T00:00:00Z"
_STOP_S: Final = 10.0

FaultJson = Mapping[str, object]
"""A fault as the admin route takes it: the fields of ``Fault``; ``kind`` is required."""


@attrs.frozen(kw_only=True)
class Setup:
    """The settings of a service.

    :param parks: how many parks its world has, of several kinds.
    :param expires_in_s: lifetime of an access token, in seconds.
    :param session_limit: how many sessions a response holds at most, without a word; ``None`` for all.
    :param size_limit_bytes: how large a response is at most, without a word; ``None`` for any size.
    :param requests_per_second: how many data calls it serves in a second; it refuses the others with 429.
    """

    parks: int = 24
    sessions_per_year: int = 200_000
    expires_in_s: int = 36_000
    session_limit: int | None = None
    size_limit_bytes: int | None = None
    requests_per_second: int | None = None
    empty_response: EmptyResponse = "array"
    log_limit: int = 50_000
    cache_mib: int = 256

    @property
    def assumptions(self) -> Assumptions:
        """The same as assumptions of the simulator."""
        return Assumptions(
            expires_in_s=self.expires_in_s,
            session_limit=self.session_limit,
            size_limit_bytes=self.size_limit_bytes,
            requests_per_second=self.requests_per_second,
            empty_response=self.empty_response,
        )

    @property
    def world(self) -> World:
        """The parks; the same in every process."""
        return World.demo(seed=1, parks=self.parks, sessions_per_year=self.sessions_per_year)

    @property
    def ledger(self) -> Ledger:
        """The truth, computed in this process."""
        return Ledger(self.world, self.clock, self.assumptions)

    @property
    def clock(self) -> SimulatedClock:
        """A clock that stands still, so that the truth does not change."""
        return SimulatedClock.at(_NOW)


@attrs.frozen
class Stats:
    """The counters of the service since its start."""

    hits: int
    hits_by_route: dict[str, int]
    password_grants: int
    refresh_grants: int
    refusals: int
    reuse_detections: int
    issued: int


@attrs.frozen
class _Entry:
    """The part of an entry of the request log that is read here."""

    at_s: float
    route: str
    service_location_id: int | None
    start_ms: int | None
    end_ms: int | None
    status: int
    fault: str | None


@attrs.frozen
class Requested:
    """What the service was asked for.

    :ivar chunks: how often each chunk was requested.
    :ivar closed_early: how often the service closed a connection after a response that was whole for the client: a
        fault cut off a body that a 204 does not have. A request that is sent on such a connection at that moment is an
        attempt that the service never sees (RFC 9112 section 9.6).
    """

    chunks: Counter[ChunkKey]
    closed_early: int


#: The faults that close the connection in the middle of the body, or behind it.
_CLOSING: Final = frozenset({"truncated_body", "wrong_content_length", "chunked_cut", "reset_mid_body"})


ChunkKey = tuple[int | None, int | None, int | None]
"""What a request for sessions asks for: park, start and end."""


class Service:
    """A running service, and its admin routes."""

    def __init__(self, base_url: str, admin_url: str, process: subprocess.Popen[bytes]) -> None:
        self.base_url = base_url
        self.process = process
        self._admin_url = admin_url

    async def set_faults(self, faults: Sequence[FaultJson]) -> None:
        """Replace all faults by these."""
        await self._ask("DELETE", "faults")
        await self._ask("POST", "faults", list(faults))

    async def strikes(self) -> dict[str, int]:
        """How often each kind of the current faults has struck."""
        struck: dict[str, int] = {}
        for planned in msgspec.convert(await self._ask("GET", "faults"), list[dict[str, object]]):
            kind = str(planned["kind"])
            struck[kind] = struck.get(kind, 0) + msgspec.convert(planned["struck"], int)
        return struck

    async def stats(self) -> Stats:
        """The counters so far."""
        return msgspec.convert(await self._ask("GET", "stats"), Stats)

    async def requested(self, latest: int) -> Requested:
        """What was asked for in the latest requests."""
        if latest < 1:
            return Requested(Counter(), 0)
        entries = msgspec.convert(await self._ask("GET", f"requests?limit={latest}"), list[_Entry])
        entries = [entry for entry in entries if entry.route == "park_sessions"]
        return Requested(
            chunks=Counter((entry.service_location_id, entry.start_ms, entry.end_ms) for entry in entries),
            closed_early=sum(
                entry.status == HTTPStatus.NO_CONTENT and not _CLOSING.isdisjoint((entry.fault or "").split("+"))
                for entry in entries
            ),
        )

    async def arrivals(self, latest: int) -> list[float]:
        """When the latest requests arrived, in seconds on a clock of the service, in their order."""
        if latest < 1:
            return []
        return [
            entry.at_s for entry in msgspec.convert(await self._ask("GET", f"requests?limit={latest}"), list[_Entry])
        ]

    async def expire_tokens(self) -> None:
        """End every access token by time."""
        await self._ask("POST", "oauth/expire")

    async def _ask(self, method: str, route: str, body: object = None) -> object:
        # A connection for each call, so that none stays open in the process that is measured.
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self._admin_url}/{route}", json=body) as response,
        ):
            reply: object = await response.json()
            if not response.ok:
                raise RuntimeError(f"{method} {route}: {reply}")
            return reply


@asynccontextmanager
async def serving(setup: Setup) -> AsyncIterator[Service]:
    """Run a service in a process of its own while the block lasts."""
    arguments = [sys.executable, "-m", _MODULE, msgspec.json.encode(setup).decode()]
    process = await asyncio.to_thread(_start, arguments)
    try:
        assert process.stdout is not None
        greeting = json.loads(await asyncio.to_thread(process.stdout.readline))
        yield Service(greeting["base_url"], greeting["admin_url"], process)
    finally:
        await asyncio.to_thread(_stop, process)


def credentials() -> Credentials:
    """The credentials of the simulated account."""
    account = Account()
    return Credentials(account.client_id, account.client_secret, account.username, account.password)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=_STOP_S)  # closes its standard input, which tells it to end
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


async def _serve(setup: Setup) -> None:
    simulator = Simulator(
        setup.world,
        assumptions=setup.assumptions,
        clock=setup.clock,
        log_limit=setup.log_limit,
        cache_bytes=setup.cache_mib * 2**20,
    )
    async with simulator:
        greeting = {"base_url": simulator.base_url, "admin_url": f"{simulator.origin}/_admin"}
        print(json.dumps(greeting), flush=True)
        # The parent process holds the other end of the pipe: when the parent ends, in any way, this process ends too.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(msgspec.json.decode(sys.argv[1], type=Setup)))
