"""A simulator in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from smappee_async import Credentials, SmappeeClient, TimeRange
from smappee_async.simulator import Park, Simulator, World
from smappee_async.testing.thread import in_thread


def simulator() -> Simulator:
    return Simulator(World.of([Park.home(1001)], seed=1))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smappee simulator"]


def ask(sim: Simulator) -> int:
    try:
        with urlopen(f"{sim.base_url}/servicelocation", timeout=10) as response:
            status: int = response.status
            return status
    except HTTPError as error:
        with error:
            return error.code


def test_it_serves_a_caller_that_has_no_loop() -> None:
    with in_thread(simulator) as sim:
        assert ask(sim) == HTTPStatus.UNAUTHORIZED


@pytest.fixture
def running() -> Iterator[Simulator]:
    with in_thread(simulator) as sim:
        yield sim


@pytest.mark.anyio
async def test_it_serves_a_client_in_another_loop(running: Simulator) -> None:
    march = TimeRange.month(2026, 3, tz="UTC")
    account = running.account
    credentials = Credentials(account.client_id, account.client_secret, account.username, account.password)

    async with SmappeeClient(credentials, base_url=running.base_url) as client:
        sessions = await client.sessions(1001, march).collect()

    assert len(sessions) == running.ledger.count(1001, march.start_ms, march.end_ms)


def test_it_is_made_in_its_own_thread() -> None:
    made_in = []

    def make() -> Simulator:
        made_in.append(threading.current_thread().name)
        return simulator()

    with in_thread(make):
        pass

    assert made_in == ["smappee simulator"]


def test_the_thread_and_the_socket_end_with_the_block() -> None:
    with in_thread(simulator) as sim:
        assert len(threads()) == 1

    assert threads() == []
    with pytest.raises(OSError, match="refused"):
        ask(sim)


def test_an_exception_in_the_block_comes_out_and_the_thread_ends() -> None:
    with pytest.raises(ZeroDivisionError), in_thread(simulator):
        raise ZeroDivisionError

    assert threads() == []


def test_what_making_it_raises_comes_out_and_the_thread_ends() -> None:
    def make() -> Simulator:
        raise LookupError("no world")

    with pytest.raises(LookupError, match="no world"), in_thread(make):
        pytest.fail("there is nothing to run")

    assert threads() == []


def test_what_starting_it_raises_comes_out_and_the_thread_ends() -> None:
    with in_thread(simulator) as first:
        port = int(first.origin.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), in_thread(lambda: Simulator(World.of([]), port=port)):
            pytest.fail("the port is taken")

        assert len(threads()) == 1


def test_two_of_them_run_side_by_side() -> None:
    with in_thread(simulator) as one, in_thread(simulator) as other:
        assert one.base_url != other.base_url
        assert [ask(one), ask(other)] == [HTTPStatus.UNAUTHORIZED] * 2


@pytest.mark.parametrize("after", [True, False], ids=["after it started", "before it started"])
def test_a_wait_for_it_that_is_interrupted_leaves_no_thread(monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    wait = Future.result

    def interrupt(started: Future[Any]) -> None:
        monkeypatch.undo()
        if after:
            wait(started)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupt)
    with pytest.raises(KeyboardInterrupt), in_thread(simulator):
        pytest.fail("it was interrupted")

    assert threads() == []
