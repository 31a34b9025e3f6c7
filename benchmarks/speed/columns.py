"""Sessions as columns: what ``stream.arrow()`` and ``stream.table()`` cost, beside records and what is made of these.

What holds the event loop is the CPU time of its thread; what the machine pays is that of the process.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, Literal

import aiohttp
import attrs

from benchmarks.speed import loops
from benchmarks.speed.chunks import Chunk, first_days
from benchmarks.speed.heartbeat import Heartbeat, beating
from benchmarks.speed.measure import percentile, side_by_side_async
from benchmarks.speed.process import forget_peak, in_fresh_process, peak_bytes, resident_bytes
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import Limits, SmappeeClient
from smappee_async.defaults import SLICE_SESSIONS

Way = Literal["arrow", "table", "records", "collect", "collect and pyarrow"]

_MONTH: Final = first_days(31)
#: Without the requests that verify responses: the peers make none.
_LIMITS: Final = Limits(concurrency=8, verify_from_sessions=None)
_UNKNOWN: Final = ',"unknownKey":"night"'


@attrs.frozen
class _Case:
    """So many sessions a response, from so many parks."""

    title: str
    kind: Kind
    parks: int


_SIZES: Final = (500, 5_000, 50_000)
#: So many sessions in all, for each size of responses.
_SESSIONS: Final = 50_000
#: Responses of usual size, and one large one among them.
_USUAL: Final = Kind(sessions=2_000, days=31)
_LARGE: Final = Kind(sessions=50_000, days=31)
#: So many runs have thousands of beats, of which the 99.9th percentile leaves out a few.
_RUNS: Final = 5


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    sizes = (50,) if scale.quick else _SIZES
    cases = [
        _Case(f"{size:,} a response{title}", Kind(size, days=31, more=more), scale.of(_SESSIONS // size, quick=1))
        for title, more in (("", ""), (", an unknown key each", _UNKNOWN))
        for size in sizes
    ]
    rows: list[Row] = []
    with serving(*(case.kind for case in cases)) as base_url:
        for number, case in enumerate(cases, 1):
            rows += in_fresh_process(_compare, base_url, number, case, scale)
    return [*rows, *_stalls(scale), *_memory(scale)]


# --- CPU and wall time ------------------------------------------------------------------------------------------------


def _compare(base_url: str, kind: int, case: _Case, scale: Scale) -> list[Row]:
    return asyncio.run(_compare_in_loop(base_url, parks(kind, case.parks), case, scale))


async def _compare_in_loop(base_url: str, numbers: Sequence[int], case: _Case, scale: Scale) -> list[Row]:
    from benchmarks.speed import to_tables  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(loops.connect(base_url, limits=_LIMITS))
        connector = aiohttp.TCPConnector(limit=_LIMITS.concurrency)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        chunks = [Chunk(number, _MONTH) for number in numbers]
        read: dict[str, Callable[[], Awaitable[int]]] = {
            "arrow": partial(_read, client, numbers, "arrow"),
            "records": partial(_read, client, numbers, "records"),
            "table": partial(_read, client, numbers, "table"),
            "collect": partial(_read, client, numbers, "collect"),
            "pyarrow": partial(_collected, client, numbers, to_tables.pyarrow_table),
            "without energy": partial(
                _collected, client, numbers, partial(to_tables.pyarrow_table, has_energy_kwh=False)
            ),
            "polars": partial(_collected, client, numbers, to_tables.polars_frame),
            "pandas": partial(_collected, client, numbers, to_tables.pandas_frame),
            "polars.read_json": partial(_bodies, http, base_url, chunks, to_tables.polars_read_json),
            "pandas.read_json": partial(_bodies, http, base_url, chunks, to_tables.pandas_read_json),
        }
        expected = case.kind.sessions * len(numbers)
        contenders = {name: partial(_check, each, expected) for name, each in read.items()}
        rounds = await side_by_side_async(contenders, rounds=scale.of(5, quick=1))
    title = case.title
    loop_us = (cost.thread_s * 1e6 / expected for cost in rounds.costs["arrow"])
    return [
        Row.of(f"{title}: arrow(), CPU of the loop, a session", loop_us, "µs"),
        rounds.micros_each(f"{title}: arrow(), CPU in all, a session", "arrow", expected),
        rounds.thread_ratio(f"{title}: arrow() ÷ records, CPU of the loop", "arrow", "records", Goal(at_most=0.2)),
        rounds.ratio(f"{title}: table() ÷ records into pyarrow, CPU", "table", "pyarrow", Goal(at_most=1.2)),
        rounds.ratio(f"{title}: table() ÷ records into pyarrow without energy_kwh, CPU", "table", "without energy"),
        rounds.ratio(f"{title}: table() ÷ records into polars, CPU", "table", "polars"),
        rounds.ratio(f"{title}: table() ÷ records into pandas, CPU", "table", "pandas"),
        rounds.ratio(f"{title}: table() ÷ aiohttp and polars.read_json (inexact), CPU", "table", "polars.read_json"),
        rounds.ratio(f"{title}: table() ÷ aiohttp and pandas.read_json (inexact), CPU", "table", "pandas.read_json"),
        rounds.wall_ratio(f"{title}: table() ÷ collect(), wall", "table", "collect"),
    ]


async def _read(client: SmappeeClient, numbers: Sequence[int], way: Way) -> int:
    """How many sessions there were, read in one of the ways of a stream."""
    stream = client.sessions(numbers, _MONTH)
    match way:
        case "table":
            return int((await stream.table()).num_rows)
        case "collect":
            return len(await stream.collect())
        case "collect and pyarrow":
            from benchmarks.speed import to_tables  # noqa: PLC0415 - not in processes whose memory or beats are measured

            return len(to_tables.pyarrow_table(await stream.collect()))
    count = 0
    async with stream:
        if way == "arrow":
            async for batch in stream.arrow():
                count += batch.num_rows
        else:
            async for _ in stream:
                count += 1
    return count


async def _collected(client: SmappeeClient, numbers: Sequence[int], make: Callable[[Any], Any]) -> int:
    return len(make(await client.sessions(numbers, _MONTH).collect()))


async def _bodies(
    http: aiohttp.ClientSession, base_url: str, chunks: Sequence[Chunk], make: Callable[[Sequence[bytes]], Any]
) -> int:
    async def fetch(chunk: Chunk) -> bytes:
        async with http.get(base_url + chunk.path) as response:
            return await response.read()

    return len(make(await asyncio.gather(*map(fetch, chunks))))


async def _check(read: Callable[[], Awaitable[int]], expected: int) -> None:
    assert await read() == expected, "not all contenders read the same"


# --- what the event loop notices --------------------------------------------------------------------------------------


def _stalls(scale: Scale) -> list[Row]:
    usual = scale.of(475, quick=2)
    sessions = usual * _USUAL.sessions + _LARGE.sessions
    rows: list[Row] = []
    with serving(_USUAL, _LARGE) as base_url:
        ways: tuple[tuple[Way, Goal | None], ...] = (("arrow", Goal(at_most=2)), ("records", None))
        for way, goal in ways:
            runs = [in_fresh_process(_heartbeat, base_url, usual, way) for _ in range(scale.of(_RUNS, quick=1))]
            held_ms = [held_s * 1e3 for each in runs for held_s in each.held_s]
            late_ms = [late_s * 1e3 for each in runs for late_s in each.late_s]
            title = f"{sessions:,} sessions, {_LARGE.sessions:,} in one response, {way}"
            rows += [
                Row(f"{title}: worst of {len(held_ms):,} beats, CPU of the loop", max(held_ms), "ms", goal=goal),
                Row(f"{title}: 99.9th percentile, CPU of the loop", percentile(held_ms, 0.999), "ms", goal=goal),
                Row(f"{title}: 99.9th percentile, wall", percentile(late_ms, 0.999), "ms"),
                Row(f"{title}: 99th percentile, wall", percentile(late_ms, 0.99), "ms"),
            ]
    return rows


def _heartbeat(base_url: str, usual: int, way: Way) -> Heartbeat:
    async def main() -> Heartbeat:
        numbers = parks(1, usual)
        numbers.insert(usual // 2, parks(2, 1)[0])
        async with loops.connect(base_url) as client:
            await _read(client, numbers[:1], way)
            with beating() as heartbeat:
                count = await _read(client, numbers, way)
        assert count == usual * _USUAL.sessions + _LARGE.sessions
        return heartbeat

    return asyncio.run(main())


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(scale: Scale) -> list[Row]:
    kind = Kind(scale.of(2_000, quick=SLICE_SESSIONS), days=31)
    rows: list[Row] = []
    with serving(kind) as base_url:
        for count in (1,) if scale.quick else (125, 500):
            sessions = count * kind.sessions
            ways: tuple[tuple[str, Way, Goal | None], ...] = (
                ("table()", "table", Goal(at_most=300)),
                ("collect()", "collect", None),
                ("collect() into pyarrow", "collect and pyarrow", None),
            )
            for title, way, goal in ways:
                peak = in_fresh_process(_peak_above_idle, base_url, count, way) / sessions
                rows.append(
                    Row(f"{sessions:,} sessions, {title}: peak above idle, bytes a session", peak, "", goal=goal)
                )
    return rows


def _peak_above_idle(base_url: str, count: int, way: Way) -> int:
    """In bytes, for so many parks."""

    async def main() -> int:
        async with loops.connect(base_url) as client:
            await _read(client, parks(1, 1), way)
            gc.collect()
            idle = resident_bytes()
            forget_peak()
            await _read(client, parks(1, count), way)
            return peak_bytes() - idle

    return asyncio.run(main())
