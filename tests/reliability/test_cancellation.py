"""Every public call, cancelled at every point, in every way that asyncio programs cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest

from smappee_async import SmappeeClient
from smappee_async.simulator import Simulator
from tests.cutting import Stepped

from .support import MARCH, NOTHING, Connect, client_of, connector_of, left_behind, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("loop_faults")]

#: A call that has more turns than this is cancelled at so many of them, evenly spread, the first and the last included.
MOST = 10

# --- ways to cancel -------------------------------------------------------------------------------------------------------


def at_turn(number: int, act: Callable[[], object]) -> Callable[[], int]:
    """Act at the given turn of the event loop from now; what is returned ends the counting and tells the turns."""
    loop = asyncio.get_running_loop()
    turns = 0
    handle: asyncio.Handle | None = None

    def turn() -> None:
        nonlocal turns, handle
        turns += 1
        handle = loop.call_soon(turn)
        if turns == number:
            act()

    def end() -> int:
        assert handle is not None
        handle.cancel()
        return turns

    handle = loop.call_soon(turn)
    return end


async def by_cancel(call: Coroutine[Any, Any, object], number: int) -> int:
    """A task is cancelled at a turn of the loop."""
    task = asyncio.ensure_future(call)
    end = at_turn(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return end()


async def by_timeout(call: Coroutine[Any, Any, object], number: int) -> int:
    """A time-out around the call ends at a turn of the loop."""
    loop = asyncio.get_running_loop()
    timeout = asyncio.timeout(None)
    end: Callable[[], int] = int
    try:
        async with timeout:

            def expire() -> None:
                if not timeout.expired():
                    timeout.reschedule(loop.time() - 1)

            end = at_turn(number, expire)
            await call
    except TimeoutError:
        assert timeout.expired()
    return end()


async def by_scope(call: Coroutine[Any, Any, object], number: int) -> int:
    """An anyio scope around the call is cancelled at a turn of the loop."""
    scope = anyio.CancelScope()
    end = at_turn(number, scope.cancel)
    with scope:
        await call
    return end()


async def with_the_response(call: Coroutine[Any, Any, object], number: int) -> int:
    """The call is cancelled in the same turn in which what it waits for comes, before it could be told so."""

    def on_step(step: int, awaited: Any) -> None:
        if step != number:
            return
        if isinstance(awaited, asyncio.Future) or hasattr(awaited, "add_done_callback"):
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()

    stepped = Stepped(call, on_step)

    async def run() -> None:
        await stepped

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return stepped.steps


Way = Callable[[Coroutine[Any, Any, object], int], Awaitable[int]]
WAYS: dict[str, Way] = {
    "cancel": by_cancel,
    "timeout": by_timeout,
    "anyio scope": by_scope,
    "with the response": with_the_response,
}


# --- calls ----------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Scene:
    """One call about to be made."""

    sim: Simulator
    client: SmappeeClient


Call = Callable[[Scene], Coroutine[Any, Any, object]]


async def service_locations(scene: Scene) -> None:
    assert await scene.client.service_locations()


async def service_location(scene: Scene) -> None:
    assert (await scene.client.service_location(1001)).id == 1001


async def collect(scene: Scene) -> None:
    assert await scene.client.sessions([1001, 1002], MARCH).collect()


async def first_session(scene: Scene) -> None:
    async with scene.client.sessions([1001, 1002], MARCH) as stream:
        async for _ in stream:
            break


async def batches(scene: Scene) -> None:
    async with scene.client.sessions([1001, 1002], MARCH) as stream, aclosing_(stream.batches()) as several:
        async for _ in several:
            pass


async def by_start(scene: Scene) -> None:
    assert await scene.client.sessions([1001, 1002], MARCH, order="start").collect()


async def both_states(scene: Scene) -> None:
    assert await scene.client.sessions([1001, 1002], MARCH, state="all").collect()


async def station_sessions(scene: Scene) -> None:
    await scene.client.station_sessions(sorted(scene.sim.world.stations)[:2], MARCH).collect()


async def closing_a_stream(scene: Scene) -> None:
    stream = scene.client.sessions([1001, 1002], MARCH)
    await anext(aiter(stream))
    await stream.aclose()


async def first_login(scene: Scene) -> None:
    """The client is new; see below."""
    assert await scene.client.service_locations()


async def during_renewal(scene: Scene) -> None:
    """All tokens have just ended; see below."""
    assert await scene.client.sessions([1001], MARCH).collect()


CALLS: tuple[Call, ...] = (
    service_locations,
    service_location,
    collect,
    first_session,
    batches,
    by_start,
    both_states,
    station_sessions,
    closing_a_stream,
    first_login,
    during_renewal,
)


def aclosing_(iterator: AsyncIterator[Any]) -> Any:
    closable: Any = iterator
    return aclosing(closable)


@asynccontextmanager
async def scene_of(sim: Simulator, call: Call, shared: SmappeeClient) -> AsyncIterator[Scene]:
    if call is first_login:
        async with client_of(sim) as client:
            yield Scene(sim, client)
    else:
        if call is during_renewal:
            sim.oauth.expire_access_tokens()
        yield Scene(sim, shared)


def points(most: int) -> Iterator[int]:
    """Every point of a call with so many, or a sample of them that is spread evenly."""
    step = max(1, -(-most // MOST))
    yield from range(1, most, step)
    yield most


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_call_that_is_cancelled_at_any_point_leaves_nothing_and_harms_no_other(
    sim: Simulator, connect: Connect, call: Call, way: str
) -> None:
    """R11, R28, R29."""
    shared = await connect()
    await shared.service_locations()
    before = asyncio.all_tasks()
    async with scene_of(sim, call, shared) as scene:
        most = await WAYS[way](call(scene), 0)
    assert most, "the call never gives way"

    for number in points(most):
        async with scene_of(sim, call, shared) as scene:
            await WAYS[way](call(scene), number)
            connector = connector_of(scene.client)

            assert await left_behind(connector, before) == NOTHING, number
            assert (await scene.client.service_location(1001)).id == 1001
            assert await left_behind(connector, before) == NOTHING, number
    assert sim.oauth.reuse_detections == 0
    assert sim.oauth.refusals == 0
    if call is during_renewal:
        assert sim.oauth.password_grants == 1
        assert sim.oauth.refresh_grants == sim.oauth.issued - 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("busy", ["idle", "reading", "renewing"])
async def test_a_close_that_is_cancelled_at_any_point_still_closes(
    sim: Simulator, connect: Connect, way: str, busy: str
) -> None:
    """R28, R29, R32: with nothing under way, with streams open, and in the middle of a renewal."""
    other = await connect()
    await other.service_locations()
    before = asyncio.all_tasks()

    async def close(number: int) -> int:
        client = client_of(sim)
        await client.__aenter__()
        connector = connector_of(client)
        if busy == "reading":
            streams = [client.sessions([1001, 1002], MARCH) for _ in range(2)]
            for stream in streams:
                await anext(aiter(stream))
        elif busy == "renewing":
            call = asyncio.create_task(client.service_locations())
            await until(lambda: sim.hits("token") > 0)
            call.cancel()
        else:
            await client.service_locations()
        sim.reset_log()
        points = await WAYS[way](client.aclose(), number)

        assert await left_behind(connector, before) == NOTHING, number
        assert connector.closed, number
        await client.aclose()
        return points

    most = await close(0)
    for number in points(max(1, most)):
        await close(number)
    assert (await other.service_location(1001)).id == 1001
    assert sim.oauth.reuse_detections == 0
