"""Columns of responses: the same sessions, and the same account, as records of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async.errors import ResponseDecodeError
from smappee_async.models import SessionState
from smappee_async.query import columns
from smappee_async.query.account import StreamAccount
from smappee_async.query.columns import ColumnReader
from smappee_async.query.kept import KeptSessions
from smappee_async.query.plan import Chunk
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.select import Selection, select_sessions
from smappee_async.query.target import Target
from smappee_async.tables.schema import SCHEMA
from smappee_async.timerange import TimeRange

from ..rows import row

START, END = 1_709_600_000_000, 1_709_700_000_000
CHUNKS = [
    Chunk(Target(12345), TimeRange.from_ms(START, END)),
    Chunk(Target(12345), TimeRange.from_ms(END, END + 1_000)),
    Chunk(Target(None, "6001"), TimeRange.from_ms(START)),
]


@pytest.fixture(autouse=True)
def _everything_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can: responses of one record too, a few records at a time."""
    monkeypatch.setattr(columns, "_STRAIGHT_FROM", 1)
    monkeypatch.setattr(columns, "_STRAIGHT_AT_ONCE", 4)


# --- reading in both ways ---------------------------------------------------------------------------------------------


@attrs.define
class Read:
    """What a query gave."""

    rows: list[dict[str, object]]
    account: StreamAccount
    told: list[str]
    conflicts: list[Chunk]
    kept: KeptSessions
    error: str | None = None


Responses = Sequence[Sequence[bytes]]


def fetched(chunks: Sequence[tuple[Chunk, Responses]]) -> list[FetchedChunk]:
    given_chunks = [chunk for chunk, _ in chunks]
    return [
        FetchedChunk(
            chunk,
            [[msgspec.Raw(text) for text in response] for response in responses],
            slowest_s=0,
            asked_at_ms=END,
            has_more=any(later.target == chunk.target for later in given_chunks[number:]),
        )
        for number, (chunk, responses) in enumerate(chunks, 1)
    ]


def as_records(chunks: Sequence[tuple[Chunk, Responses]], state: SessionState, on_invalid: Any) -> Read:
    read = Read([], StreamAccount(), [], [], KeptSessions())
    try:
        for each in fetched(chunks):
            for sessions, _ in select_sessions(
                each.chunk,
                each.responses,
                state,
                read.account,
                on_invalid=on_invalid,
                on_unknown_status=read.told.append,
                on_conflict=read.conflicts.append,
                kept=read.kept,
                has_more=each.has_more,
            ):
                read.rows += map(row, sessions)
                read.account.sessions += len(sessions)
    except ResponseDecodeError as error:
        read.error = str(error)
    return read


def as_columns(chunks: Sequence[tuple[Chunk, Responses]], state: SessionState, on_invalid: Any) -> Read:
    read = Read([], StreamAccount(), [], [], KeptSessions())

    def selection_of(chunk: Chunk, kept: KeptSessions) -> Selection:
        return Selection(
            chunk, state, read.account, read.told.append, read.conflicts.append, kept.of(chunk.target)
        )

    async def give() -> AsyncIterator[FetchedChunk]:
        for each in fetched(chunks):
            yield each

    async def main() -> None:
        reader = ColumnReader(
            state, on_invalid, read.account, read.kept, selection_of=selection_of, handed_over=lambda _: None
        )
        try:
            async for batch in reader.by_arrival(give()):
                assert batch.schema.equals(SCHEMA, check_metadata=True)
                batch.validate(full=True)
                read.rows += batch.to_pylist()
        except ResponseDecodeError as error:
            read.error = str(error)

    asyncio.run(main())
    return read


def same(chunks: Sequence[tuple[Chunk, Responses]], state: SessionState = "all", on_invalid: Any = "collect") -> Read:
    """Both ways give the same; returns what columns gave."""
    records, table = as_records(chunks, state, on_invalid), as_columns(chunks, state, on_invalid)
    assert table.error == records.error
    if table.error is not None:
        # How many sessions come before the record that cannot be read depends on how responses are sliced.
        shorter, longer = sorted((table.rows, records.rows), key=len)
        assert longer[: len(shorter)] == shorter
        return table
    assert (table.told, table.conflicts) == (records.told, records.conflicts)
    assert table.rows == records.rows
    columnar, table.account.columnar = table.account.columnar, 0
    assert table.account.stats == records.account.stats
    table.account.columnar = columnar
    assert [each.raw for each in table.account.invalid] == [each.raw for each in records.account.invalid]
    assert len(table.kept) == len(records.kept)
    return table


