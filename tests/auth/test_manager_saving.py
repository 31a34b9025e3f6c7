"""A new pair is saved before it is used, and is not lost if saving fails."""

# ruff: noqa: ASYNC110 - saving happens in the background

from __future__ import annotations

import asyncio

import pytest

from smappee_async import MemoryTokenStore, StoredToken, Token, TokenStoreError
from smappee_async.secret import Secret

from .support import LIFE_S, NOT_SENT, Stage, credentials, settle

pytestmark = pytest.mark.anyio


async def until_saved(stage: Stage) -> None:
    async with asyncio.timeout(20):
        while stage.managers[-1]._saver.unsaved is not None:
            await asyncio.sleep(0.001)


async def test_a_new_pair_is_saved_before_anybody_gets_it(stage: Stage) -> None:
    manager = stage.manager()
    token = await manager.access_token()
    assert [write.token.access_token for write in stage.store.writes if write.token is not None] == [token]


async def test_before_a_refresh_the_store_is_told(stage: Stage) -> None:
    """R13."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    await manager.access_token()
    assert [(write.generation, write.refreshing) for write in stage.store.writes] == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), TokenStoreError("down"), KeyError("odd")])
async def test_a_pair_that_cannot_be_saved_is_used_all_the_same(stage: Stage, error: Exception) -> None:
    """R17."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.store.failing, stage.store.error = {"save"}, lambda: error
    token = await manager.access_token()
    assert stage.service.accepts(token.reveal())
    assert await manager.access_token() == token
    assert stage.heard("token_not_saved") >= 1


async def test_saving_is_tried_again_until_it_works(stage: Stage) -> None:
    """R17."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.store.failing = {"save"}
    token = await manager.access_token()
    while stage.heard("token_not_saved") < 3:
        await asyncio.sleep(0.001)
    stage.store.failing.clear()
    await until_saved(stage)
    kept = await stage.kept()
    assert kept.token is not None
    assert kept.token.access_token == token
    assert not kept.refreshing


async def test_closing_saves_what_is_not_saved(stage: Stage) -> None:
    """R17."""
    manager = stage.manager()
    stage.store.failing = {"save"}
    token = await manager.access_token()
    stage.store.failing.clear()
    await manager.aclose()
    kept = (await stage.kept()).token
    assert kept is not None
    assert kept.access_token == token


async def test_closing_with_an_unsaved_pair_is_an_error(stage: Stage) -> None:
    """R17."""
    manager = stage.manager()
    stage.store.failing = {"save"}
    await manager.access_token()
    with pytest.raises(TokenStoreError, match="could not be saved"):
        await manager.aclose()


async def test_closing_cannot_hang_on_a_lock_that_nobody_gives_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17, R32."""
    manager = stage.manager()
    stage.store.failing = {"save"}
    await manager.access_token()
    stage.store.failing.clear()
    monkeypatch.setattr("smappee_async.defaults.CLOSE_WAIT_S", 0.005)
    async with stage.store.lock():
        with pytest.raises(TokenStoreError, match="TimeoutError"):
            await asyncio.create_task(manager.aclose())


async def test_an_unsaved_pair_is_what_the_next_refresh_uses(stage: Stage) -> None:
    """R17: the store still holds the spent refresh token."""
    manager = await stage.logged_in()
    stage.store.failing = {"save"}
    for _ in range(3):
        stage.clock.advance(LIFE_S)
        assert stage.service.accepts((await manager.access_token()).reveal())
    stage.store.failing.clear()
    await until_saved(stage)
    assert stage.service.posts == ["refresh_token"] * 3
    assert stage.service.oauth.reuse_detections == 0
    kept = (await stage.kept()).token
    assert kept is not None
    assert kept.access_token == await manager.access_token()


async def test_a_pair_that_arrives_while_the_client_closes_is_saved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R11, R17: the renewal is stopped between the response and the store."""
    manager = await stage.logged_in()
    old = await manager.access_token()
    monkeypatch.setattr("smappee_async.defaults.CLOSE_WAIT_S", 0.01)
    reached = asyncio.Event()
    replace = stage.store.replace

    async def hang_once(expected: int, new: StoredToken) -> bool:
        if not new.refreshing and not reached.is_set():
            reached.set()
            await asyncio.sleep(10)
        return await replace(expected, new)

    stage.store.replace = hang_once  # type: ignore[method-assign, assignment]
    waiter = asyncio.create_task(manager.access_token(old))
    await reached.wait()
    await manager.aclose()
    await asyncio.gather(waiter, return_exceptions=True)
    kept = await stage.kept()
    assert kept.token is not None
    assert kept.token.access_token != old
    assert stage.service.accepts(kept.token.access_token.reveal())


async def test_a_store_that_hangs_does_not_hold_up_the_token(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17."""
    monkeypatch.setattr("smappee_async.defaults.TOKEN_TIMEOUT_S", 0.01)
    monkeypatch.setattr("smappee_async.defaults.CLOSE_WAIT_S", 0.01)

    async def hang(expected: int, new: object) -> bool:
        await asyncio.sleep(10)
        return True

    stage.store.replace = hang  # type: ignore[method-assign, assignment]
    assert stage.service.accepts((await stage.manager().access_token()).reveal())
    assert stage.heard("token_not_saved") == 1


