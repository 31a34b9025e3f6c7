"""A small response is decoded in one go; what is handed over does not depend on that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import SLICE_SESSIONS, SMALL_BODY_BYTES
from smappee_async.models import ChargingSession
from smappee_async.protocol.responses import Response, SessionRecords, decode_sessions, read_sessions
from smappee_async.query.account import StreamAccount
from smappee_async.query.plan import Chunk
from smappee_async.query.select import select_sessions
from smappee_async.query.target import Target
from smappee_async.query.truncation import may_ignore
from smappee_async.timerange import TimeRange

START, END = 1_709_600_000_000, 1_709_700_000_000
CHUNK = Chunk(Target(12345), TimeRange.from_ms(START, END))

#: Few ids and starts, so that records repeat, and some lie outside of the range; some cannot be read.
RECORDS = st.fixed_dictionaries(
    {
        "id": st.sampled_from([1, 2, 3]) | st.integers(min_value=4),
        "serialNumber": st.sampled_from([6, "6", "7"]),
        "from": st.sampled_from([START - 1, START, END - 1, END]) | st.integers(START, END),
        "status": st.sampled_from(["STOPPED", "CHARGING", "NEW_ONE"]),
    },
    optional={
        "to": st.integers(END, END + 5) | st.none(),
        "rfid": st.text(max_size=3) | st.booleans(),
        "first unknown": st.text(max_size=3) | st.lists(st.integers(), max_size=2),
        "second": st.none() | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    },
)
ODD = st.sampled_from([{}, 7, None, {"id": "x"}, {"id": 1, "from": START, "status": "STOPPED"}])
BODIES = st.lists(RECORDS | ODD, max_size=12) | st.lists(RECORDS, max_size=12)


def response(records: list[Any], indent: int | None = None, status: int = 200) -> Response:
    return Response(status=status, body=json.dumps(records, indent=indent, ensure_ascii=False).encode())


def whole(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "serialNumber": "6", "from": START, "to": END, "status": "STOPPED", **more}


def selected(responses: list[SessionRecords]) -> tuple[list[ChargingSession], StreamAccount, list[str], list[Chunk]]:
    account, told, conflicts = StreamAccount(), list[str](), list[Chunk]()
    slices = select_sessions(
        CHUNK,
        responses,
        "all",
        account,
        on_invalid="collect",
        on_unknown_status=told.append,
        on_conflict=conflicts.append,
    )
    return [session for sessions, _ in slices for session in sessions], account, told, conflicts


@given(st.lists(BODIES, max_size=2), st.sampled_from([None, 1]))
def test_what_is_handed_over_and_counted_is_the_same_as_of_records_that_are_decoded_later(
    bodies: list[list[Any]], indent: int | None
) -> None:
    responses = [response(body, indent) for body in bodies]
    at_once: list[SessionRecords] = []
    for each in responses:
        decoded = decode_sessions(each)
        at_once.append(read_sessions(each) if decoded is None else decoded)
    found, account, told, conflicts = selected(at_once)
    others, other_account, other_told, other_conflicts = selected([read_sessions(each) for each in responses])
    assert found == others
    assert [session.extra for session in found] == [session.extra for session in others]
    assert account.stats == other_account.stats
    assert [each.raw for each in account.invalid] == [each.raw for each in other_account.invalid]
    assert (told, conflicts) == (other_told, other_conflicts)


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_the_look_at_the_edges_of_a_range_finds_the_same(records: list[Any]) -> None:
    each = response(records)
    decoded = decode_sessions(each)
    assert decoded is None or may_ignore(CHUNK.time_range, decoded) == may_ignore(CHUNK.time_range, read_sessions(each))


@pytest.mark.parametrize(
    "records", [[], [whole()], [whole(more=1), whole(2)], [whole(n) for n in range(SLICE_SESSIONS)]]
)
def test_a_small_response_is_decoded_in_one_go(records: list[Any]) -> None:
    decoded = decode_sessions(response(records))
    assert decoded is not None
    assert len(decoded) == len(records)


@pytest.mark.parametrize(
    "other",
    [
        response([whole(number) for number in range(SLICE_SESSIONS + 1)]),
        response([whole(note="x" * SMALL_BODY_BYTES)]),
        response([whole(), {}]),
        response([whole()], status=503),
        Response(status=200, body=b""),
        Response(status=200, body=b'["\xff"]'),
        Response(status=200, body=b"[" * 10_000),
        Response(status=204, body=b""),
    ],
    ids=["many", "large", "odd", "no success", "empty", "no UTF-8", "nested", "no content"],
)
def test_any_other_response_is_not(other: Response) -> None:
    assert decode_sessions(other) is None
