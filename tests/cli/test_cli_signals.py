"""How the asynchronous part of a command ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from smappee_async.cli.ending import ENDING_SIGNALS, ending_on_signals, run_async


@pytest.fixture(params=ENDING_SIGNALS, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """An ending signal that has its default handler; the others are ignored."""
    ending: int = request.param
    before = {each: signal.getsignal(each) for each in ENDING_SIGNALS}
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_DFL if each == ending else signal.SIG_IGN)
    with ending_on_signals():
        yield ending
    assert [signal.getsignal(each) for each in ENDING_SIGNALS if each != ending] == [signal.SIG_IGN] * 2
    assert signal.getsignal(ending) is signal.SIG_DFL
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_cancels_where_the_command_waits_and_nowhere_else(number: int) -> None:
    steps: list[str] = []

    async def work() -> None:
        signal.raise_signal(number)
        steps.append("went on after the signal")
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleared away")

    with pytest.raises(KeyboardInterrupt):
        run_async(work())
    assert steps == ["went on after the signal", "cleared away"]


def test_a_second_signal_does_not_wait_for_the_clearing_away(number: int) -> None:
    async def work() -> None:
        signal.raise_signal(number)
        try:
            await asyncio.Event().wait()
        finally:
            signal.raise_signal(number)
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_async(work())


def test_after_the_loop_a_signal_raises_again(number: int) -> None:
    assert run_async(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_a_command_that_cancels_itself_was_not_interrupted(number: int) -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run_async(work())
