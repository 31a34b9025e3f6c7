"""The timer that all attempts share: it is exact for each of them, and leaves cancellations of others alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest

from smappee_async import Limits, TransportError
from smappee_async.protocol.requests import Request
from smappee_async.testing import VirtualTimeLoop
from smappee_async.transport.http import HttpTransport
from smappee_async.transport.watch import Attempt, Watch

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual time"], indirect=True
    ),
]


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def now() -> float:
    return asyncio.get_running_loop().time()


def timers() -> int:
    return len([each for each in asyncio.get_running_loop()._scheduled if not each.cancelled()])  # type: ignore[attr-defined]


async def overdue(watch: Watch, heard_s: Sequence[float] = ()) -> Attempt:
    """An attempt that hears at these seconds of its time, until it was ended."""
    began = now()
    attempt = watch.attempt()
    try:
        with attempt:
            for at_s in heard_s:
                await asyncio.sleep(began + at_s - now())
                attempt.hear()
            await asyncio.sleep(1e6)
    except TimeoutError:
        return attempt
    pytest.fail("it was not ended")


async def took_s(watch: Watch, *, begins_s: float = 0, heard_s: Sequence[float] = ()) -> float:
    """How long such an attempt took until it was ended."""
    await asyncio.sleep(begins_s)
    began = now()
    await overdue(watch, heard_s)
    return now() - began


# --- when it ends -----------------------------------------------------------------------------------------------------


async def test_each_attempt_ends_at_its_own_time_although_one_timer_watches_all() -> None:
    watch = Watch(60, 30)
    took = await asyncio.gather(*(took_s(watch, begins_s=7.3 * number) for number in range(20)))
    assert took == pytest.approx([60] * 20, abs=1e-6)


async def test_a_server_that_is_silent_after_the_request_ends_the_attempt() -> None:
    assert await took_s(Watch(60, 30), heard_s=[4]) == pytest.approx(34, abs=1e-6)


async def test_each_part_of_a_response_begins_another_silence() -> None:
    assert await took_s(Watch(600, 30), heard_s=[4, 33, 62, 91]) == pytest.approx(121, abs=1e-6)


async def test_parts_that_come_in_time_do_not_make_the_whole_attempt_longer() -> None:
    assert await took_s(Watch(60, 30), heard_s=[4, 33, 50]) == pytest.approx(60, abs=1e-6)


async def test_an_attempt_that_begins_while_the_timer_is_set_for_another_one_is_not_ended_late() -> None:
    watch = Watch(60, 30)
    with watch.attempt():
        await asyncio.sleep(1)  # sets the timer, and is done long before it is due
    assert await took_s(watch, begins_s=20, heard_s=[0]) == pytest.approx(30, abs=1e-6)


async def test_it_says_whether_the_attempt_took_too_long_or_the_server_was_silent() -> None:
    watch = Watch(60, 30)
    silent, long = await overdue(watch, [0]), await overdue(watch)
    assert (silent.took_too_long, long.took_too_long) == (False, True)


# --- cancellations of others --------------------------------------------------------------------------------------------


async def test_a_task_that_others_cancel_is_cancelled_and_not_timed_out() -> None:
    watch = Watch(60, 30)

    async def work() -> None:
        with watch.attempt():
            await asyncio.sleep(1e6)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_task_that_is_cancelled_at_the_moment_its_attempt_is_overdue_stays_cancelled() -> None:
    watch = Watch(60, 30)

    async def work() -> None:
        with watch.attempt():
            await asyncio.sleep(1e6)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(60, task.cancel)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_task_goes_on_uncancelled_after_its_attempt_was_ended() -> None:
    watch = Watch(60, 30)
    await overdue(watch)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_attempt_that_fails_as_it_is_ended_leaves_its_task_uncancelled() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            raise LookupError from None

    with pytest.raises(LookupError), Watch(60, 30).attempt():
        await work()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


# --- what is left -------------------------------------------------------------------------------------------------------


async def test_no_timer_is_set_when_nothing_is_watched() -> None:
    watch = Watch(60, 30)
    for _ in range(100):
        with watch.attempt():
            await asyncio.sleep(0.01)
    assert timers() == 1
    await asyncio.sleep(31)
    assert timers() == 0


async def test_closing_takes_the_timer_back() -> None:
    watch = Watch(60, 30)
    with watch.attempt():
        await asyncio.sleep(1)
    watch.close()
    assert timers() == 0


# --- over HTTP ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def speaking(*parts: tuple[float, bytes]) -> AsyncIterator[Request]:
    """A server that sends these parts, each so many seconds after the last; yields a request to it."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for wait_s, part in parts:
            await asyncio.sleep(wait_s)
            writer.write(part)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield Request(method="GET", url=f"http://{host}:{port}/", route="/")


async def error_of(*parts: tuple[float, bytes], limits: Limits) -> tuple[str, float]:
    """The error of an attempt, and how long it took."""
    async with speaking(*parts) as request, aclosing(HttpTransport(limits)) as transport:
        began = now()
        with pytest.raises(TransportError) as caught:
            await transport.send(request)
        assert caught.value.timed_out
        return caught.value.reason, now() - began


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
LIMITS = Limits(read_timeout_s=30, attempt_timeout_s=100)


async def test_a_server_that_does_not_answer_is_silent() -> None:
    reason, after_s = await error_of(limits=LIMITS)
    assert reason == "the server was silent for 30 s"
    assert after_s == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("size", [10, 2**20])
async def test_a_server_that_stops_within_a_body_is_silent(size: int) -> None:
    reason, after_s = await error_of((20, HEAD % size), (20, b"[ "), limits=LIMITS)
    assert reason == "the server was silent for 30 s"
    assert after_s == pytest.approx(70, abs=0.1)


@pytest.mark.parametrize("size", [10, 2**20])
async def test_a_body_that_comes_bit_by_bit_takes_too_long(size: int) -> None:
    bits = [(25.0, b" ")] * 9
    reason, after_s = await error_of((0, HEAD % size), *bits, limits=LIMITS)
    assert reason == "the attempt took longer than 100 s"
    assert after_s == pytest.approx(100, abs=0.1)


async def test_a_body_that_comes_bit_by_bit_and_in_time_is_read() -> None:
    parts = [(0.0, HEAD % 4), (29.0, b"["), (29.0, b" "), (29.0, b" ]")]
    async with speaking(*parts) as request, aclosing(HttpTransport(LIMITS)) as transport:
        assert (await transport.send(request)).body == b"[  ]"


async def test_closing_the_transport_leaves_no_timer() -> None:
    async with speaking((0, HEAD % 2 + b"[]")) as request, aclosing(HttpTransport(LIMITS)) as transport:
        await transport.send(request)
    assert timers() == 0
