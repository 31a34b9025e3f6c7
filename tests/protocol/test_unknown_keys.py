"""Keys that no field has are learnt: what comes out is as before, and costs less."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ChargingSession
from smappee_async.models import NOTHING_EXTRA
from smappee_async.protocol.converter import RecordReader

BEGUN = {"id": 7, "serialNumber": 582, "from": 1_772_323_200_000, "status": "STOPPED"}
KNOWN = set(RecordReader(ChargingSession).format.keys.values())

names = st.sampled_from(["tariff", "site", "_x", "serial_number", "from_ms", "learnt_0", "extra", "a b", "é", ""])
keys = names | st.text(max_size=5).filter(lambda key: key not in KNOWN)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
extras = st.dictionaries(keys, values, max_size=4)


def body(several: list[dict[str, Any]]) -> bytes:
    return json.dumps([BEGUN | extra for extra in several]).encode()


def read(reader: RecordReader[ChargingSession], several: list[dict[str, Any]]) -> list[ChargingSession]:
    records = reader.format.decode(body(several))
    assert records is not None
    return records.build(1001)


@given(st.lists(st.lists(extras, max_size=4), max_size=4))
def test_unknown_keys_are_the_same_however_often_they_were_met(responses: list[list[dict[str, Any]]]) -> None:
    reader = RecordReader(ChargingSession)
    for several in responses:
        expected = msgspec.json.decode(json.dumps(several))
        assert [dict(session.extra) for session in read(reader, several)] == expected


def test_a_key_that_was_met_is_decoded_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = RecordReader(ChargingSession)
    read(reader, [{"tariff": "night"}])

    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded once more")

    monkeypatch.setattr(reader.format, "_decode_unknown", refuse)
    sessions = read(reader, [{"tariff": "day"}, {}, {"tariff": None}])

    assert [dict(session.extra) for session in sessions] == [{"tariff": "day"}, {}, {"tariff": None}]
    assert sessions[1].extra is NOTHING_EXTRA


def test_no_more_than_thirty_two_keys_are_learnt() -> None:
    reader = RecordReader(ChargingSession)
    for number in range(100):
        extra = {f"key{number}": number}
        assert [dict(session.extra) for session in read(reader, [extra])] == [extra]
    assert len(reader.format._decoding.learnt) == 32


@pytest.mark.parametrize("key", ["a b", "é", "", "x" * 65, 'x"; import os', "1st"])
def test_a_key_that_is_no_plain_name_is_kept_and_not_learnt(key: str) -> None:
    reader = RecordReader(ChargingSession)
    assert [dict(session.extra) for session in read(reader, [{key: 1}, {"plain": 2}])] == [{key: 1}, {"plain": 2}]
    assert reader.format._decoding.learnt == ()


def test_a_record_of_a_wrong_type_is_refused_after_keys_were_learnt() -> None:
    reader = RecordReader(ChargingSession)
    read(reader, [{"tariff": "night"}])
    assert reader.format.decode(body([{"tariff": "night", "status": 5}])) is None
