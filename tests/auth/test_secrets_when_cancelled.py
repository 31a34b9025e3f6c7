"""A call to a token store that is cancelled at any await: its exception leads to no frame that holds a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smappee_async import FileTokenStore, RedisTokenStore, StoredToken, Token, TokenStore, TokenStoreError
from smappee_async.auth.manager import TokenManager
from smappee_async.auth.provided import ProvidedTokens
from smappee_async.secret import Secret
from tests.cutting import WAYS, at_every_await
from tests.walking import everything_about, shown

from .support import ACCOUNT, Stage

pytestmark = pytest.mark.anyio

PAIR = Token("marked-access-token", "marked-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))


@asynccontextmanager
async def store_of(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[TokenStore]:
    if kind == "file":
        yield FileTokenStore(tmp_path / "token.json")
    else:
        async with RedisTokenStore(request.getfixturevalue("redis_url"), str(tmp_path)) as store:
            yield store


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["file", "redis"])
async def test_a_call_to_a_store_that_is_cut_off_shows_no_token(
    way: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """R52: the frames of the Redis client hold the tokens in clear text."""
    secrets = {"marked-access-token", "marked-refresh-token"}
    async with store_of(kind, tmp_path, request) as store:

        async def replace() -> None:
            async with store.lock():
                stored = await store.load()
                generation = 0 if stored is None else stored.generation
                await store.replace(generation, StoredToken(generation=generation + 1, token=PAIR))

        async def hold() -> None:
            async with store.lock():
                await store.load()

        for call in (replace, store.load, hold):
            async for errors in at_every_await(call, WAYS[way]):
                assert shown(secrets, [text for error in errors for text in everything_about(error)]) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["file", "redis"])
async def test_a_close_that_is_cut_off_while_it_saves_shows_no_token(
    stage: Stage,
    way: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R52: closing writes the tokens that the store did not take."""

    async def fails(*_: object) -> bool:
        raise TokenStoreError("the store is down")

    async with store_of(kind, tmp_path, request) as store:

        async def make() -> TokenManager:
            manager = stage.manager(store=store)
            with monkeypatch.context() as patch:
                patch.setattr(store, "replace", fails)
                await manager.access_token(await manager.access_token())
            return manager

        cuts = 0
        for number in range(1, 20):
            manager, errors = await make(), list[BaseException]()
            await WAYS[way](manager.aclose(), number, errors)
            secrets = {
                ACCOUNT.password,
                ACCOUNT.client_secret,
                *stage.service.oauth._access,
                *stage.service.oauth._refresh,
            }
            assert shown(secrets, [text for error in errors for text in everything_about(error)]) == []
            await manager.aclose()
            cuts += bool(errors)
        assert cuts


PROVIDER = """
import asyncio

class Provider:
    async def access_token(self, rejected):
        own_secret = "marked" + "-host-secret"
        await asyncio.sleep(3600)
"""


@pytest.mark.parametrize("way", WAYS)
async def test_a_login_of_the_host_that_is_cut_off_shows_no_token(way: str) -> None:
    """R52: the token that Smappee refused is handed to the host in clear text."""
    module: dict[str, Any] = {}
    # Compiled here, because frames of the tests are not looked at.
    exec(compile(PROVIDER, "/the/host/login.py", "exec"), module)
    tokens, errors = ProvidedTokens(module["Provider"]()), list[BaseException]()
    await WAYS[way](tokens.access_token(Secret("marked-refused-token")), 1, errors)
    assert errors
    assert shown(["marked-refused-token", "marked-host-secret"], [t for e in errors for t in everything_about(e)]) == []