# --- arbitrary responses ----------------------------------------------------------------------------------------------

texts = st.sampled_from(['"A"', '""', '"=1"', '"\\u00e9"', '"é"', '"\\ud83d\\ude00"', '"a\\"b\\\\c\\n"', '"null"'])
integers = st.integers(-(2**63), 2**63 - 1).map(str)
floats = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.floats(0, 1e6).map(lambda kwh: f"{kwh:.6f}")
numbers = integers | floats | st.sampled_from(["0", "-0", "-0.0", "1e2", "1E-7", "0.1e1", "14.249999999999986"])
odd = st.sampled_from(
    ["null", "true", '"7"', '"1.5"', "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "[]", "{}", "[null]",
     '{"a":1}', str(2**63), str(-(2**63) - 1), "123456789012345678901234567890", "1.0", '"\\ud800"', "01", "", "nul"]
)  # fmt: skip
wild = numbers | texts | odd

START_TIMES = st.integers(START - 2, START + 10) | st.integers(END - 2, END + 10)


required = {
    "id": st.integers(1, 12).map(str),
    "serialNumber": st.sampled_from(['"6"', '"7"']),
    "from": START_TIMES.map(str),
    "status": st.sampled_from(['"STOPPED"', '"CHARGING"', '"PARKED"', '""']),
}
optional = {
    "to": st.sampled_from(["null", "0", str(END + 20), str(END + 30)]),
    "connector": integers,
    "userId": integers,
    "priority": st.sampled_from(["1", "-1"]),
    "minimumExcessPercentage": st.sampled_from(["10", "null"]),
    "startReading": floats,
    "stopReading": floats,
    "energy": floats,
    "range": numbers,
    "duration": numbers,
    "authenticationType": texts,
    "csmsTransactionId": texts,
    "smartMode": texts,
    "rfid": texts,
    "suspendedByUser": st.sampled_from(["true", "false"]),
    "externalControl": st.sampled_from(["true", "false", "null"]),
    "maxAmperes": st.lists(numbers, max_size=3).map(lambda each: f"[{','.join(each)}]"),
    "price": floats | st.just("null"),
    "a name": texts,
    "é": st.sampled_from(["1", "2"]),
    "green": st.sampled_from(["true", "false"]),
    "tariff": st.sampled_from(['{"day":[1,null]}', '"A"']),
}


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """The JSON text of a record; some are odd in one field or two."""
    pairs = {key: draw(values) for key, values in required.items()}
    names = draw(st.lists(st.sampled_from(sorted(optional)), max_size=6, unique=True))
    pairs |= {name: draw(optional[name]) for name in names}
    for key in draw(st.just([]) | st.lists(st.sampled_from([*required, *optional]), max_size=2)):
        pairs[key] = draw(wild)
    if draw(st.integers(0, 30)) == 0:
        del pairs[draw(st.sampled_from(sorted(pairs)))]
    body = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{value}" for key, value in pairs.items())
    if draw(st.integers(0, 30)) == 0:
        body += ',"id":1'
    return f"{{{body}}}".encode()


@st.composite
def like_records(draw: st.DrawFn) -> list[bytes]:
    """Records as one service writes them, which have the same keys."""
    names = draw(st.lists(st.sampled_from(sorted(optional)), max_size=8, unique=True))
    fields = required | {name: optional[name] for name in names}
    found = draw(st.lists(st.fixed_dictionaries(fields), min_size=1, max_size=9))
    return [("{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in each.items()) + "}").encode() for each in found]


odd_texts = st.sampled_from([b"null", b"3", b"[]", b"{}", b'""', b"{", b'{"id":1}', b"true"])
responses = st.lists(like_records() | st.lists(records() | odd_texts, max_size=6) | st.lists(records(), max_size=6), max_size=2)
queries = st.lists(st.tuples(st.sampled_from(CHUNKS), responses), max_size=4)
states = st.sampled_from(["completed", "active", "all"])


@settings(max_examples=60, deadline=None)  # each takes two event loops and a thread
@given(queries, states, st.sampled_from(["collect", "raise"]))
def test_the_rows_and_the_account_are_those_of_the_records(
    chunks: list[tuple[Chunk, Responses]], state: SessionState, on_invalid: str
) -> None:
    same(chunks, state, on_invalid)
