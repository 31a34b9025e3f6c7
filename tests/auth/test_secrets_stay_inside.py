"""After each failure: no secret in any exception, frame, log record or event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smappee_async import FileTokenStore, Limits, SmappeeError, StoredToken, Token
from smappee_async.auth.provided import ProvidedTokens
from smappee_async.auth.stores.redis import RedisTokenStore
from smappee_async.transport.http import HttpTransport
from tests.walking import everything_about

from .support import (
    ACCOUNT,
    BARE_400,
    INVALID_GRANT,
    LIFE_S,
    LOST_RESPONSE,
    NOT_SENT,
    Stage,
    Trouble,
    credentials,
    responses,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SECRETS = {
    ACCOUNT.client_id,
    ACCOUNT.client_secret,
    ACCOUNT.username,
    ACCOUNT.username.replace(" ", "+"),
    ACCOUNT.password,
    "the%26pass%3Dword",
    "the-access-token",
    "the-refresh-token",
    "the-redis-password",
}
TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))
ECHO = {"error": "invalid_grant", "error_description": f"{ACCOUNT.username} {ACCOUNT.password} the-access-token"}


@pytest.fixture
def nothing_shows(caplog: pytest.LogCaptureFixture, stage: Stage) -> Iterator[Callable[[BaseException], None]]:
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    yield errors.append
    secrets = set(SECRETS)
    for family in (stage.service.oauth._access, stage.service.oauth._refresh):
        secrets |= set(family)
    texts = [text for error in errors for text in everything_about(error)]
    texts += [repr(record.__dict__) + record.getMessage() for record in caplog.records]
    texts += [repr(event) + str(event.facts) for event in stage.events]
    parts = [
        part for manager in stage.managers for part in (manager, manager._renewer, manager._saver, manager._current)
    ]
    texts += [repr(part.__dict__) for part in parts]
    assert texts
    assert not [(secret, text) for text in texts for secret in secrets if secret in text]


@pytest.mark.parametrize(
    "trouble",
    [
        INVALID_GRANT,
        BARE_400,
        NOT_SENT,
        LOST_RESPONSE,
        responses(400, ECHO),
        responses(401, ECHO),
        responses(403, ECHO),
        responses(429, ECHO),
        responses(500, ECHO),
        responses(503, ECHO),
        responses(200, {"access_token": "the-access-token\n", "refresh_token": "the-refresh-token"}),
        responses(200, b'{"access_token": "the-access-token", "refresh_token": "the-refresh'),
        responses(307, ECHO, location="https://elsewhere.invalid/?password=the%26pass%3Dword"),
    ],
)
@pytest.mark.parametrize("who", ["login", "refresh", "no password"])
async def test_no_failing_token_call_shows_a_secret(
    stage: Stage, nothing_shows: Callable[[BaseException], None], trouble: Trouble, who: str
) -> None:
    """R34."""
    manager = stage.manager()
    if who != "login":
        manager = await (stage.logged_in() if who == "refresh" else stage.without_password())
        stage.clock.advance(LIFE_S)
    stage.service.forever = trouble
    for _ in range(2):
        with pytest.raises(SmappeeError) as caught:
            await manager.access_token()
        nothing_shows(caught.value)


@pytest.mark.parametrize("what", ["lock", "load", "save"])
async def test_no_failing_store_shows_a_secret(
    stage: Stage, nothing_shows: Callable[[BaseException], None], what: str
) -> None:
    """R34."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.store.failing = {what}
    stage.store.error = lambda: RuntimeError(ACCOUNT.password)

    async def use_and_close() -> None:
        await manager.access_token()
        await manager.aclose()

    with pytest.raises(SmappeeError) as caught:
        await use_and_close()
    nothing_shows(caught.value)


@pytest.mark.parametrize("function", ["os.fsync", "os.open", "json.dumps"])
async def test_a_file_that_cannot_be_written_shows_no_secret(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nothing_shows: Callable[[BaseException], None],
    function: str,
) -> None:
    """R34: the frames that hold the tokens in clear text are not part of the error."""
    store = FileTokenStore(tmp_path / "token.json")
    await store.replace(0, StoredToken(generation=1, token=TOKEN))

    def fail(*arguments: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"smappee_async.auth.stores.file.{function}", fail)
    with pytest.raises(SmappeeError) as caught:
        await store.replace(1, StoredToken(generation=2, token=TOKEN))
    nothing_shows(caught.value)


@pytest.mark.usefixtures("_redis_knows_its_version")
async def test_a_redis_that_fails_shows_no_secret(
    tmp_path: Path, nothing_shows: Callable[[BaseException], None]
) -> None:
    """R34."""
    async with RedisTokenStore(f"unix://user:the-redis-password@{tmp_path}/none.sock") as store:
        with pytest.raises(SmappeeError) as caught:
            await store.replace(0, StoredToken(generation=1, token=TOKEN))
        nothing_shows(caught.value)


async def test_a_redis_that_refuses_a_write_shows_no_secret(
    redis_url: str, tmp_path: Path, nothing_shows: Callable[[BaseException], None]
) -> None:
    """R34: redis-py puts the arguments of a script into its frames."""
    async with RedisTokenStore(redis_url, str(tmp_path)) as store:
        await store._redis.set(str(tmp_path), "a text")
        with pytest.raises(SmappeeError) as caught:
            await store.replace(0, StoredToken(generation=1, token=TOKEN))
        nothing_shows(caught.value)


async def test_a_token_endpoint_that_is_not_there_shows_no_secret(
    stage: Stage, nothing_shows: Callable[[BaseException], None]
) -> None:
    """R34: over a real socket, because aiohttp puts requests into its exceptions."""
    transport = HttpTransport(Limits())
    try:
        manager = stage.manager(credentials(), send=transport.send)
        manager._renewer._endpoint._base_url = "http://127.0.0.1:1/dev/v3"
        with pytest.raises(SmappeeError) as caught:
            await manager.access_token()
        nothing_shows(caught.value)
    finally:
        await transport.aclose()


async def test_a_provider_that_repeats_itself_shows_no_secret(nothing_shows: Callable[[BaseException], None]) -> None:
    """R34."""

    class Stubborn:
        async def access_token(self, rejected: str | None) -> str:
            return TOKEN.access_token.reveal()

    with pytest.raises(SmappeeError) as caught:
        await ProvidedTokens(Stubborn()).access_token(TOKEN.access_token)
    nothing_shows(caught.value)


async def test_the_walk_finds_what_is_there() -> None:
    """Without this, the walk could pass because it finds nothing anywhere."""

    def fails(password: str) -> None:
        raise ValueError

    def wraps() -> None:
        try:
            exec(compile("def inner(p):\n    int(p)\n", "elsewhere.py", "exec"), globals())
            globals()["inner"]("hidden-in-a-frame")
        except ValueError:
            raise KeyError("harmless") from None

    with pytest.raises(KeyError) as caught:
        wraps()
    assert any("hidden-in-a-frame" in text for text in everything_about(caught.value))
