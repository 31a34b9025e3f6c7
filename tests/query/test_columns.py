"""Columns of responses: the same sessions, and the same account, as records of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, cast

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smappee_async import defaults
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import SessionState
from smappee_async.protocol.responses import ColumnRecords, Response, read_sessions
from smappee_async.query import column_responses, columns
from smappee_async.query.account import StreamAccount
from smappee_async.query.columns import ColumnReader
from smappee_async.query.kept import KeptSessions
from smappee_async.query.plan import Chunk
from smappee_async.query.read_chunk import FetchedChunk
from smappee_async.query.select import Selection, select_sessions
from smappee_async.query.target import Target
from smappee_async.tables.parse import ColumnParser
from smappee_async.tables.schema import SCHEMA
from smappee_async.timerange import TimeRange
from tests.rows import row

START, END = 1_709_600_000_000, 1_709_700_000_000
CHUNKS = [
    Chunk(Target(12345), TimeRange.from_ms(START, END)),
    Chunk(Target(12345), TimeRange.from_ms(END, END + 1_000)),
    Chunk(Target(None, "6001"), TimeRange.from_ms(START)),
]


@pytest.fixture(autouse=True)
def _everything_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can: responses of one record too, a few records at a time."""
    monkeypatch.setattr(column_responses, "_FROM_SESSIONS", 1)
    monkeypatch.setattr(columns, "SESSIONS_AT_ONCE", 4)
    monkeypatch.setattr(defaults, "COLUMNS_FROM_BYTES", 0)
    monkeypatch.setattr(column_responses, "_BYTES_AT_ONCE", 200)


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


#: Responses that are split into records first, that are not, and several of those at once.
Way = Literal["split", "whole", "together"]


def as_columns(
    chunks: Sequence[tuple[Chunk, Responses]], state: SessionState, on_invalid: Any, way: Way = "split"
) -> Read:
    """What record batches give."""
    read = Read([], StreamAccount(), [], [], KeptSessions())

    def selection_of(chunk: Chunk, kept: KeptSessions) -> Selection:
        return Selection(chunk, state, read.account, read.told.append, read.conflicts.append, kept.of(chunk.target))

    async def read_whole(reader: ColumnReader, texts: Any, chunk: Chunk) -> Any:
        return await reader.read(response_of(texts), chunk) or texts

    async def give(reader: ColumnReader) -> AsyncIterator[FetchedChunk]:
        given = fetched(chunks)
        if way == "whole":
            for each in given:
                each.responses = [await read_whole(reader, texts, each.chunk) for texts in each.responses]
        elif way == "together":
            reading = [read_whole(reader, texts, each.chunk) for each in given for texts in each.responses]
            read_texts = iter(await asyncio.gather(*reading))
            for each in given:
                each.responses = [next(read_texts) for _ in each.responses]
        for each in given:
            yield each

    async def main() -> None:
        reader = ColumnReader(
            state, on_invalid, read.account, read.kept, selection_of=selection_of, handed_over=lambda _: None
        )
        try:
            async for batch in reader.by_arrival(give(reader)):
                assert batch.schema.equals(SCHEMA, check_metadata=True)
                batch.validate(full=True)
                read.rows += batch.to_pylist()
        except ResponseDecodeError as error:
            read.error = str(error)

    asyncio.run(main())
    return read


def response_of(texts: Sequence[bytes]) -> Response:
    return Response(status=200, body=b"[%b]" % b",".join(texts))


def same(
    chunks: Sequence[tuple[Chunk, Responses]],
    state: SessionState = "all",
    on_invalid: Any = "collect",
    way: Way = "split",
) -> Read:
    """Both ways give the same; returns what columns gave."""
    records, table = as_records(chunks, state, on_invalid), as_columns(chunks, state, on_invalid, way)
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
    return [
        ("{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in each.items()) + "}").encode() for each in found
    ]


odd_texts = st.sampled_from([b"null", b"3", b"[]", b"{}", b'""', b"{", b'{"id":1}', b"true"])
responses = st.lists(
    like_records() | st.lists(records() | odd_texts, max_size=6) | st.lists(records(), max_size=6), max_size=2
)
queries = st.lists(st.tuples(st.sampled_from(CHUNKS), responses), max_size=4)
states = st.sampled_from(["completed", "active", "all"])


@settings(max_examples=60, deadline=None)  # each takes two event loops and a thread
@given(queries, states, st.sampled_from(["collect", "raise"]))
def test_the_rows_and_the_account_are_those_of_the_records(
    chunks: list[tuple[Chunk, Responses]], state: SessionState, on_invalid: str
) -> None:
    same(chunks, state, on_invalid)


@settings(max_examples=120, deadline=None)
@given(queries, states, st.sampled_from(["collect", "raise"]), st.sampled_from(["whole", "together"]))
def test_responses_that_are_not_split_give_the_same(
    chunks: list[tuple[Chunk, Responses]], state: SessionState, on_invalid: str, way: Way
) -> None:
    readable = [(chunk, [texts for each in given if (texts := split(each)) is not None]) for chunk, given in chunks]
    same(readable, state, on_invalid, way)