async def test_a_store_that_cannot_take_the_mark_is_not_trusted_with_a_refresh(stage: Stage) -> None:
    """R13: without the mark, another process could spend the same refresh token; a login spends none."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.store.failing = {"mark", "save"}
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["password"]


async def test_without_mark_and_password_nothing_is_spent(stage: Stage) -> None:
    """R13."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.store.failing = {"mark"}
    with pytest.raises(TokenStoreError):
        await manager.access_token()
    assert stage.service.posts == []
    stage.store.failing.clear()
    assert stage.service.accepts((await manager.access_token()).reveal())


async def test_a_mark_that_cannot_be_taken_back_costs_one_login_and_no_more(stage: Stage) -> None:
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NOT_SENT)
    stage.store.failing = {"save"}
    with pytest.raises(Exception, match="could not be opened"):
        await manager.access_token()
    stage.store.failing.clear()
    await manager.access_token()
    assert stage.service.posts == ["refresh_token", "password"]


async def test_a_store_that_was_emptied_gets_the_new_pair(stage: Stage) -> None:
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)

    async def empty() -> None:
        stage.store._store._stored = None

    stage.service.meanwhile = empty
    token = await manager.access_token()
    kept = (await stage.kept()).token
    assert kept is not None
    assert kept.access_token == token


async def test_a_store_that_changes_at_every_write_is_reported_and_the_pair_is_used(stage: Stage) -> None:
    """R15: each write of this manager finds another generation."""
    manager = stage.manager()

    async def refuse(expected: int, new: StoredToken) -> bool:
        return False

    stage.store.replace = refuse  # type: ignore[method-assign, assignment]
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert [event.detail for event in stage.events if event.kind == "token_not_saved"] == [
        "the token store changes at every try to write to it"
    ]


# --- the hook ---------------------------------------------------------------------------------------------------------


async def test_the_hook_gets_each_new_pair_before_it_is_used(stage: Stage) -> None:
    told: list[Token] = []
    used: list[Secret] = []

    async def on_token(token: Token) -> None:
        await asyncio.sleep(0)
        assert token.access_token not in used
        told.append(token)

    manager = stage.manager(store=MemoryTokenStore(on_token=on_token))
    for _ in range(3):
        used.append(await manager.access_token())
        stage.clock.advance(LIFE_S)
    assert [token.access_token for token in told] == used


async def test_the_hook_hears_nothing_of_marks(stage: Stage) -> None:
    told: list[Token] = []

    async def on_token(token: Token) -> None:
        told.append(token)

    manager = stage.manager(store=MemoryTokenStore(on_token=on_token))
    await manager.access_token()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NOT_SENT)
    with pytest.raises(Exception, match="could not be opened"):
        await manager.access_token()
    assert len(told) == 1


async def test_a_hook_that_fails_is_asked_again_while_the_pair_serves(stage: Stage) -> None:
    """R17."""
    told: list[Token] = []
    failures = 3

    async def on_token(token: Token) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("the database is away: the-client-secret")
        told.append(token)

    manager = stage.manager(store=MemoryTokenStore(on_token=on_token))
    token = await manager.access_token()
    await until_saved(stage)
    assert [known.access_token for known in told] == [token]
    assert {event.detail for event in stage.events if event.kind == "token_not_saved"} == {"RuntimeError"}


async def test_a_hook_that_always_fails_is_told_at_the_end(stage: Stage) -> None:
    """R17."""

    async def on_token(token: Token) -> None:
        raise RuntimeError

    manager = stage.manager(store=MemoryTokenStore(on_token=on_token))
    for _ in range(2):
        assert stage.service.accepts((await manager.access_token()).reveal())
        stage.clock.advance(LIFE_S)
    with pytest.raises(TokenStoreError):
        await manager.aclose()


async def test_a_pair_from_an_earlier_life_is_used_without_a_login(stage: Stage) -> None:
    pairs: list[Token] = []

    async def on_token(token: Token) -> None:
        pairs.append(token)

    await stage.manager(store=MemoryTokenStore(on_token=on_token)).access_token()
    again = Token.from_dict(pairs[0].to_dict())
    stage.service.posts.clear()
    manager = stage.manager(credentials(), MemoryTokenStore(again))
    assert await manager.access_token() == pairs[0].access_token
    assert stage.service.posts == []
    await settle()
