"""Real processes on one store, with strict rotation: short versions of the reliability benchmarks."""

# ruff: noqa: ASYNC110, ASYNC240 - what other processes have done can only be polled

from __future__ import annotations

import asyncio
import json
import os
import random
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

import smappee_async
from smappee_async import Credentials, FileTokenStore, Limits
from smappee_async.auth.manager import TokenManager
from smappee_async.events import EventReporter
from smappee_async.simulator import Park, Simulator, World
from smappee_async.transport.http import HttpTransport

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("worker.py")
#: The workers must import the same package as this test.
PACKAGE = str(Path(smappee_async.__file__).parents[1])


class Crew:
    """Workers on one store."""

    def __init__(self, sim: Simulator, kind: str, place: str, linger_s: float) -> None:
        self.sim = sim
        self._arguments = [kind, place, sim.base_url]
        self._linger_s = linger_s
        self._seed = 0
        self.workers: list[Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self.workers:
            await self.kill(0)

    async def hire(self, count: int = 1) -> None:
        hired = []
        for _ in range(count):
            self._seed += 1
            arguments = [*self._arguments, str(self._seed), str(self._linger_s)]
            hired.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    WORKER,
                    *arguments,
                    stdin=PIPE,
                    stdout=PIPE,
                    env={**os.environ, "PYTHONPATH": PACKAGE},
                )
            )
        self.workers += hired
        for worker in hired:
            assert worker.stdout is not None
            assert await worker.stdout.readline() == b"ready\n"

    async def kill(self, number: int) -> None:
        worker = self.workers.pop(number)
        with suppress(ProcessLookupError):  # it has already ended
            worker.kill()
        await worker.communicate()

    async def rotated(self) -> None:
        """End the token, and wait until a worker has a new one."""
        issued = self.sim.oauth.issued
        self.sim.oauth.expire_access_tokens()
        async with asyncio.timeout(20):
            while self.sim.oauth.issued == issued:
                await asyncio.sleep(0.002)

    async def reports(self) -> list[dict[str, int]]:
        outputs = await asyncio.gather(*(worker.communicate(b"\n") for worker in self.workers))
        self.workers.clear()
        return [json.loads(output) for output, _ in outputs]


@pytest.fixture
async def sim(anyio_backend: object) -> AsyncIterator[Simulator]:
    async with Simulator(World.of([Park.home(1001)])) as sim:
        yield sim


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["file", "redis"])
async def test_processes_that_share_a_store_never_use_a_refresh_token_twice(
    sim: Simulator, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """R12: about a third of all calls are cancelled."""
    place = str(tmp_path / "token.json") if kind == "file" else request.getfixturevalue("redis_url")
    async with Crew(sim, kind, place, linger_s=0.002) as crew:
        await crew.hire(3)
        for _ in range(25):
            await crew.rotated()
        reports = await crew.reports()
    assert sim.oauth.reuse_detections == 0
    assert sum(report["failures"] for report in reports) == 0
    assert sum(report["cancelled"] for report in reports) > 0
    assert sim.oauth.password_grants == 1
    assert sim.oauth.refresh_grants >= 24  # the first round may be the login


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_killed_processes_cost_a_login_each_at_most(sim: Simulator, tmp_path: Path) -> None:
    """R13: SIGKILL at any point of the refresh; the file is whole, and the other processes continue."""
    chance = random.Random(1)
    path = tmp_path / "token.json"
    kills = 0
    async with Crew(sim, "file", str(path), linger_s=0.03) as crew:
        await crew.hire(5)
        await crew.rotated()
        async with asyncio.timeout(20):
            while not path.exists():  # a kill before the first save leaves no file to read
                await asyncio.sleep(0.002)
        while len(crew.workers) > 1:
            sim.oauth.expire_access_tokens()
            await asyncio.sleep(chance.random() * 0.06)
            await crew.kill(chance.randrange(len(crew.workers)))
            kills += 1
            data = json.loads(path.read_bytes())
            assert data["version"] == 1
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            await crew.rotated()
        reports = await crew.reports()
    assert [report["failures"] for report in reports] == [0]
    assert sim.oauth.password_grants <= 1 + kills
    assert sim.oauth.reuse_detections == 0
    assert not list(tmp_path.glob("*.corrupt"))
    assert {entry.name for entry in tmp_path.iterdir()} <= {"token.json", "token.json.lock"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_process_that_starts_after_a_kill_recovers_by_itself(sim: Simulator, tmp_path: Path) -> None:
    """R13."""
    path, account = tmp_path / "token.json", sim.account
    who = Credentials(account.client_id, account.client_secret, account.username, account.password)

    @asynccontextmanager
    async def a_manager() -> AsyncIterator[TokenManager]:
        transport = HttpTransport(Limits())
        manager = TokenManager(
            who, FileTokenStore(path), sim.base_url, transport.send, reporter=EventReporter(), jitter=0.5
        )
        yield manager
        await manager.aclose()
        await transport.aclose()

    async with a_manager() as manager:
        await manager.access_token()
    sim.oauth.expire_access_tokens()
    async with Crew(sim, "file", str(path), linger_s=30.0) as crew:  # the response arrives, but is not saved
        await crew.hire()
        async with asyncio.timeout(20):
            while not sim.oauth.refresh_grants:
                await asyncio.sleep(0.002)
    assert json.loads(path.read_bytes())["refreshing"]
    async with a_manager() as manager:
        expired = await manager.access_token()  # the record says that it is valid, so it is tried once
        token = await manager.access_token(expired)
    assert sim.oauth.accepts(token.reveal(), asyncio.get_running_loop().time())
    assert (sim.oauth.password_grants, sim.oauth.reuse_detections) == (2, 0)
