"""Opens and closes 500 clients and prints what that left, as JSON. Run by a test, in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys

from smappee_async import Credentials, SmappeeClient, TimeRange
from smappee_async.simulator import Park, Simulator, World

CLIENTS = 500
MARCH = TimeRange.month(2026, 3, tz="UTC")


async def use(sim: Simulator, number: int) -> None:
    account = sim.account
    credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
    async with SmappeeClient(credentials, base_url=sim.base_url) as client:
        if number % 10:
            await client.service_locations()
        else:
            await client.sessions(1001, MARCH).collect()


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def main() -> None:
    async with Simulator(World.of([Park.home(1001, connectors=1)], seed=1), log_limit=10) as sim:
        for number in range(50):
            await use(sim, number)
        sim.oauth.revoke_everything()
        gc.collect()
        objects, peak = len(gc.get_objects()), peak_bytes()
        for number in range(CLIENTS):
            await use(sim, number)
        # The service remembers every login; that is not the client's to give back.
        sim.oauth.revoke_everything()
        for _ in range(10):
            await asyncio.sleep(0)
        gc.collect()
        grown = {"clients": CLIENTS, "bytes": peak_bytes() - peak, "objects": len(gc.get_objects()) - objects}
    print(json.dumps(grown))  # noqa: T201


asyncio.run(main())
