"""Several managers on one store, as in several processes: in every order, all end with one valid pair."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async import RefreshTokenLost, SmappeeError, StoredToken, TokenStoreError

from .support import (
    INVALID_GRANT,
    LIFE_S,
    LOST_RESPONSE,
    NO_RESPONSE,
    NOT_SENT,
    Held,
    Stage,
    credentials,
    only_refresh,
    settle,
)

pytestmark = pytest.mark.anyio


async def test_who_comes_second_takes_what_the_first_has_renewed(stage: Stage) -> None:
    managers = [stage.manager() for _ in range(5)]
    first = {await manager.access_token() for manager in managers}
    stage.clock.advance(LIFE_S)
    second = set(await asyncio.gather(*(manager.access_token() for manager in managers)))
    assert (len(first), len(second)) == (1, 1)
    assert stage.service.posts == ["password", "refresh_token"]
    assert stage.heard("token_adopted") == 8


async def test_all_are_refused_and_one_renews(stage: Stage) -> None:
    managers = [stage.manager() for _ in range(5)]
    refused = [await manager.access_token() for manager in managers]
    stage.service.posts.clear()
    renewals = (manager.access_token(token) for manager, token in zip(managers, refused, strict=True))
    assert len(set(await asyncio.gather(*renewals))) == 1
    assert stage.service.posts == ["refresh_token"]


async def newer_by_another(stage: Stage) -> StoredToken:
    """Another process renews without the lock, as after a lost lease."""
    kept = await stage.kept()
    assert kept.token is not None
    assert kept.token.refresh_token is not None
    form = {
        "grant_type": "refresh_token",
        "client_id": "the-client-id",
        "client_secret": "the-client-secret",
        "refresh_token": kept.token.refresh_token.reveal(),
    }
    body: Any = stage.service.oauth.grant(form, stage.clock.monotonic).body
    data = {**body, "expires_at": stage.clock.wall + LIFE_S}
    newer = kept.following(type(kept.token).from_dict(data))
    assert await stage.store._store.replace(kept.generation, newer)
    return newer


@pytest.mark.parametrize("with_password", [True, False])
async def test_a_refusal_because_another_was_quicker_is_no_refusal(stage: Stage, with_password: bool) -> None:
    """R15."""
    manager = await (stage.logged_in() if with_password else stage.without_password())
    stage.clock.advance(LIFE_S)

    async def meanwhile() -> None:
        stage.service.meanwhile = None
        await newer_by_another(stage)

    stage.service.meanwhile = meanwhile
    stage.service.script.append(INVALID_GRANT)
    token = await manager.access_token()
    kept = (await stage.kept()).token
    assert kept is not None
    assert token == kept.access_token
    assert stage.service.posts == ["refresh_token"]


async def test_a_pair_that_comes_too_late_does_not_replace_a_newer_one(stage: Stage) -> None:
    """R15, R21: the lock was lost after the call, and another process logged in."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    held = Held(stage.service)
    late = asyncio.create_task(manager.access_token())
    await held.arrived.wait()
    kept = await stage.kept()
    sibling = Stage()
    sibling.clock, sibling.service.oauth = stage.clock, stage.service.oauth
    newer = await sibling.manager().access_token()
    new = (await sibling.kept()).token
    assert await stage.store._store.replace(kept.generation, kept.following(new))
    held.go.set()
    assert await late == newer
    assert (await stage.kept()).token == new


async def test_a_pair_is_kept_although_another_has_marked_its_own_try(stage: Stage) -> None:
    """R15, R21: the mark is not a newer pair, and the process that set it will find the new one."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)

    async def mark_again() -> None:
        kept = await stage.kept()
        await stage.store._store.replace(kept.generation, kept.following(kept.token, refreshing=True))

    stage.service.meanwhile = mark_again
    token = await manager.access_token()
    kept = await stage.kept()
    assert kept.token is not None
    assert kept.token.access_token == token
    assert not kept.refreshing


async def test_with_a_lease_too_short_for_a_call_nothing_is_sent(stage: Stage) -> None:
    """R21."""
    manager = stage.manager()
    stage.store.leases.extend([19.9, 19.9, 19.9])
    with pytest.raises(TokenStoreError, match="its lock was lost"):
        await manager.access_token()
    assert stage.service.posts == []
    await manager.access_token()


async def test_after_a_lost_lease_the_lock_is_taken_anew(stage: Stage) -> None:
    """R21."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.store.leases.append(-5.0)
    before = stage.store.locks
    await manager.access_token()
    assert stage.store.locks == before + 2
    assert stage.service.posts == ["refresh_token"], "the mark of the first try was taken back"


