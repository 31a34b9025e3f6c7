"""A store that lost its record, or holds an old one, while a process has a good pair: the pair is used, and saved."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest
from redis.asyncio import Redis

from smappee_async import FileTokenStore, RedisTokenStore, RefreshTokenLost, StoredToken, Token, TokenStore
from smappee_async.auth.known import KnownPairs

from .support import INVALID_GRANT, LIFE_S, LOST_RESPONSE, Held, Stage, only_refresh, settle

pytestmark = pytest.mark.anyio


@attrs.frozen
class Place:
    """A store, and what may happen to the place where it keeps its record."""

    store: TokenStore
    forget: Callable[[], Awaitable[object]]
    copy: Callable[[], Awaitable[object]]
    restore: Callable[[], Awaitable[object]]


@pytest.fixture(params=["memory", "file", "redis"])
async def place(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "redis":
        async with Redis.from_url(request.getfixturevalue("redis_url")) as redis:
            store = RedisTokenStore(redis, "account")
            yield Place(
                store,
                redis.flushall,
                lambda: redis.copy("account", "backup", replace=True),
                lambda: redis.copy("backup", "account", replace=True),
            )
        return
    if request.param == "file":
        path, backup = tmp_path / "token.json", tmp_path / "backup"
        yield Place(FileTokenStore(path), _async(path.unlink), _copying(path, backup), _copying(backup, path))
        return
    memory, copies = stage.store._store, list[StoredToken | None]()

    async def restore() -> None:
        memory._stored = copies[-1]

    yield Place(
        stage.store,
        _async(lambda: setattr(memory, "_stored", None)),
        _async(lambda: copies.append(memory._stored)),
        restore,
    )


def _async(work: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def does() -> object:
        return work()

    return does


def _copying(source: Path, target: Path) -> Callable[[], Awaitable[object]]:
    return _async(lambda: shutil.copy2(source, target))


async def kept(place: Place) -> Token:
    stored = await place.store.load()
    assert stored is not None
    assert stored.token is not None
    return stored.token


async def test_a_record_that_was_lost_is_replaced_by_the_pair_in_memory(stage: Stage, place: Place) -> None:
    """R50: without a password, the configured refresh token, which was spent long ago, would lock the account out."""
    manager = stage.manager(only_refresh(stage.a_refresh_token()), place.store)
    await manager.access_token()
    for _ in range(2):
        await place.forget()
        stage.clock.advance(LIFE_S)
        token = await manager.access_token()
        assert stage.service.accepts(token.reveal())
        assert (await kept(place)).access_token == token
    assert stage.service.posts == ["refresh_token"] * 3
    assert stage.service.oauth.reuse_detections == 0


async def test_a_lost_record_costs_no_login(stage: Stage, place: Place) -> None:
    """R50."""
    manager = stage.manager(store=place.store)
    await manager.access_token()
    await place.forget()
    stage.clock.advance(LIFE_S)
    await manager.access_token()
    assert stage.service.posts == ["password", "refresh_token"]


@pytest.mark.parametrize("renewals", [1, 3])
async def test_a_record_that_is_older_than_the_pair_in_memory_is_not_used(
    stage: Stage, place: Place, renewals: int
) -> None:
    """R50: a restored file, or a promoted replica."""
    manager = stage.manager(only_refresh(stage.a_refresh_token()), place.store)
    await manager.access_token()
    await place.copy()
    for _ in range(renewals):
        stage.clock.advance(LIFE_S)
        await manager.access_token()
    await place.restore()
    stage.clock.advance(LIFE_S)
    token = await manager.access_token()
    assert stage.service.oauth.reuse_detections == 0
    assert stage.service.accepts(token.reveal())
    assert (await kept(place)).access_token == token


async def test_a_record_from_before_the_process_began_is_known_by_its_generation_and_its_end(
    stage: Stage, place: Place
) -> None:
    """R50: the process has never seen it."""
    first = stage.manager(only_refresh(stage.a_refresh_token()), place.store)
    await first.access_token()
    await place.copy()
    stage.clock.advance(LIFE_S)
    await first.access_token()
    later = stage.manager(only_refresh("spent long ago"), place.store)
    await later.access_token()
    await place.restore()
    stage.clock.advance(LIFE_S)
    assert stage.service.accepts((await later.access_token()).reveal())
    assert stage.service.oauth.reuse_detections == 0


async def test_an_access_token_of_an_old_record_is_not_adopted(stage: Stage, place: Place) -> None:
    """R50: it looks valid for hours, but belongs to a pair that was replaced."""
    manager = stage.manager(store=place.store)
    old = await manager.access_token()
    await place.copy()
    current = await manager.access_token(old)
    await place.restore()
    newest = await manager.access_token(current)
    assert newest not in (old, current)
    assert stage.service.posts == ["password", "refresh_token", "refresh_token"]
    assert stage.service.oauth.reuse_detections == 0


async def test_a_pair_in_memory_that_is_still_fresh_is_saved_where_the_record_was_lost(stage: Stage) -> None:
    """R50."""
    manager = await stage.logged_in()
    token = await manager.access_token()
    stage.store._store._stored = None
    await manager._renew()
    kept = (await stage.kept()).token
    assert kept is not None
    assert kept.access_token == token
    assert stage.service.posts == []


async def test_a_record_that_another_process_has_made_anew_is_adopted(stage: Stage, place: Place) -> None:
    """R15, R50: its generation is lower than what was seen, but it is newer."""
    manager = stage.manager(store=place.store)
    for _ in range(3):
        await manager.access_token()
        stage.clock.advance(LIFE_S)
    await place.forget()
    newer = await stage.manager(store=place.store).access_token()
    stage.service.posts.clear()
    assert await manager.access_token() == newer
    assert stage.service.posts == []


async def test_a_record_that_is_lost_in_the_middle_of_a_call_whose_response_is_lost_does_not_hide_the_mark(
    stage: Stage,
) -> None:
    """R14, R50: without a password the token is sent once more, and not in each round."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.forever = LOST_RESPONSE

    async def lose() -> None:
        stage.service.meanwhile = None
        stage.store._store._stored = None

    stage.service.meanwhile = lose
    with pytest.raises(RefreshTokenLost):
        await manager.access_token()
    assert stage.service.posts.count("refresh_token") <= 3


async def test_a_pair_in_memory_that_smappee_refuses_is_not_sent_again_and_again(stage: Stage) -> None:
    """R16, R50."""
    manager = await stage.logged_in()
    stage.store._store._stored = None
    stage.clock.advance(LIFE_S)
    stage.service.script.append(INVALID_GRANT)
    await manager.access_token()
    assert stage.service.posts == ["refresh_token", "password"]


async def test_the_record_is_lost_while_a_renewal_is_under_way(stage: Stage) -> None:
    """R50: the new pair is saved all the same."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    held = Held(stage.service)
    renewal = manager._renew()
    await held.arrived.wait()
    stage.store._store._stored = None
    held.go.set()
    await renewal
    await settle()
    kept = (await stage.kept()).token
    assert kept is not None
    assert kept.access_token == await manager.access_token()


def test_what_a_process_remembers_is_bounded(stage: Stage) -> None:
    """R50."""
    known = KnownPairs()
    for number in range(1000):
        known.follow(stage.a_pair(number))
    assert len(known._older) < 100
    assert known.is_behind(StoredToken(generation=5000, token=stage.a_pair(998)))
    assert not known.is_behind(StoredToken(generation=5000, token=stage.a_pair(999)))
    assert not known.is_behind(StoredToken(generation=5000, token=stage.a_pair(1000)))
