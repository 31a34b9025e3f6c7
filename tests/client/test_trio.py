"""Under trio there is no asyncio event loop: who tries it is told so in one sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio

from smappee_async import ClientClosed, ConfigurationError, Credentials, SmappeeClient, TimeRange

SOMEBODY = Credentials("client", "secret", "user", "password")
MARCH = TimeRange.month(2026, 3, tz="UTC")

Run = Callable[[Callable[[], Awaitable[None]]], None]


def _on_trio_of_anyio(main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend="trio")


under_trio = pytest.mark.parametrize("run", [trio.run, _on_trio_of_anyio], ids=["trio", "anyio"])


@under_trio
def test_opening_a_client_says_that_it_needs_asyncio(run: Run) -> None:
    async def main() -> None:
        async with SmappeeClient(SOMEBODY):
            pytest.fail("the client is open")

    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop") as caught:
        run(main)

    assert "trio" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@under_trio
def test_a_client_that_could_not_be_opened_stays_unopened(run: Run) -> None:
    client = SmappeeClient(SOMEBODY)

    async def main() -> None:
        with pytest.raises(ConfigurationError):
            await client.__aenter__()

    run(main)

    assert "not open yet" in repr(client)


@under_trio
def test_asking_a_client_that_is_not_open_is_refused_as_anywhere(run: Run) -> None:
    client = SmappeeClient(SOMEBODY)

    async def main() -> None:
        with pytest.raises(ClientClosed, match="not open yet"):
            await client.service_locations()
        with pytest.raises(ClientClosed, match="not open yet"):
            client.sessions(1001, MARCH)

    run(main)