async def test_the_lease_is_looked_at_again_before_the_password_is_sent(stage: Stage) -> None:
    """R21."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(INVALID_GRANT)
    stage.store.leases.extend([60.0, 1.0])
    await manager.access_token()
    assert stage.service.posts == ["refresh_token", "password"]
    assert stage.store.locks == 3


async def test_the_lease_is_looked_at_again_before_a_replay(stage: Stage) -> None:
    """R14, R21."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(LOST_RESPONSE)
    stage.store.leases.extend([60.0, 1.0])
    with pytest.raises(RefreshTokenLost):
        await manager.access_token()
    assert stage.service.posts == ["refresh_token"] * 2
    assert stage.store.locks == 3


async def test_a_paused_holder_and_its_successor_end_with_the_same_token(stage: Stage) -> None:
    """R21: the holder is paused after its call; the other manager finds the mark and logs in."""
    paused, successor = await stage.logged_in(), stage.manager()
    await successor.access_token()
    stage.clock.advance(LIFE_S)
    held = Held(stage.service)
    first = asyncio.create_task(paused.access_token())
    await held.arrived.wait()
    stage.service.meanwhile = None
    stage.store._store._lock = type(stage.store._store._lock)()  # the lease has expired
    token = await successor.access_token()
    held.go.set()
    assert await first == token
    assert stage.service.posts == ["refresh_token", "password"]
    assert stage.service.oauth.reuse_detections == 0


class LossyStage(Stage):
    """The lock can be lost, as with a lease that expires too early."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs_written: list[str] = []
        replace = self.store._store.replace

        async def watched(expected: int, new: StoredToken) -> bool:
            before = self.store._store._stored
            replaced = await replace(expected, new)
            if replaced and before is not None:
                assert new.generation == before.generation + 1
            if replaced and new.token is not None:
                pair = new.token.access_token.reveal()
                if not self.pairs_written or self.pairs_written[-1] != pair:
                    assert pair not in self.pairs_written, "an older pair has replaced a newer one"
                    self.pairs_written.append(pair)
            return replaced

        self.store._store.replace = watched  # type: ignore[method-assign, assignment]

    def lose_the_lock(self) -> None:
        self.store._store._lock = type(self.store._store._lock)()


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    lossy=st.booleans(),
    troubles=st.lists(st.sampled_from([None, NOT_SENT, NO_RESPONSE, LOST_RESPONSE, INVALID_GRANT]), max_size=6),
    failing=st.sampled_from([(), ("save",), ("mark",), ("save", "mark")]),
)
def test_no_interleaving_of_two_managers_replaces_a_newer_pair(
    seed: int, lossy: bool, troubles: list[Any], failing: tuple[str, ...]
) -> None:
    """R15: two managers on one store, with failing calls, a lock that may be lost, and a store that fails."""
    asyncio.run(_interleave(seed, lossy, troubles, failing))


async def _interleave(seed: int, lossy: bool, troubles: list[Any], failing: tuple[str, ...]) -> None:
    chance = random.Random(seed)
    stage = LossyStage()
    two = [stage.manager() for _ in range(2)]
    stage.service.script.extend(trouble for trouble in troubles if trouble is not None)
    tokens: dict[int, Any] = {}

    async def use(number: int) -> None:
        for _ in range(4):
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
            if lossy and chance.random() < 0.5:
                stage.lose_the_lock()
            rejected = tokens.get(number) if chance.random() < 0.4 else None
            with suppress(SmappeeError):
                tokens[number] = await two[number].access_token(rejected)
            if chance.random() < 0.3:
                stage.clock.advance(LIFE_S)
            stage.store.failing = set(failing) if chance.random() < 0.3 else set()

    await asyncio.gather(use(0), use(0), use(1), use(1))
    # After the failures, both end with one valid pair.
    stage.store.failing = set()
    stage.service.script.clear()
    if stage.service.oauth.reuse_detections and not lossy:
        raise AssertionError("a refresh token was used twice under the lock")
    stage.clock.advance(LIFE_S + 1000)
    for manager in two:
        manager._renewer.refusals.forget()  # the scripted refusal of the password is remembered
    await settle()
    last = [await manager.access_token() for manager in two]
    assert all(stage.service.accepts(token.reveal()) for token in last)
    if not lossy:
        assert last[0] == last[1]
    for manager in two:
        await manager.aclose()


async def test_a_store_that_holds_the_tokens_of_another_account_is_refused_without_a_call(stage: Stage) -> None:
    """R37."""
    await stage.manager().access_token()
    stage.service.posts.clear()

    with pytest.raises(TokenStoreError, match="another account"):
        await stage.manager(credentials(username="somebody else")).access_token()

    assert stage.service.posts == []


async def test_who_has_only_a_refresh_token_takes_what_the_store_holds(stage: Stage) -> None:
    token = await stage.manager().access_token()

    assert await stage.manager(only_refresh("whatever")).access_token() == token