def split(texts: Sequence[bytes]) -> list[bytes] | None:
    """The records of a response as the client splits it; ``None`` if that is an error."""
    try:
        return list(map(bytes, read_sessions(response_of(texts))))
    except ResponseDecodeError:
        return None


bodies = (
    st.lists(st.sampled_from([*b"[]{},", b'"a":1', b'"all":', b"null", b'{"id":1}', b"\xff", b" "]), max_size=9).map(
        lambda parts: b"".join(part if isinstance(part, bytes) else bytes([part]) for part in parts)
    )
    | responses.flatmap(
        lambda given: st.sampled_from([b"", b"]", b"]} {", b'],"all":[', b"\xff", b"]]"]).map(
            lambda odd: odd.join(b",".join(texts) for texts in given)
        )
    )
).map(lambda text: b"[" + text + b"]")


@settings(deadline=None)
@given(st.lists(like_records(), min_size=1, max_size=3), bodies)
def test_a_response_has_the_same_columns_beside_any_other_one(alike: list[list[bytes]], odd: bytes) -> None:
    given_bodies = [*map(response_of, alike), Response(status=200, body=odd), *map(response_of, alike)]

    async def main() -> tuple[list[Any], list[Any]]:
        at_once, one_by_one = reader(), reader()
        return (
            await asyncio.gather(*(at_once.read(each, CHUNKS[0]) for each in given_bodies)),
            [await one_by_one.read(each, CHUNKS[0]) for each in given_bodies],
        )

    for together, alone in zip(*asyncio.run(main()), strict=True):
        assert rows_of(together) == rows_of(alone)


def rows_of(found: ColumnRecords | None) -> list[Any] | None:
    return None if found is None else [row for part in cast(Any, found.columns) for row in part.batch.to_pylist()]


def test_responses_that_come_meanwhile_are_parsed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_responses, "_BYTES_AT_ONCE", 10_000)
    parsed: list[int] = []
    parse_arrays = ColumnParser.parse_arrays

    def count(parser: ColumnParser, arrays: Any, *rest: Any) -> Any:
        parsed.append(len(arrays))
        return parse_arrays(parser, arrays, *rest)

    monkeypatch.setattr(ColumnParser, "parse_arrays", count)
    texts = {
        chunk: [
            b'{"id":%d,"serialNumber":"6","from":%d,"status":"STOPPED"}' % (number, chunk.time_range.start_ms + number)
            for number in range(first, first + 13)
        ]
        for chunk, first in zip(CHUNKS, (1, 14, 27), strict=True)
    }
    read = same([(chunk, [those]) for chunk, those in texts.items()], way="together")
    assert parsed == [1, 2]
    assert read.account.columnar == 39


@settings(deadline=None)
@given(bodies)
def test_what_cannot_be_split_has_no_columns_either(body: bytes) -> None:
    response = Response(status=200, body=body)
    found = asyncio.run(columns_of(response))
    try:
        texts = read_sessions(response)
    except ResponseDecodeError:
        assert found is None
    else:
        assert found is None or len(found) == len(texts)


async def columns_of(response: Response) -> ColumnRecords | None:
    return await reader().read(response, CHUNKS[0])


def reader() -> ColumnReader:
    return ColumnReader(
        "all",
        "collect",
        StreamAccount(),
        KeptSessions(),
        selection_of=lambda _, __: pytest.fail("nothing is selected here"),
        handed_over=lambda _: None,
    )


def test_a_response_is_read_into_columns_without_splitting_it() -> None:
    texts = [
        b'{"id":%d,"serialNumber":"6","from":%d,"status":"STOPPED","to":%d}' % (number, START + number, END)
        for number in range(1, 40)
    ]
    found = asyncio.run(columns_of(response_of(texts)))
    assert found is not None
    assert (len(found), found.first_ms, found.last_ms) == (39, START + 1, START + 39)
    assert len(found.columns) > 1
    assert same([(CHUNKS[0], [texts])], way="whole").account.columnar == 39


def test_a_text_that_looks_like_the_end_of_a_record_is_read_all_the_same() -> None:
    texts = [
        b'{"id":%d,"serialNumber":"6","from":%d,"status":"STOPPED","to":%d,"rfid":"},{"}' % (number, START, END)
        for number in range(1, 40)
    ]
    read = same([(CHUNKS[0], [texts])], way="whole")
    assert len(read.rows) == 39


def test_a_response_with_an_id_twice_is_read_as_records() -> None:
    texts = [
        b'{"id":%d,"serialNumber":"6","from":%d,"status":"STOPPED","to":%d}' % (number, START, END)
        for number in (*range(1, 30), 1, *range(30, 40))
    ]
    read = same([(CHUNKS[0], [texts])], way="whole")
    assert read.account.stats.duplicates == 1
    assert 0 < read.account.columnar < 39


def test_texts_that_are_not_utf_8_have_no_columns() -> None:
    text = b'{"id":1,"serialNumber":"6","from":%d,"status":"STOPPED","rfid":"%b"}'
    body = b"[%b,%b]" % (text % (START, b"A"), text % (START, b"\xff"))
    assert asyncio.run(columns_of(Response(status=200, body=body))) is None
