"""Reading many parks at once, compared with a loop on httpx and with dlt's REST source."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import dlt
import httpx
from dlt.sources.rest_api import rest_api_resources
from dlt.sources.rest_api.typing import RESTAPIConfig

from benchmarks.speed import loops
from benchmarks.speed.chunks import Chunk, first_days
from benchmarks.speed.measure import side_by_side
from benchmarks.speed.result import Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.server import serving
from benchmarks.speed.world import Kind, parks
from smappee_async import Limits

_MONTH: Final = first_days(31)
_USUAL: Final = Kind(sessions=500, days=31)
_CONCURRENCY: Final = 8
#: dlt's settings: the same concurrency as the others, and no telemetry.
_DLT: Final = {"EXTRACT__WORKERS": str(_CONCURRENCY), "RUNTIME__DLTHUB_TELEMETRY": "false"}


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    os.environ.update(_DLT)
    numbers = parks(1, scale.of(60, quick=2))
    with serving(_USUAL) as base_url:
        contenders: dict[str, Callable[[], int]] = {
            "ours": partial(_ours, base_url, numbers),
            "httpx": partial(_httpx, base_url, numbers),
            "dlt": partial(_dlt, base_url, numbers),
        }
        work = {name: partial(_check, read, _USUAL.sessions * len(numbers)) for name, read in contenders.items()}
        rounds = side_by_side(work, rounds=scale.of(7, quick=1))
    title = f"{len(numbers)} parks of {_USUAL.sessions} sessions"
    return [
        rounds.micros_each(f"{title}: ours, a session", "ours", _USUAL.sessions * len(numbers)),
        rounds.ratio(f"{title}: httpx loop + pydantic ÷ ours, CPU", "httpx", "ours"),
        rounds.wall_ratio(f"{title}: httpx loop + pydantic ÷ ours, wall", "httpx", "ours"),
        rounds.ratio(f"{title}: dlt's REST source ÷ ours, CPU", "dlt", "ours"),
        rounds.wall_ratio(f"{title}: dlt's REST source ÷ ours, wall", "dlt", "ours"),
    ]


def _check(read: Callable[[], int], expected: int) -> None:
    assert read() == expected, "not all contenders read the same"


# Each contender opens what it needs and closes it again, as a job that runs once does.


def _ours(base_url: str, numbers: Sequence[int]) -> int:
    async def main() -> int:
        count = 0
        async with loops.connect(base_url, limits=Limits(concurrency=_CONCURRENCY)) as client:
            async for _ in client.sessions(numbers, _MONTH):
                count += 1
        return count

    return asyncio.run(main())


def _httpx(base_url: str, numbers: Sequence[int]) -> int:
    async def main() -> int:
        limits = httpx.Limits(max_connections=_CONCURRENCY)
        async with httpx.AsyncClient(limits=limits) as client:
            chunks = [Chunk(park, _MONTH) for park in numbers]
            return await loops.loop_on_httpx(client, base_url, chunks, concurrency=_CONCURRENCY)

    return asyncio.run(main())


def _dlt(base_url: str, numbers: Sequence[int]) -> int:
    """Up to plain dictionaries: the step that dlt calls extracting, before it normalises and loads."""

    @dlt.resource(name="parks", selected=False)
    def list_parks() -> Iterator[list[dict[str, int]]]:
        yield [{"id": number} for number in numbers]

    config: RESTAPIConfig = {
        "client": {
            "base_url": base_url,
            "auth": {"type": "bearer", "token": "invented"},
            "paginator": {"type": "single_page"},
        },
        "resources": [
            list_parks(),
            {
                "name": "sessions",
                "parallelized": True,
                "endpoint": {
                    "path": "chargingparks/{resources.parks.id}/sessions",
                    "params": {"active": "false", "range": f"{_MONTH.start_ms},{_MONTH.end_ms}"},
                },
            },
        ],
    }
    (sessions,) = (each for each in rest_api_resources(config) if each.name == "sessions")
    records: Iterator[Any] = iter(sessions)
    return sum(1 for _ in records)
