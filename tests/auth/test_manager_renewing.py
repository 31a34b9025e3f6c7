"""When a token is renewed, and how often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from smappee_async import AuthenticationError, ClientClosed, TokenStoreError, TransportError, defaults
from smappee_async.auth.stores import Lease
from smappee_async.secret import Secret
from smappee_async.simulator import Assumptions

from .support import LIFE_S, NEAR_THE_END_S, NOT_SENT, Held, Service, Stage, responses, settle

pytestmark = pytest.mark.anyio


async def test_the_first_token_is_logged_in_for_once_however_many_tasks_wait(stage: Stage) -> None:
    """R10."""
    manager = stage.manager()
    tokens = await asyncio.gather(*(manager.access_token() for _ in range(200)))
    assert stage.service.posts == ["password"]
    assert len(set(tokens)) == 1
    assert stage.service.accepts(tokens[0].reveal())


async def test_an_expired_token_is_refreshed_once_however_many_tasks_wait(stage: Stage) -> None:
    """R10."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    tokens = await asyncio.gather(*(manager.access_token() for _ in range(200)))
    assert stage.service.posts == ["refresh_token"]
    assert len(set(tokens)) == 1


async def test_a_refused_token_is_refreshed_once_however_many_tasks_were_refused(stage: Stage) -> None:
    """R10, R16."""
    manager = await stage.logged_in()
    refused = await manager.access_token()
    tokens = await asyncio.gather(*(manager.access_token(refused) for _ in range(200)))
    assert stage.service.posts == ["refresh_token"]
    assert refused not in tokens


async def test_a_failed_renewal_fails_all_who_wait_with_one_call(stage: Stage) -> None:
    """R10."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NOT_SENT)
    outcomes = await asyncio.gather(*(manager.access_token() for _ in range(20)), return_exceptions=True)
    assert len(stage.service.posts) == 1
    assert len({id(outcome) for outcome in outcomes}) == 20, "each waiter needs an exception of its own"


async def test_a_failed_renewal_is_not_remembered_but_tried_again(stage: Stage) -> None:
    """R11: the first one fails, the next one works."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NOT_SENT)
    with pytest.raises(Exception, match="could not be opened"):
        await manager.access_token()
    assert stage.service.accepts((await manager.access_token()).reveal())


