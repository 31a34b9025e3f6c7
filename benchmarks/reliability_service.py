"""A simulator in a process of its own, set up to the last detail, and the line to its admin routes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import attrs
import msgspec

from smappee_async import Credentials
from smappee_async.simulator import Account, Assumptions, Ledger, SimulatedClock, Simulator, World
from smappee_async.simulator.assumptions import EmptyAnswer

_MODULE: Final = "benchmarks.reliability_service"
_ROOT: Final = Path(__file__).parents[1]
_NOW: Final = "2026-11-01T00:00:00Z"
_STOP_S: Final = 10.0

FaultJson = Mapping[str, object]
"""A fault as the admin route takes it: the fields of ``Fault``, of which ``kind`` must be there."""


@attrs.frozen(kw_only=True)
class Setup:
    """What a service is like.

    :param parks: how many parks its world has, of several kinds.
    :param expires_in_s: life of an access token.
    :param session_limit: how many sessions of an reply are silently kept, if not all.
    """

    parks: int = 24
    sessions_per_year: int = 200_000
    expires_in_s: int = 36_000
    session_limit: int | None = None
    empty_response: EmptyAnswer = "array"
    log_limit: int = 50_000
    cache_mib: int = 256

    @property
    def assumptions(self) -> Assumptions:
        """The reading of the service."""
        return Assumptions(
            expires_in_s=self.expires_in_s, session_limit=self.session_limit, empty_response=self.empty_response
        )

    @property
    def world(self) -> World:
        """The parks, the same in every process."""
        return World.demo(seed=1, parks=self.parks, sessions_per_year=self.sessions_per_year)

    @property
    def ledger(self) -> Ledger:
        """The truth, computed here rather than asked for."""
        return Ledger(self.world, self.clock, self.assumptions)

    @property
    def clock(self) -> SimulatedClock:
        """It stands still, so that the truth does."""
        return SimulatedClock.at(_NOW)


@attrs.frozen
class Stats:
    """What the service has counted since its start."""

    hits: int
    hits_by_route: dict[str, int]
    password_grants: int
    refresh_grants: int
    refusals: int
    reuse_detections: int
    issued: int


@attrs.frozen
class _Entry:
    """What is read of an entry of the request log."""

    route: str
    service_location_id: int | None
    start_ms: int | None
    end_ms: int | None


Asked = tuple[int | None, int | None, int | None]
"""A question for sessions: park, start and end."""


class Service:
    """A running service, and its admin routes."""

    def __init__(self, base_url: str, admin_url: str, process: subprocess.Popen[bytes]) -> None:
        self.base_url = base_url
        self.process = process
        self._admin_url = admin_url

    async def set_faults(self, faults: Sequence[FaultJson]) -> None:
        """Let these go wrong from now on, and nothing else."""
        await self._ask("DELETE", "faults")
        await self._ask("POST", "faults", list(faults))

    async def strikes(self) -> dict[str, int]:
        """How often each kind of the faults in force has struck."""
        struck: dict[str, int] = {}
        for planned in msgspec.convert(await self._ask("GET", "faults"), list[dict[str, object]]):
            kind = str(planned["kind"])
            struck[kind] = struck.get(kind, 0) + msgspec.convert(planned["struck"], int)
        return struck

    async def stats(self) -> Stats:
        """What has been counted."""
        return msgspec.convert(await self._ask("GET", "stats"), Stats)

    async def questions(self, latest: int) -> Counter[Asked]:
        """How often each question for sessions was asked, among the latest requests."""
        if latest < 1:
            return Counter()
        entries = msgspec.convert(await self._ask("GET", f"requests?limit={latest}"), list[_Entry])
        return Counter(
            (entry.service_location_id, entry.start_ms, entry.end_ms)
            for entry in entries
            if entry.route == "park_sessions"
        )

    async def expire_tokens(self) -> None:
        """End every access token by time."""
        await self._ask("POST", "oauth/expire")

    async def _ask(self, method: str, route: str, body: object = None) -> object:
        # A connection each: none is left open in the process that is measured.
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
    """A service of this kind, in a process that ends with the block."""
    arguments = [sys.executable, "-m", _MODULE, msgspec.json.encode(setup).decode()]
    process = await asyncio.to_thread(_start, arguments)
    try:
        assert process.stdout is not None
        told = json.loads(await asyncio.to_thread(process.stdout.readline))
        yield Service(told["base_url"], told["admin_url"], process)
    finally:
        await asyncio.to_thread(_stop, process)


def credentials() -> Credentials:
    """Those of the simulated account."""
    account = Account()
    return Credentials(account.client_id, account.client_secret, account.username, account.password)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=_STOP_S)  # closing its standard input tells it to end
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
        told = {"base_url": simulator.base_url, "admin_url": f"{simulator.origin}/_admin"}
        print(json.dumps(told), flush=True)
        # Whoever started it holds the other end; however that ends, so does this.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(msgspec.json.decode(sys.argv[1], type=Setup)))
