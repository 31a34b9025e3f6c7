"""Cuts a call off at each of its awaits, in every way in which programs cancel, and notes the exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

import anyio

Cut = Callable[[Coroutine[Any, Any, object], int, list[BaseException]], Awaitable[int]]

# --- ways to cancel, each at the given await of the call ------------------------------------------------------------------


class Stepped:
    """Runs a coroutine and says whenever it gives way: how often it has, and what it waits for."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], on_step: Callable[[int, Any], None]) -> None:
        self._coroutine = coroutine
        self._on_step = on_step
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, None]:
        resume: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            try:
                awaited = resume()
            except StopIteration:
                return
            self.steps += 1
            self._on_step(self.steps, awaited)
            try:
                value = yield awaited
            except BaseException as error:  # noqa: BLE001 - handed on as it is
                resume = _throwing(self._coroutine, error)
            else:
                resume = _sending(self._coroutine, value)


def _throwing(coroutine: Coroutine[Any, Any, object], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)


def _sending(coroutine: Coroutine[Any, Any, object], value: Any) -> Callable[[], Any]:
    return lambda: coroutine.send(value)


async def _noting(call: Awaitable[object], errors: list[BaseException]) -> None:
    """Note what leaves the call, as a crash reporter around it does."""
    try:
        await call
    except BaseException as error:
        errors.append(error)
        raise


async def by_cancel(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    stepped = Stepped(call, _at(number, lambda: task.cancel("by the test")))
    task = asyncio.ensure_future(_noting(stepped, errors))
    try:
        await task
    except asyncio.CancelledError as error:
        errors.append(error)
    assert {error.args for error in errors} <= {("by the test",)}, "the text of the cancellation was lost"
    return stepped.steps


async def by_timeout(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    timeout = asyncio.timeout(None)
    stepped = Stepped(call, _at(number, lambda: timeout.reschedule(0)))
    try:
        async with timeout:
            await _noting(stepped, errors)
    except TimeoutError as error:
        assert timeout.expired()
        errors.append(error)
    assert not _cancelling()
    return stepped.steps


async def by_wait_for(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    """The task that waits with ``wait_for`` is cancelled."""
    stepped = Stepped(call, _at(number, lambda: task.cancel(None)))
    task = asyncio.ensure_future(asyncio.wait_for(_noting(stepped, errors), 60))
    try:
        await task
    except asyncio.CancelledError as error:
        errors.append(error)
    return stepped.steps


async def by_group(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    """A sibling in a task group fails."""
    fail = asyncio.Event()
    stepped = Stepped(call, _at(number, fail.set))

    async def sibling() -> None:
        await fail.wait()
        raise ZeroDivisionError

    async def the_call() -> None:
        await _noting(stepped, errors)
        other.cancel()

    try:
        async with asyncio.TaskGroup() as group:
            other = group.create_task(sibling())
            group.create_task(the_call())
    except* ZeroDivisionError as group_of_errors:
        errors.append(group_of_errors)
    return stepped.steps


async def by_move_on_after(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    scope = anyio.move_on_after(60)
    stepped = Stepped(call, _at(number, lambda: _pass_the_deadline(scope)))
    with scope:
        await _noting(stepped, errors)
    assert scope.cancelled_caught == bool(errors)
    assert not _cancelling()
    return stepped.steps


async def by_fail_after(call: Coroutine[Any, Any, object], number: int, errors: list[BaseException]) -> int:
    scopes: list[anyio.CancelScope] = []
    stepped = Stepped(call, _at(number, lambda: _pass_the_deadline(scopes[0])))
    try:
        with anyio.fail_after(60) as scope:
            scopes.append(scope)
            await _noting(stepped, errors)
    except TimeoutError as error:
        errors.append(error)
    assert not _cancelling()
    return stepped.steps


def _at(number: int, act: Callable[[], object]) -> Callable[[int, Any], None]:
    def on_step(step: int, _: object) -> None:
        if step == number:
            act()

    return on_step


def _pass_the_deadline(scope: anyio.CancelScope) -> None:
    scope.deadline = 0


def _cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


WAYS: Final[dict[str, Cut]] = {
    "task.cancel": by_cancel,
    "asyncio.timeout": by_timeout,
    "asyncio.wait_for": by_wait_for,
    "asyncio.TaskGroup": by_group,
    "anyio.move_on_after": by_move_on_after,
    "anyio.fail_after": by_fail_after,
}


async def at_every_await(
    make: Callable[[], Coroutine[Any, Any, object]], cut: Cut
) -> AsyncIterator[list[BaseException]]:
    """Cut off the call at its first await, at its second, and so on, until it ends before it is cut off."""
    number, cuts = 0, 0
    while True:
        number += 1
        errors: list[BaseException] = []
        steps = await cut(make(), number, errors)
        if errors:
            cuts += 1
            yield errors
        if steps < number:
            assert cuts, "the call was never cut off"
            return