async def test_a_waiter_that_asks_again_at_once_does_not_disturb_the_others(stage: Stage) -> None:
    """R10: each waiter gets the outcome of the renewal that it waited for, not of the next one."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NOT_SENT)

    async def insist() -> Secret:
        try:
            return await manager.access_token()
        except TransportError:
            return await manager.access_token()

    tokens = await asyncio.gather(*(insist() for _ in range(10)))
    assert len(set(tokens)) == 1


async def test_a_fresh_token_is_given_without_giving_others_a_turn(stage: Stage) -> None:
    manager = await stage.logged_in()
    getting = manager.access_token()
    with pytest.raises(StopIteration):
        getting.send(None)


# --- refusals that come late ------------------------------------------------------------------------------------------


async def test_a_late_refusal_of_the_old_token_keeps_the_new_one(stage: Stage) -> None:
    """R16."""
    manager = await stage.logged_in()
    old = await manager.access_token()
    new = await manager.access_token(old)
    stage.service.posts.clear()
    assert await manager.access_token(old) == new
    assert stage.service.posts == []


async def test_a_refused_token_is_given_to_nobody_else(stage: Stage) -> None:
    """R16."""
    manager = await stage.logged_in()
    refused = await manager.access_token()
    stage.service.script.append(NOT_SENT)
    with pytest.raises(Exception, match="could not be opened"):
        await manager.access_token(refused)
    assert await manager.access_token() != refused


async def test_a_refused_token_is_not_taken_from_the_store_again(stage: Stage) -> None:
    """R16."""
    first = await stage.logged_in()
    refused = await first.access_token()
    second = stage.manager()
    assert await second.access_token() == refused
    assert await second.access_token(refused) != refused
    assert stage.service.posts == ["refresh_token"]


async def test_a_token_refused_while_its_renewal_ends_is_renewed_again(stage: Stage) -> None:
    """R16: the token may be in use before the lock is released."""
    manager = await stage.logged_in()
    old = await manager.access_token()
    entered = asyncio.Event()
    go = asyncio.Event()
    lock = stage.store.lock

    @asynccontextmanager
    async def slowly_unlocked() -> AsyncIterator[Lease]:
        async with lock() as lease:
            yield lease
        entered.set()
        await go.wait()

    stage.store.lock = slowly_unlocked  # type: ignore[method-assign]
    waiting = asyncio.create_task(manager.access_token(old))
    await entered.wait()
    second = await manager.access_token()
    refused = asyncio.create_task(manager.access_token(second))
    await settle()
    go.set()
    assert await waiting in {second, await refused}
    assert await refused not in {old, second}


async def test_a_service_that_gives_the_refused_token_again_is_an_error_soon(stage: Stage) -> None:
    """R16."""
    manager = await stage.logged_in()
    refused = await manager.access_token()
    again = {"access_token": refused.reveal(), "expires_in": 36000}
    stage.service.forever = responses(200, again)
    with pytest.raises(AuthenticationError, match="just gave"):
        await manager.access_token(refused)
    assert len(stage.service.posts) == 1


# --- early ------------------------------------------------------------------------------------------------------------


async def test_near_its_end_the_token_serves_on_while_it_is_renewed(stage: Stage) -> None:
    manager = await stage.logged_in()
    old = await manager.access_token()
    stage.clock.advance(NEAR_THE_END_S)
    held = Held(stage.service)
    assert {await manager.access_token() for _ in range(20)} == {old}
    await held.arrived.wait()
    assert await manager.access_token() == old
    held.go.set()
    await settle()
    assert await manager.access_token() != old
    assert stage.service.posts == ["refresh_token"]


@pytest.mark.parametrize(("jitter", "left_s"), [(0.0, 300), (1.0, 360)])
async def test_the_margin_is_five_minutes_and_up_to_one_more(stage: Stage, jitter: float, left_s: int) -> None:
    manager = stage.manager(jitter=jitter)
    await manager.access_token()
    stage.clock.advance(LIFE_S - left_s - 1)
    await manager.access_token()
    await settle()
    assert stage.service.posts == ["password"]
    stage.clock.advance(2)
    await manager.access_token()
    await settle()
    assert stage.service.posts == ["password", "refresh_token"]


async def test_the_margin_is_a_tenth_of_a_short_life(stage: Stage) -> None:
    stage.service = Service(stage.clock, Assumptions(expires_in_s=60))
    manager = stage.manager(jitter=0.0)
    await manager.access_token()
    stage.clock.advance(53)
    await manager.access_token()
    await settle()
    assert stage.service.posts == ["password"]
    stage.clock.advance(2)
    await manager.access_token()
    await settle()
    assert stage.service.posts == ["password", "refresh_token"]


async def test_a_failed_early_renewal_is_quiet_for_half_a_minute(stage: Stage) -> None:
    manager = await stage.logged_in()
    old = await manager.access_token()
    stage.clock.advance(LIFE_S - 200)
    stage.service.forever = NOT_SENT
    for _ in range(10):
        assert await manager.access_token() == old
        await settle()
    assert len(stage.service.posts) == 1
    stage.clock.advance(defaults.REFRESH_RETRY_S)
    assert await manager.access_token() == old
    await settle()
    assert len(stage.service.posts) == 2


async def test_an_early_renewal_that_the_store_fails_is_quiet_too(stage: Stage) -> None:
    manager = await stage.logged_in()
    stage.clock.advance(NEAR_THE_END_S)
    stage.store.failing = {"load"}
    for _ in range(5):
        await manager.access_token()
        await settle()
    assert stage.store.locks == 2  # one of them for the login


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
@pytest.mark.parametrize("life_s", [3600, 36_000])
async def test_a_jump_of_the_wall_clock_costs_one_renewal_at_most(stage: Stage, jump_s: float, life_s: int) -> None:
    """R19."""
    stage.service = Service(stage.clock, Assumptions(expires_in_s=life_s))
    manager = await stage.logged_in()
    stage.clock.wall += jump_s
    for _ in range(20):
        stage.clock.advance(60)
        assert stage.service.accepts((await manager.access_token()).reveal())
        await settle()
    stage.clock.wall -= jump_s
    for _ in range(20):
        stage.clock.advance(60)
        assert stage.service.accepts((await manager.access_token()).reveal())
        await settle()
    assert len(stage.service.posts) <= 1


async def test_a_sleep_longer_than_the_token_is_seen_by_the_wall_clock(stage: Stage) -> None:
    """R19: the monotonic clock stands still while the machine sleeps."""
    manager = await stage.logged_in()
    stage.clock.wall += 2 * LIFE_S
    await manager.access_token()
    await manager.access_token()
    assert stage.service.posts == ["refresh_token"]


async def test_an_end_written_by_a_clock_that_is_far_off_is_not_believed(stage: Stage) -> None:
    """R19."""
    first = await stage.logged_in()
    await first.aclose()
    stage.clock.wall -= 60 * 86_400
    await stage.manager().access_token()
    assert stage.service.posts == ["refresh_token"]


async def test_life_is_counted_from_before_the_call(stage: Stage) -> None:
    async def take_long() -> None:
        stage.clock.advance(30)

    stage.service.meanwhile = take_long
    before = stage.clock.wall
    await stage.manager().access_token()
    token = (await stage.kept()).token
    assert token is not None
    assert token.expires_at.timestamp() == before + LIFE_S


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
async def test_cancelled_waiters_harm_nobody(stage: Stage, seed: int) -> None:
    """R11: any of them, at any step, by cancel(), by a timeout or by a scope."""
    chance = random.Random(seed)
    manager = await stage.logged_in()
    for _ in range(3):
        stage.clock.advance(LIFE_S)
        stage.service.steps = chance.randrange(6)
        got = await _wait_with_cancellations(manager.access_token, chance)
        await settle()
        kept = (await stage.kept()).token
        assert kept is not None
        assert stage.service.accepts(kept.access_token.reveal())
        assert set(got) <= {kept.access_token, None}
    assert stage.service.posts == ["refresh_token"] * 3
    assert stage.service.oauth.reuse_detections == 0


async def _wait_with_cancellations(
    get: Callable[[], Awaitable[Secret]], chance: random.Random, waiters: int = 20
) -> list[Secret | None]:
    """Cancel some waiters after some turns of the event loop: what each one got, ``None`` if cancelled."""
    loop = asyncio.get_running_loop()
    cancels: dict[int, Callable[[], object]] = {}

    async def wait(number: int, way: str) -> Secret | None:
        try:
            if way == "native":
                task = asyncio.current_task()
                assert task is not None
                cancels[number] = task.cancel
                return await get()
            if way == "timeout":
                async with asyncio.timeout(None) as timer:
                    cancels[number] = lambda: timer.reschedule(loop.time())
                    return await get()
            with anyio.CancelScope() as scope:
                cancels[number] = scope.cancel
                return await get()
        except (asyncio.CancelledError, TimeoutError):
            pass
        return None

    turns = [chance.randrange(20) if chance.random() < 0.6 else None for _ in range(waiters)]
    tasks = [
        asyncio.create_task(wait(number, chance.choice(["native", "timeout", "scope"]))) for number in range(waiters)
    ]
    for turn in range(25):
        await asyncio.sleep(0)
        for number, task in enumerate(tasks):
            if turns[number] == turn and not task.done():
                cancels[number]()
    return await asyncio.gather(*tasks)


async def test_the_only_waiter_is_cancelled_and_the_renewal_is_saved(stage: Stage) -> None:
    """R11."""
    manager = await stage.logged_in()
    old = await manager.access_token()
    held = Held(stage.service)
    waiter = asyncio.create_task(manager.access_token(old))
    await held.arrived.wait()
    waiter.cancel()
    await asyncio.wait([waiter])
    held.go.set()
    await settle()
    token = (await stage.kept()).token
    assert token is not None
    assert token.access_token == await manager.access_token() != old
    assert stage.service.posts == ["refresh_token"]


# --- closing ----------------------------------------------------------------------------------------------------------


async def test_closing_lets_a_renewal_come_to_its_end(stage: Stage) -> None:
    """R32."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    waiter = asyncio.create_task(manager.access_token())
    held = Held(stage.service)
    await held.arrived.wait()
    closing = asyncio.create_task(manager.aclose())
    await settle()
    assert not closing.done()
    held.go.set()
    await closing
    token = (await stage.kept()).token
    assert token is not None
    assert token.access_token == await waiter


