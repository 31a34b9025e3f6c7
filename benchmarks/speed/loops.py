"""Who asks the invented service: our client, and the loops that people write themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import aiohttp
import httpx

from benchmarks.speed.chunks import Chunk
from benchmarks.speed.readers import pydantic_v2
from smappee_async import Credentials, Limits, SmappeeClient
from smappee_async.events import OnEvent
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.requests import park_sessions
from smappee_async.protocol.responses import read_sessions
from smappee_async.secret import Secret
from smappee_async.transport.http import HttpTransport

_TOKEN = "invented"


def connect(base_url: str, *, limits: Limits | None = None, on_event: OnEvent | None = None) -> SmappeeClient:
    """Our client, not open yet."""
    credentials = Credentials("benchmark", "benchmark", "benchmark", "benchmark")
    return SmappeeClient(credentials, base_url=base_url, limits=limits, on_event=on_event)


async def loop_on_aiohttp(
    session: aiohttp.ClientSession, base_url: str, chunks: Iterable[Chunk], *, concurrency: int
) -> int:
    """A bare loop: a few workers, aiohttp, and pydantic for the records."""

    async def fetch(chunk: Chunk) -> int:
        async with session.get(base_url + chunk.path, headers={"Authorization": f"Bearer {_TOKEN}"}) as response:
            response.raise_for_status()
            body = await response.read()
        return _count(pydantic_v2.read(body))

    return await _by_workers(fetch, chunks, concurrency)


async def loop_on_httpx(client: httpx.AsyncClient, base_url: str, chunks: Iterable[Chunk], *, concurrency: int) -> int:
    """The same on httpx."""

    async def fetch(chunk: Chunk) -> int:
        response = await client.get(base_url + chunk.path, headers={"Authorization": f"Bearer {_TOKEN}"})
        response.raise_for_status()
        return _count(pydantic_v2.read(response.content))

    return await _by_workers(fetch, chunks, concurrency)


async def loop_on_our_parts(
    transport: HttpTransport, base_url: str, chunks: Iterable[Chunk], *, concurrency: int
) -> int:
    """The client's own transport and structuring, without the machinery of a stream around them."""
    token = Secret(_TOKEN)
    read = SESSION_READER.read

    async def fetch(chunk: Chunk) -> int:
        response = await transport.send(park_sessions(base_url, chunk.park, chunk.time_range, active=False), token)
        return _count([read(raw, chunk.park) for raw in read_sessions(response)])

    return await _by_workers(fetch, chunks, concurrency)


def _count(sessions: Iterable[object]) -> int:
    """Touch each session, as the stream's consumer does."""
    count = 0
    for _ in sessions:
        count += 1
    return count


async def _by_workers(fetch: Callable[[Chunk], Awaitable[int]], chunks: Iterable[Chunk], concurrency: int) -> int:
    waiting = iter(chunks)

    async def work() -> int:
        return sum([await fetch(chunk) for chunk in waiting])

    return sum(await asyncio.gather(*(work() for _ in range(concurrency))))
