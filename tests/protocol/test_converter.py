"""From JSON to records: tolerant of what is new, strict about what is wrong, silent about what it read."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import EARLIEST_MS, LATEST_MS
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import ChargingSession, EpochMs, FrozenDict, Number, SerialNumber, SessionStatus
from smappee_async.protocol.converter import (
    SERVICE_LOCATION_INFO_READER,
    SERVICE_LOCATION_READER,
    SESSION_READER,
    converter,
)
from smappee_async.simulator.wire_fields import WIRE_NAMES

from .records import OPTIONAL, PYTHON_NAMES, SMALLEST, TYPES, Record, json_values, valid_records

PERSONAL = "PERSONAL-CARD-77"

DOCUMENTED: Record = {
    "id": 123,
    "serialNumber": 5820999999,
    "authenticationType": "RFID",
    "rfid": "TESTCARD01",
    "csmsTransactionId": "",
    "from": 1635721200000,
    "to": 1637190000000,
    "status": "STOPPED",
    "range": 100,
    "duration": 2,
    "priority": 100,
    "startReading": 100.96,
    "stopReading": 115.21,
}
COMPLETED: Record = {
    "id": 880001,
    "serialNumber": "6120009999",
    "connector": 1,
    "authenticationType": "RFID",
    "rfid": "TESTCARD01",
    "userId": 4242,
    "from": 1709622000000,
    "to": 1709640000000,
    "status": "STOPPED",
    "suspendedByUser": False,
    "smartMode": "<unknown>",
    "priority": 50,
    "minimumExcessPercentage": 100,
    "maxAmperes": [16, 16, 16],
    "startReading": 1520.4,
    "stopReading": 1538.9,
    "energy": 18.5,
}
RUNNING: Record = {
    "id": 880002,
    "serialNumber": "6120009999",
    "connector": 2,
    "authenticationType": "RFID",
    "rfid": "TESTCARD02",
    "from": 1709650000000,
    "status": "CHARGING",
    "suspendedByUser": False,
    "smartMode": "<unknown>",
    "priority": 50,
    "minimumExcessPercentage": 0,
    "maxAmperes": [32],
    "startReading": 1538.9,
    "energy": 3.2,
}
UNAUTHENTICATED: Record = {
    "id": 880003,
    "serialNumber": "6220001111",
    "connector": 1,
    "from": 1709560000000,
    "to": 1709567200000,
    "status": "STOPPED",
    "suspendedByUser": False,
    "externalControl": False,
    "smartMode": "<unknown>",
    "priority": 50,
    "minimumExcessPercentage": 100,
    "maxAmperes": [16],
    "startReading": 75.0,
    "stopReading": 82.4,
    "energy": 7.4,
}
SUSPENDED: Record = {
    "id": 880004,
    "serialNumber": "6220001111",
    "connector": 1,
    "from": 1709600000000,
    "status": "SUSPENDED",
    "suspendedByUser": True,
    "smartMode": "<unknown>",
    "priority": 50,
    "minimumExcessPercentage": 100,
    "maxAmperes": [16],
    "startReading": 82.4,
    "energy": 0.0,
}
SHAPES = [DOCUMENTED, COMPLETED, RUNNING, UNAUTHENTICATED, SUSPENDED]


def raw(record: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(record).encode())


def with_text(**texts: str) -> msgspec.Raw:
    """The smallest record with values that are JSON as it stands."""
    members = {name: json.dumps(value) for name, value in SMALLEST.items()} | texts
    return msgspec.Raw(("{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}").encode())


def read(record: object) -> ChargingSession:
    return SESSION_READER.read(raw(record))


# --- the known shapes -------------------------------------------------------------------------------------------------


def test_the_documented_example_is_read() -> None:
    assert read(DOCUMENTED) == ChargingSession(
        id=123,
        serial_number="5820999999",
        authentication_type="RFID",
        rfid="TESTCARD01",
        csms_transaction_id="",
        from_ms=1635721200000,
        to_ms=1637190000000,
        status=SessionStatus.STOPPED,
        range=100,
        duration=2,
        priority=100,
        start_reading=100.96,
        stop_reading=115.21,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=["documented", "completed", "running", "unauthenticated", "suspended"])
def test_every_shape_is_read_with_every_value_and_nothing_else(shape: Record) -> None:
    expected = {PYTHON_NAMES[name]: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}
    expected["serial_number"] = str(shape["serialNumber"])
    nothing: Record = {field.name: None for field in attrs.fields(ChargingSession)} | {"extra": {}}
    assert attrs.asdict(read(shape)) == nothing | expected


@pytest.mark.parametrize("serial_number", [5820999999, "5820999999"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_serial_number_is_read_as_number_and_as_text(shape: Record, serial_number: object) -> None:
    assert read({**shape, "serialNumber": serial_number}).serial_number == "5820999999"


def test_a_serial_number_in_text_keeps_its_leading_zeros() -> None:
    assert read({**SMALLEST, "serialNumber": "0062"}).serial_number == "0062"


@pytest.mark.parametrize("more", [{}, {"new": 1}], ids=["known keys", "an unknown key"])
def test_the_client_adds_the_park(more: Record) -> None:
    assert SESSION_READER.read(raw({**SMALLEST, **more}), 12345).service_location_id == 12345


def test_the_added_park_wins_over_a_key_of_its_name() -> None:
    session = SESSION_READER.read(raw({**SMALLEST, "service_location_id": 9, "extra": 8}), 12345)
    assert session.service_location_id == 12345
    assert session.extra == {"service_location_id": 9, "extra": 8}


# --- tolerant ---------------------------------------------------------------------------------------------------------


def test_unknown_keys_are_kept_in_their_order() -> None:
    unknown = {"zulu": None, "alpha": [1, {"b": True}], "Id": 2.5, "from_ms": "x", "": ""}
    session = read({**unknown, **SMALLEST})
    assert session.extra == unknown
    assert list(session.extra) == list(unknown)
    assert type(session.extra) is FrozenDict
    assert session.id == SMALLEST["id"]


@pytest.mark.parametrize("more", [{}, {"new": 1}], ids=["known keys", "an unknown key"])
def test_an_unknown_status_keeps_its_text(more: Record) -> None:
    status = read({**SMALLEST, "status": "FINISHED", **more}).status
    assert (status, status.is_known) == ("FINISHED", False)


def test_reading_unknown_statuses_does_not_make_the_enum_grow() -> None:
    for number in range(100):
        read({**SMALLEST, "status": f"NEW{number}"})
    assert len(SessionStatus._value2member_map_) == len(SessionStatus.__members__) == len(list(SessionStatus))


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_is_the_same_as_an_absent_key_where_it_is_optional(name: str) -> None:
    assert read({**SMALLEST, name: None}) == read(SMALLEST)


@pytest.mark.parametrize("none", [0, "0", None])
def test_an_end_of_0_is_no_end(none: object) -> None:
    """R45."""
    assert read({**SMALLEST, "to": none}) == read(SMALLEST)
    assert converter.structure({**SMALLEST, "to": none}, ChargingSession).to_ms is None


@pytest.mark.parametrize("text", ["0.0", "false", "-1", '""', '"00"', "1"])
def test_nothing_else_is_no_end(text: str) -> None:
    with pytest.raises(ResponseDecodeError, match="expected") as caught:
        SESSION_READER.read(with_text(to=text))
    assert caught.value.json_path == "$.to"


def test_a_start_of_0_is_refused() -> None:
    with pytest.raises(ResponseDecodeError, match="expected") as caught:
        read({**SMALLEST, "from": 0})
    assert caught.value.json_path == "$.from"


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    twice = b'{"id":1,"id":2,"serialNumber":"6","from":1709560000000,"status":"STOPPED"}'
    assert SESSION_READER.read(twice).id == 2


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("id", "880003", 880003),
        ("from", "1709560000000", 1709560000000),
        ("to", "1709567200000", 1709567200000),
        ("connector", "-1", -1),
        ("energy", "18.5", 18.5),
        ("startReading", "75", 75.0),
        ("stopReading", "1.5e3", 1500.0),
        ("range", "100", 100),
        ("duration", "2.5", 2.5),
    ],
)
def test_a_number_written_as_text_is_read(name: str, text: str, value: float) -> None:
    found = getattr(read({**SMALLEST, name: text}), PYTHON_NAMES[name])
    assert found == value
    assert type(found) is type(value)


def test_amperes_written_as_text_are_read() -> None:
    assert read({**SMALLEST, "maxAmperes": ["16", 16.5, "6.5"]}).max_amperes == (16, 16.5, 6.5)


@pytest.mark.parametrize("whole", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_large_whole_numbers_stay_exact(whole: int) -> None:
    assert read({**SMALLEST, "userId": whole}).user_id == whole


@pytest.mark.parametrize("whole", [2**64, 10**30])
def test_whole_numbers_beyond_64_bits_stay_exact_where_any_number_will_do(whole: int) -> None:
    assert read({**SMALLEST, "range": whole}).range == whole


def test_a_whole_reading_becomes_a_float() -> None:
    assert type(read({**SMALLEST, "energy": 7}).energy) is float


# --- strict -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_a_required_key_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ResponseDecodeError, match="a required key is missing") as caught:
        read({key: value for key, value in SMALLEST.items() if key != name})
    assert caught.value.json_path == f"$.{name}"


WHOLE = ["true", "false", "1.0", "1.5", "1e2", '""', '"1.0"', '"1_000"', '" 1"', '"१२"', '"0x1"', "[]", "{}", str(2**63), f"{-(2**63) - 1}"]  # fmt: skip
TIME = ["true", "1709622000", "1709622000000.0", "-1709622000000", '"1709622000"', '"2024-03-05T07:00:00Z"', str(EARLIEST_MS - 1), str(LATEST_MS), "{}"]  # fmt: skip
NUMBER = ["true", "false", '"true"', '"nan"', '"inf"', '"-Infinity"', '"1e999"', '""', '"1,5"', '" 1"', '"1_0"', "[]", "[1]", "{}", "1" + "0" * 400]  # fmt: skip
TEXT = ["true", "1", "1.5", "[]", "{}", '["a"]']
FLAG = ["0", "1", '"true"', '"false"', '""', "[]", "{}"]
LIST = [
    '"123"',
    '"16"',
    "16",
    "true",
    "{}",
    '{"0":16}',
    "[true]",
    "[null]",
    '["a"]',
    "[[16]]",
    "[16,{}]",
    '["nan"]',
    "[1" + "0" * 400 + "]",
]
REFUSED_BY_TYPE = [
    (int, WHOLE),
    (SerialNumber, ["null", "true", "-1", "5820999999.0", '""', "[]", "{}", str(2**63)]),
    (EpochMs, TIME),
    (SessionStatus, TEXT),
    (float, NUMBER),
    (Number, NUMBER),
    (str, TEXT),
    (bool, FLAG),
    (tuple[Number, ...], LIST),
]
REFUSED = {
    key: [*texts, *(["null"] if key in SMALLEST else [])]
    for key, kind in TYPES.items()
    for of_type, texts in REFUSED_BY_TYPE
    if kind == of_type
}


def test_the_table_of_refusals_covers_every_field_on_the_wire() -> None:
    assert REFUSED.keys() == set(WIRE_NAMES.values())


def test_every_field_but_what_the_client_adds_is_on_the_wire_under_the_services_key() -> None:
    added = {"service_location_id", "extra"}
    assert {field.name for field in attrs.fields(ChargingSession)} - added == WIRE_NAMES.keys()
    assert dict(SESSION_READER.format.keys) == WIRE_NAMES


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_nothing_is_coerced_quietly(name: str, text: str) -> None:
    with pytest.raises(ResponseDecodeError, match="expected") as caught:
        SESSION_READER.read(with_text(**{name: text}))
    assert str(caught.value.json_path).partition("[")[0] == f"$.{name}"


def test_an_item_that_is_no_number_is_named_by_its_index() -> None:
    with pytest.raises(ResponseDecodeError, match="expected a number") as caught:
        read({**SMALLEST, "maxAmperes": [16, 16, True]})
    assert caught.value.json_path == "$.maxAmperes[2]"


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x10", "01", "+1", ".5", "1" + "0" * 5000]
)
def test_numbers_that_json_does_not_have_make_the_record_unreadable(text: str) -> None:
    with pytest.raises(ResponseDecodeError, match="not valid JSON") as caught:
        SESSION_READER.read(with_text(energy=text))
    assert caught.value.json_path == "$"


@pytest.mark.parametrize("text", ["null", "true", "5", '"text"', "[]", "[{}]"])
def test_a_record_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ResponseDecodeError, match="expected an object") as caught:
        SESSION_READER.read(text.encode())
    assert caught.value.json_path == "$"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b'{"rfid":"\xff"}', b'{"rfid":"\\ud800"}', b"{'id':1}", b'{"id":1,}']
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ResponseDecodeError, match="not valid JSON"):
        SESSION_READER.read(text)


def test_bytes_that_are_not_utf8_are_refused_in_a_field_that_is_read_at_once() -> None:
    with pytest.raises(ResponseDecodeError, match="not valid JSON"):
        SESSION_READER.read(json.dumps({**SMALLEST, "rfid": "?"}).encode().replace(b"?", b"\xff"))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_record_that_is_nested_too_deeply_is_refused(opening: bytes, closing: bytes) -> None:
    deep = opening * 100_000 + b"1" + closing * 100_000
    with pytest.raises(ResponseDecodeError, match="nested too deeply"):
        SESSION_READER.read(json.dumps({**SMALLEST, "deep": "?"}).encode().replace(b'"?"', deep))


def everything_said_by(error: BaseException) -> str:
    """An error and all that hangs from it, down to the variables of every frame of the package."""
    said = [str(error), repr(error), repr(error.args), repr(vars(error)), *getattr(error, "__notes__", ())]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "smappee_async" in frame.f_code.co_filename:
            said += [repr(value) for value in frame.f_locals.values()]
    said += [everything_said_by(other) for other in (error.__cause__, error.__context__) if other is not None]
    return "\n".join(said)


@pytest.mark.parametrize(
    "record",
    [
        *[{**SMALLEST, name: {PERSONAL: 1}, "rfid": PERSONAL} for name in SMALLEST],
        *[{**SMALLEST, "rfid": value} for value in ([PERSONAL], {"a": PERSONAL})],
        *[
            {**SMALLEST, name: f"{PERSONAL}", "rfid": PERSONAL}
            for name in ("connector", "to", "energy", "maxAmperes", "range")
        ],
        {**SMALLEST, "suspendedByUser": PERSONAL},
        {**SMALLEST, "maxAmperes": [PERSONAL]},
        {**SMALLEST, "rfid": PERSONAL, "status": None, PERSONAL: PERSONAL},
        {"rfid": PERSONAL},
        PERSONAL,
    ],
)
def test_an_error_never_holds_what_it_refused(record: object) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        read(record)
    assert PERSONAL not in everything_said_by(caught.value)


def test_the_repr_of_decoded_records_shows_no_value() -> None:
    records = SESSION_READER.decode([raw({**SMALLEST, "rfid": PERSONAL, PERSONAL: 1})])
    assert records is not None
    assert repr(records) == "<1 wire records>"
    assert repr(records.wires) == "[<WireChargingSession>]"


# --- both ways of reading ---------------------------------------------------------------------------------------------


def is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


SOUND_BY_TYPE: list[tuple[Any, Callable[[Any], bool]]] = [
    (int, lambda value: type(value) is int),
    (SerialNumber, lambda value: type(value) is str and value != ""),
    (EpochMs, lambda value: type(value) is int),
    (SessionStatus, lambda value: type(value) is SessionStatus),
    (float, lambda value: type(value) is float and math.isfinite(value)),
    (Number, is_number),
    (str, lambda value: type(value) is str),
    (bool, lambda value: type(value) is bool),
    (tuple[Number, ...], lambda value: type(value) is tuple and all(map(is_number, value))),
]


def assert_sound(session: ChargingSession) -> None:
    """Every value of the type that its field says, and no number that is none."""
    for name, key in WIRE_NAMES.items():
        value = getattr(session, name)
        (is_sound,) = [check for kind, check in SOUND_BY_TYPE if kind == TYPES[key]]
        assert is_sound(value) or (value is None and key in OPTIONAL), name


@given(valid_records)
def test_an_added_unknown_key_changes_nothing_but_extra(record: Record) -> None:
    quickly = SESSION_READER.read(raw(record), 12345)
    closely = SESSION_READER.read(raw({**record, "unknown key": 1}), 12345)
    assert_sound(quickly)
    assert closely.extra == {"unknown key": 1}
    assert attrs.evolve(closely, extra=FrozenDict()) == quickly
    assert repr(attrs.evolve(closely, extra=FrozenDict())) == repr(quickly)


@given(valid_records, st.sampled_from(sorted(REFUSED)), json_values)
def test_any_value_anywhere_is_read_soundly_or_refused_both_ways_alike(
    record: Record, name: str, value: object
) -> None:
    outcomes = []
    for more in ({}, {"unknown key": 1}):
        try:
            session = SESSION_READER.read(raw({**record, name: value, **more}))
        except ResponseDecodeError as error:
            outcomes.append(str(error))
        else:
            assert_sound(session)
            outcomes.append(repr(attrs.evolve(session, extra=FrozenDict())))
    assert outcomes[0] == outcomes[1]


# --- service locations ------------------------------------------------------------------------------------------------


def test_a_service_location_is_read() -> None:
    location = SERVICE_LOCATION_READER.read(
        raw(
            {
                "serviceLocationId": 12345,
                "serviceLocationUuid": "6eef",
                "name": "Depot",
                "deviceSerialNumber": "5100000001",
                "x": 1,
            }
        )
    )
    assert (location.id, location.uuid, location.name) == (12345, "6eef", "Depot")
    assert location.device_serial_number == "5100000001"
    assert location.extra == {"x": 1}


def test_only_the_id_of_a_service_location_is_required() -> None:
    assert SERVICE_LOCATION_READER.read(b'{"serviceLocationId":12345}').device_serial_number is None
    with pytest.raises(ResponseDecodeError) as caught:
        SERVICE_LOCATION_READER.read(b'{"name":"Depot"}')
    assert caught.value.json_path == "$.serviceLocationId"


def test_a_service_location_in_detail_is_read() -> None:
    info = SERVICE_LOCATION_INFO_READER.read(
        raw(
            {
                "serviceLocationId": 123,
                "serviceLocationUuid": "6eefadeb",
                "name": "My Place",
                "timezone": "Europe/Brussels",
                "lon": 3.25,
                "lat": 50,
                "electricityCost": 0.0,
                "electricityCurrency": "EUR",
                "appliances": [{"id": 1, "name": "Coffeemaker", "type": "cooking"}],
            }
        )
    )
    assert (info.id, info.uuid, info.name, info.timezone) == (123, "6eefadeb", "My Place", "Europe/Brussels")
    assert (info.longitude, info.latitude, info.electricity_cost, info.currency) == (3.25, 50.0, 0.0, "EUR")
    assert info.extra == {"appliances": [{"id": 1, "name": "Coffeemaker", "type": "cooking"}]}