async def test_closing_waits_for_a_renewal_only_so_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """R32."""
    monkeypatch.setattr(defaults, "CLOSE_WAIT_S", 0.005)
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    waiter = asyncio.create_task(manager.access_token())
    held = Held(stage.service)
    await held.arrived.wait()
    await manager.aclose()
    with pytest.raises(ClientClosed):
        await waiter
    assert (await stage.kept()).refreshing, "whoever comes next must know that the refresh token may be spent"


async def test_a_closing_that_is_cancelled_leaves_no_task(stage: Stage) -> None:
    """R28."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    held = Held(stage.service)
    waiter = asyncio.create_task(manager.access_token())
    await held.arrived.wait()
    closing = asyncio.create_task(manager.aclose())
    await settle()
    closing.cancel()
    await asyncio.gather(closing, waiter, return_exceptions=True)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("smappee")]


async def test_a_renewal_that_a_waiter_begins_while_the_client_closes_ends_too(stage: Stage) -> None:
    """R28, R32: the first renewal gives the rejected token again, so the waiter begins another one."""
    manager = await stage.logged_in()
    rejected = await manager.access_token()
    stage.service.script.append(responses(200, {"access_token": rejected.reveal(), "expires_in": LIFE_S}))
    held = Held(stage.service)
    waiter = asyncio.create_task(manager.access_token(rejected))
    await held.arrived.wait()
    closing = asyncio.create_task(manager.aclose())
    await settle()
    held.go.set()
    async with stage.store.lock():
        await closing
        await asyncio.wait([waiter], timeout=100)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("smappee")]
    assert isinstance(waiter.exception(), ClientClosed)


async def test_after_closing_there_is_no_token(stage: Stage) -> None:
    """R32."""
    manager = await stage.logged_in()
    await manager.aclose()
    with pytest.raises(ClientClosed):
        await manager.access_token()


async def test_closing_twice_or_without_any_use_is_nothing(stage: Stage) -> None:
    """R32."""
    manager = stage.manager()
    await manager.aclose()
    await manager.aclose()


# --- a store that fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lock", "load"])
async def test_a_store_that_cannot_be_read_is_told_as_such(stage: Stage, what: str) -> None:
    manager = stage.manager()
    stage.store.failing = {what}
    with pytest.raises(TokenStoreError):
        await manager.access_token()
    assert stage.service.posts == []
    stage.store.failing.clear()
    await manager.access_token()


async def test_any_exception_of_a_hosts_store_becomes_one_of_ours(stage: Stage) -> None:
    manager = stage.manager()
    stage.store.failing = {"load"}
    stage.store.error = lambda: KeyError("the-client-secret")
    with pytest.raises(TokenStoreError, match="KeyError") as caught:
        await manager.access_token()
    assert "the-client-secret" not in str(caught.value)


async def test_a_lock_that_cannot_be_given_back_does_not_spoil_the_token(stage: Stage) -> None:
    manager = stage.manager()
    stage.store.failing = {"unlock"}
    assert stage.service.accepts((await manager.access_token()).reveal())
