"""Forks with a client open and prints what became of it on both sides, as JSON. Run by a test."""

from __future__ import annotations

import asyncio
import json
import os

from smappee_async import Credentials, SmappeeClient, SmappeeError, TimeRange
from smappee_async.simulator import Park, Simulator, World

MARCH = TimeRange.month(2026, 3, tz="UTC")


async def main() -> None:
    async with Simulator(World.of([Park.home(1001), Park.home(1002)], seed=1)) as sim:
        account = sim.account
        credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)
        async with SmappeeClient(credentials, base_url=sim.base_url) as client:
            await client.service_locations()
            stream = client.sessions(1001, MARCH)
            read, write = os.pipe()
            if os.fork() == 0:
                # In the child, still inside the loop that it inherited; nothing of it must run on.
                errors = []
                for call in (
                    lambda: client.sessions(1001, MARCH),
                    lambda: client.service_locations().send(None),
                    lambda: anext(aiter(stream)).__await__().__next__(),
                ):
                    try:
                        call()
                    except SmappeeError as error:
                        errors.append(type(error).__name__)
                os.write(write, json.dumps(errors).encode())
                os._exit(0)
            os.close(write)
            with open(read, "rb") as pipe:  # noqa: ASYNC230, PTH123
                child = json.loads(pipe.read())
            os.wait()  # noqa: ASYNC222 - it has ended already
            parent = [each.id for each in await client.service_locations()]
        print(json.dumps({"child": child, "parent": parent, "logins": sim.oauth.password_grants}))  # noqa: T201


asyncio.run(main())
