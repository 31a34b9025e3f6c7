"""``async for`` over a stream, compared with a bare loop for the same chunks, and with the client's own parts alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Final
from unittest.mock import patch

import aiohttp
import attrs

from benchmarks.speed import loops
from benchmarks.speed.chunks import Chunk, first_days
from benchmarks.speed.count import bytecodes
from benchmarks.speed.measure import side_by_side_async
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import TOKEN, serving
from benchmarks.speed.world import Kind, array, parks
from smappee_async import Limits, SmappeeClient
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret
from smappee_async.transport.http import HttpTransport

#: Short enough that the client asks for it as one chunk a park, as its peers do.
_MONTH: Final = first_days(31)
#: Without the requests that verify responses: the planner's part counts these, and the peers make none.
_LIMITS: Final = Limits(concurrency=8, verify_from_sessions=None)


@attrs.frozen
class _Case:
    """So many sessions a response, from so many parks.

    :param goal: for the CPU time of the stream divided by that of a bare loop.
    :param machinery_goal: for the CPU time of the stream divided by that of its own parts.
    """

    sessions: int
    parks: int
    goal: Goal
    machinery_goal: Goal | None = None


#: About the same CPU time each.
_CASES: Final = (
    _Case(10, 800, Goal(at_most=1.15)),
    _Case(500, 100, Goal(at_most=1.0), Goal(at_most=1.1)),
    _Case(5_000, 10, Goal(at_most=1.0)),
)


@attrs.frozen
class _Contenders:
    """Everything that the contenders need, with connections open."""

    client: SmappeeClient
    session: aiohttp.ClientSession
    transport: HttpTransport
    base_url: str

    def of(self, numbers: list[int], expected: int) -> dict[str, Callable[[], Awaitable[None]]]:
        """What each contender does to read a month of these parks."""
        chunks = [Chunk(park, _MONTH) for park in numbers]
        concurrency = _LIMITS.concurrency
        work: dict[str, Callable[[], Awaitable[int]]] = {
            "stream": partial(_stream, self.client, numbers),
            "loop": partial(loops.loop_on_aiohttp, self.session, self.base_url, chunks, concurrency=concurrency),
            "parts": partial(loops.loop_on_our_parts, self.transport, self.base_url, chunks, concurrency=concurrency),
        }
        return {name: partial(_check, read, expected) for name, read in work.items()}


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    with serving(*(Kind(case.sessions, days=31) for case in _CASES)) as base_url:
        return asyncio.run(_run(base_url, scale))


def counts() -> dict[str, float]:
    """The bytecode instructions of a request and of a session: all of the client, but not the HTTP library."""
    return {
        "bytecodes a request, 10 a response": _bytecodes(sessions=10, requests=100) / 100,
        "bytecodes a session, 500 a response": _bytecodes(sessions=500, requests=10) / 5_000,
    }


async def _run(base_url: str, scale: Scale) -> list[Row]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(loops.connect(base_url, limits=_LIMITS))
        connector = aiohttp.TCPConnector(limit=_LIMITS.concurrency)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        transport = await stack.enter_async_context(aclosing(HttpTransport(_LIMITS)))
        contenders = _Contenders(client, session, transport, base_url)
        rows: list[Row] = []
        for kind, case in enumerate(_CASES, 1):
            rows += await _compare(contenders, case, parks(kind, scale.of(case.parks, quick=3)), scale)
        return rows


async def _compare(contenders: _Contenders, case: _Case, numbers: list[int], scale: Scale) -> list[Row]:
    sessions = case.sessions * len(numbers)
    rounds = await side_by_side_async(contenders.of(numbers, sessions), rounds=scale.of(11, quick=2))
    title = f"{case.sessions:,} a response"
    return [
        rounds.micros_each(f"{title}: stream, a request", "stream", len(numbers)),
        rounds.micros_each(f"{title}: stream, a session", "stream", sessions),
        rounds.ratio(f"{title}: stream ÷ bare aiohttp + pydantic", "stream", "loop", case.goal),
        rounds.ratio(f"{title}: stream ÷ its parts alone", "stream", "parts", case.machinery_goal),
    ]


async def _stream(client: SmappeeClient, numbers: list[int]) -> int:
    stream = client.sessions(numbers, _MONTH)
    count = 0
    async for _ in stream:
        count += 1
    assert stream.stats.requests == len(numbers), "the stream asked for other chunks than its peers"
    return count


async def _check(read: Callable[[], Awaitable[int]], expected: int) -> None:
    assert await read() == expected, "not all contenders read the same"


# --- without a network ------------------------------------------------------------------------------------------------


def _bytecodes(sessions: int, requests: int) -> int:
    """The bytecode instructions of one stream, in a loop and a client of its own."""
    body = array(sessions)

    async def send(_: HttpTransport, request: Request, __: Secret | None = None) -> Response:
        await asyncio.sleep(0)
        return Response(status=200, body=TOKEN if request.method == "POST" else body)

    async def main() -> None:
        async with loops.connect("http://127.0.0.1:1", limits=Limits(verify_from_sessions=None)) as client:
            assert await _stream(client, parks(1, requests)) == sessions * requests

    with patch.object(HttpTransport, "send", send):
        return bytecodes(lambda: asyncio.run(main()))
