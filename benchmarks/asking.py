"""What is asked of the invented service, and by whom: our client, and loops that people write themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import aiohttp
import attrs
import httpx

from benchmarks.readers import pydantic_v2
from benchmarks.world import BEGIN_MS, DAY_MS
from smappee_async import Credentials, Limits, SmappeeClient, TimeRange
from smappee_async.events import OnEvent
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.requests import park_sessions
from smappee_async.protocol.responses import read_sessions
from smappee_async.secret import Secret
from smappee_async.transport.http import HttpTransport

_TOKEN = "invented"


@attrs.frozen
class Question:
    """One park and one range: what one request asks."""

    park: int
    time_range: TimeRange

    @property
    def path(self) -> str:
        """Where to ask it, below the base URL."""
        asked = self.time_range
        bounds = f"{asked.start_ms}" if asked.end_ms is None else f"{asked.start_ms},{asked.end_ms}"
        return f"/chargingparks/{self.park}/sessions?active=false&range={bounds}"


def first_days(days: float) -> TimeRange:
    """So many days from where the invented time begins."""
    return TimeRange.from_ms(BEGIN_MS, BEGIN_MS + int(days * DAY_MS))


def connect(base_url: str, *, limits: Limits | None = None, on_event: OnEvent | None = None) -> SmappeeClient:
    """Our client, not open yet."""
    credentials = Credentials("benchmark", "benchmark", "benchmark", "benchmark")
    return SmappeeClient(credentials, base_url=base_url, limits=limits, on_event=on_event)


async def loop_on_aiohttp(
    session: aiohttp.ClientSession, base_url: str, questions: Iterable[Question], *, concurrency: int
) -> int:
    """A bare loop: a few workers, aiohttp, and pydantic for the records."""

    async def ask(question: Question) -> int:
        async with session.get(base_url + question.path, headers={"Authorization": f"Bearer {_TOKEN}"}) as response:
            response.raise_for_status()
            body = await response.read()
        return _count(pydantic_v2.read(body))

    return await _by_workers(ask, questions, concurrency)


async def loop_on_httpx(
    client: httpx.AsyncClient, base_url: str, questions: Iterable[Question], *, concurrency: int
) -> int:
    """The same on httpx."""

    async def ask(question: Question) -> int:
        response = await client.get(base_url + question.path, headers={"Authorization": f"Bearer {_TOKEN}"})
        response.raise_for_status()
        return _count(pydantic_v2.read(response.content))

    return await _by_workers(ask, questions, concurrency)


async def loop_on_our_parts(
    transport: HttpTransport, base_url: str, questions: Iterable[Question], *, concurrency: int
) -> int:
    """The client's own transport and structuring, without the machinery of a stream around them."""
    token = Secret(_TOKEN)
    read = SESSION_READER.read

    async def ask(question: Question) -> int:
        response = await transport.send(
            park_sessions(base_url, question.park, question.time_range, active=False), token
        )
        return _count([read(raw, question.park) for raw in read_sessions(response)])

    return await _by_workers(ask, questions, concurrency)


def _count(sessions: Iterable[object]) -> int:
    """Touch each session, as the stream's consumer does."""
    count = 0
    for _ in sessions:
        count += 1
    return count


async def _by_workers(
    ask: Callable[[Question], Awaitable[int]], questions: Iterable[Question], concurrency: int
) -> int:
    waiting = iter(questions)

    async def work() -> int:
        return sum([await ask(question) for question in waiting])

    return sum(await asyncio.gather(*(work() for _ in range(concurrency))))
