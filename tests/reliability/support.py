"""What these tests share: a world to ask, secrets that can be recognised, and a look at what a call left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, quote_plus

import attrs

from smappee_async import Credentials, RetryPolicy, SmappeeClient, TimeRange
from smappee_async.simulator import Account, Park, SimulatedClock, Simulator, World

MARCH: Final = TimeRange.month(2026, 3, tz="UTC")
#: Waits of microseconds: for tests of what is tried again, not of when.
QUICK: Final = RetryPolicy(base_delay_s=0.0001, throttled_base_delay_s=0.0001)
#: Unlike anything that could stand in a text by chance; with what a form or a URL would have to encode.
ACCOUNT: Final = Account(
    client_id="marked-client-id",
    client_secret="marked&client/secret",
    username="marked user+name",
    password="marked=pass%word",
)

Connect = Callable[..., Awaitable[SmappeeClient]]


def simulator(**options: Any) -> Simulator:
    """A home charger and an office."""
    parks = [Park.home(1001, connectors=2), Park.office(1002, connectors=4)]
    options.setdefault("clock", SimulatedClock.at("2026-03-20T12:00:00Z"))
    options.setdefault("account", ACCOUNT)
    return Simulator(World.of(parks, seed=5), **options)


def credentials(account: Account = ACCOUNT) -> Credentials:
    return Credentials(account.client_id, account.client_secret, account.username, account.password)


def client_of(sim: Simulator, **settings: Any) -> SmappeeClient:
    settings.setdefault("retry", QUICK)
    return SmappeeClient(settings.pop("credentials", credentials(sim.account)), base_url=sim.base_url, **settings)


def connector_of(client: SmappeeClient) -> Any:
    """The connection pool under an open client."""
    assert client._open is not None
    return client._open._transport._session.connector


@attrs.frozen
class Unfinished:
    """What is still under way."""

    tasks: list[str]
    acquired: int
    waiters: int


NOTHING: Final = Unfinished([], 0, 0)


async def left_behind(connector: Any, before: set[asyncio.Task[Any]]) -> Unfinished:
    """What is left once everything that is about to end has had its turns."""
    left = NOTHING
    for _ in range(500):
        tasks = [task for task in asyncio.all_tasks() - before if not task.done() and not _is_of_the_server(task)]
        acquired, waiters = len(connector._acquired), sum(map(len, connector._waiters.values()))
        left = Unfinished(sorted(map(repr, tasks)), acquired, waiters)
        if left == NOTHING:
            break
        await asyncio.sleep(0)
    return left


async def until(is_so: Callable[[], bool]) -> None:
    """Give the others their turns until something has happened."""
    for _ in range(100_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


def _is_of_the_server(task: asyncio.Task[Any]) -> bool:
    # The simulator has a task for each connection that is kept open.
    return getattr(task.get_coro(), "__qualname__", "").startswith("RequestHandler.")


def encoded(secret: str) -> set[str]:
    """A secret and the forms that it takes in a form body or a URL."""
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), secret.encode().hex()}
