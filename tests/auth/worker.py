"""One of several processes that share a token store. It calls, cancels calls at random, and stops when it is told."""

# ruff: noqa: T201, PLC0415, BLE001 - it reports on stdout, and leaves Redis alone where it is not asked for

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress

from smappee_async import Credentials, FileTokenStore, Limits, TokenStore
from smappee_async.auth.manager import TokenManager
from smappee_async.events import EventReporter
from smappee_async.protocol.requests import Request, service_locations
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret
from smappee_async.transport.http import HttpTransport


async def main(kind: str, place: str, base_url: str, seed: int, linger_s: float) -> None:
    chance = random.Random(seed)
    transport = HttpTransport(Limits())

    async def send(request: Request) -> Response:
        response = await transport.send(request)
        await asyncio.sleep(chance.random() * linger_s)  # so that a kill can come between the response and the store
        return response

    def store() -> TokenStore:
        if kind == "file":
            return FileTokenStore(place)
        from smappee_async.auth.stores.redis import RedisTokenStore

        return RedisTokenStore(place, "workers")

    shared = store()
    who = Credentials("simulated-client", "simulated-secret", "simulated user", "simulated&pass=word")
    manager = TokenManager(who, shared, base_url, send, reporter=EventReporter(), jitter=chance.random())
    told = {"failures": 0, "calls": 0, "cancelled": 0}

    async def call() -> None:
        rejected: Secret | None = None
        while True:
            token = await manager.access_token(rejected)
            response = await transport.send(service_locations(base_url), token)
            if response.status != 401:
                break
            rejected = token
        told["calls"] += 1

    async def use() -> None:
        while not told.get("over"):
            task = asyncio.create_task(call())
            if chance.random() < 0.3:
                asyncio.get_running_loop().call_later(chance.random() * 0.02, task.cancel)
            try:
                await task
            except asyncio.CancelledError:
                told["cancelled"] += 1
            except Exception as error:
                told["failures"] += 1
                print(type(error).__name__, error, file=sys.stderr)
            await asyncio.sleep(chance.random() * 0.005)

    users = [asyncio.create_task(use()) for _ in range(4)]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    told["over"] = 1
    await asyncio.gather(*users)
    await manager.aclose()
    with suppress(AttributeError):
        await shared.aclose()  # type: ignore[attr-defined]
    await transport.aclose()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    kind, place, base_url, seed, linger_s = sys.argv[1:]
    asyncio.run(main(kind, place, base_url, int(seed), float(linger_s)))
