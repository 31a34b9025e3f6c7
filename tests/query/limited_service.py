"""A service with a silent limit, as a function of the request: no HTTP, so that many cases are tried in a second."""

from __future__ import annotations

import asyncio
import random
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import attrs

from smappee_async import TimeRange
from smappee_async.errors import SmappeeError
from smappee_async.events import EventReporter
from smappee_async.models import SessionState
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import ColumnRecords, Response, SessionRecords
from smappee_async.protocol.wire import WireRecords
from smappee_async.query.account import StreamAccount
from smappee_async.query.fetch import Fetcher
from smappee_async.query.plan import Plan
from smappee_async.query.read_chunk import ChunkReader
from smappee_async.query.target import Target
from smappee_async.query.truncation import TruncationCheck
from smappee_async.transport.call import CallResult

BEGIN_MS = 1_767_225_600_000
DAY_MS = 86_400_000
Keeps = Literal["newest", "oldest", "some"]


@attrs.define
class Limit:
    """At which size a service stops, and which sessions it keeps."""

    sessions: int | None = None
    size_bytes: int | None = None
    keeps: Keeps = "newest"

    def of(self, records: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        """The records that are kept, of all in the order of their start."""
        kept = list(records)
        if self.keeps == "newest":
            kept.reverse()
        elif self.keeps == "some":
            kept.sort(key=lambda record: hash((record[0], "mixed")))
        if self.sessions is not None:
            del kept[self.sessions :]
        if self.size_bytes is not None:
            size_bytes = 2
            for number, (_, _, text) in enumerate(kept):
                size_bytes += len(text) + 1
                if size_bytes > self.size_bytes:
                    del kept[number:]
                    break
        return kept


@attrs.define
class LimitedService:
    """Stands for the caller of a client.

    :param starts: the starts of each park's sessions.
    :param limits: of each park; a park that is not named has none.
    :param ignores: which part of a range has no effect.
    :param repeats: how many records of a response stand in it twice.
    :param growing: called before each response with the number of requests so far.
    """

    starts: Mapping[int, Sequence[int]]
    limits: Mapping[int, Limit] = attrs.field(factory=dict)
    ignores: Literal["nothing", "end", "range"] = "nothing"
    repeats: int = 0
    growing: Callable[[LimitedService], None] | None = None
    requests: int = 0
    records: dict[int, list[tuple[int, int, bytes]]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.records = {}
        for park, starts in self.starts.items():
            self.records[park] = []
            for start_ms in sorted(starts):
                self.add(park, start_ms)

    def add(self, park: int, start_ms: int) -> None:
        """One more session; its record is longer or shorter by chance."""
        records = self.records[park]
        number = park * 1_000_000 + len(records) + 1
        padding = "x" * (204 + number * 7919 % 61)
        text = b'{"id":%d,"from":%d,"status":"STOPPED","serialNumber":"%s"}' % (number, start_ms, padding.encode())
        insort(records, (start_ms, number, text))

    def truth(self, ranges: Mapping[int, TimeRange]) -> list[int]:
        """The ids of the sessions in some ranges."""
        return sorted(
            number
            for park, time_range in ranges.items()
            for start_ms, number, _ in self.records[park]
            if time_range.contains_ms(start_ms)
        )

    async def call(self, request: Any, read: Any, **options: Any) -> CallResult[Any]:
        """What the caller of a client does, without a network."""
        await asyncio.sleep(0)
        self.requests += 1
        options["add_cost_to"].requests += 1
        if self.growing is not None:
            self.growing(self)
        url = urlsplit(request.url)
        park = int(url.path.split("/")[-2])
        query = parse_qs(url.query)
        start_ms, _, end_ms = query["range"][0].partition(",")
        asked = TimeRange.from_ms(int(start_ms), int(end_ms) if end_ms and self.ignores == "nothing" else None)
        selected = [record for record in self.records[park] if self.ignores == "range" or asked.contains_ms(record[0])]
        if query["active"][0] == "true":
            selected = []
        kept = self.limits.get(park, Limit()).of(selected)
        kept += kept[: self.repeats]
        body = b"[" + b",".join(text for _, _, text in kept) + b"]"
        steps = read(Response(status=200, body=body))
        if not isinstance(steps, GeneratorType):
            return CallResult(steps, 0.0, 200, {})
        while True:
            try:
                next(steps)
            except StopIteration as done:
                return CallResult(done.value, 0.0, 200, {})


def _sessions(response: SessionRecords) -> Sequence[Any]:
    assert not isinstance(response, ColumnRecords)
    records = response if isinstance(response, WireRecords) else SESSION_READER.decode(response)
    assert records is not None
    return records.wires


@attrs.define
class Outcome:
    """What a stream handed over.

    :param ids: of the sessions, in ascending order, each as often as it came.
    """

    ids: list[int]
    error: SmappeeError | None
    failures: list[TimeRange | None]


async def read_all(
    service: LimitedService,
    ranges: Mapping[int, TimeRange],
    truncation: TruncationCheck,
    *,
    state: SessionState = "completed",
    concurrency: int = 8,
    target_sessions: int = 2_000,
    on_error: Literal["raise", "collect"] = "raise",
) -> Outcome:
    """Read ranges as a stream does."""
    account = StreamAccount()
    reader = ChunkReader(
        service,  # type: ignore[arg-type]
        "https://127.0.0.1/dev/v3",
        state,
        truncation=truncation,
        reporter=EventReporter(None),
        cost=account.cost,
        deadline_at=None,
        stream_id=None,
    )
    plan = Plan(
        {Target(park): [time_range] for park, time_range in ranges.items()},
        target_sessions=target_sessions,
        now_ms=BEGIN_MS + 400 * DAY_MS,
    )
    fetcher = Fetcher(
        plan,
        reader.read,
        truncation=truncation,
        account=account,
        concurrency=concurrency,
        on_error=on_error,
        in_order=False,
        on_split=lambda error: None,
    )
    ids: list[int] = []
    error: SmappeeError | None = None
    try:
        while (fetched := await fetcher.take()) is not None:
            seen: set[int] = set()
            for response in fetched.responses:
                for session in _sessions(response):
                    if fetched.chunk.time_range.contains_ms(session.from_ms) and session.id not in seen:
                        seen.add(session.id)
                        ids.append(session.id)
    except SmappeeError as raised:
        error = raised
    finally:
        await fetcher.aclose()
    return Outcome(sorted(ids), error, [failure.time_range for failure in account.failures])


def by_chance(count: int, seed: int, days: float = 365) -> list[int]:
    """Starts of so many sessions: more by day than at night, and some at once."""
    chance = random.Random(seed)
    length_ms = int(days * DAY_MS)
    starts = []
    for _ in range(count):
        start_ms = BEGIN_MS + chance.randrange(length_ms)
        if chance.random() < 0.7:
            start_ms = start_ms - start_ms % DAY_MS + chance.randrange(8, 20) * 3_600_000 + chance.randrange(3_600_000)
        starts.append(min(start_ms, BEGIN_MS + length_ms - 1))
    return starts
