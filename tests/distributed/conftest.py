from __future__ import annotations

from collections.abc import Iterator

import pytest

from smappee_async.simulator import Park, SimulatedClock, Simulator, World
from smappee_async.testing.thread import in_thread
from tests.redis_server import _redis_knows_its_version, _shared_redis, redis_url

__all__ = ["_redis_knows_its_version", "_shared_redis", "redis_url"]


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator in a thread of its own, whose account is in the environment, as in that of a worker."""
    parks = (Park.home(1001), Park.office(1002), Park.hub(1003, sessions_per_day=40), Park.home(1004))
    world = World.of(parks, seed=5)
    with in_thread(lambda: Simulator(world, clock=SimulatedClock.at("2026-11-01T00:00:00Z"))) as simulator:
        account = simulator.account
        for name in ("client_id", "client_secret", "username", "password"):
            monkeypatch.setenv(f"SMAPPEE_{name.upper()}", getattr(account, name))
        monkeypatch.setenv("SMAPPEE_BASE_URL", simulator.base_url)
        yield simulator
