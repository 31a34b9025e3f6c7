"""The converter that users import: fast from JSON, strict from objects, and back again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import traceback
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pytest
from cattrs.errors import BaseValidationError
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import ChargingSession, ResponseDecodeError, ServiceLocation, ServiceLocationInfo, converter
from smappee_async.models import FrozenDict, SessionStatus
from smappee_async.protocol import converter as module
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.simulator.wire_fields import WIRE_NAMES

from .records import SMALLEST, TYPES, Record, json_values, texts, valid_records

PERSONAL = "PERSONAL-CARD-77"
FULL: Record = {
    **SMALLEST,
    "to": 1709567200000,
    "status": "PARKED",
    "energy": 7.4,
    "maxAmperes": [16, 16.5],
    "rfid": PERSONAL,
    "tariff": {"day": [1, None]},
}


def session(**changes: Any) -> ChargingSession:
    return SESSION_READER.read(json.dumps(FULL | changes).encode(), 12345)


unknown_keys = st.dictionaries(texts.filter(lambda key: key not in WIRE_NAMES.values()), json_values, max_size=3)


@st.composite
def sessions(draw: st.DrawFn) -> ChargingSession:
    """Any session that can be read, of any park."""
    record = draw(valid_records) | draw(unknown_keys)
    return SESSION_READER.read(json.dumps(record).encode(), draw(st.none() | st.integers(0, 2**31)))


# --- from JSON --------------------------------------------------------------------------------------------------------


@given(st.lists(st.builds(lambda record, extra: record | extra, valid_records, unknown_keys), max_size=4))
def test_a_json_array_is_read_as_its_records_are_one_by_one(records: list[Record]) -> None:
    found = converter.structure(json.dumps(records).encode(), list[ChargingSession])
    assert found == [SESSION_READER.read(json.dumps(record).encode()) for record in records]


@pytest.mark.parametrize("text", [bytes, bytearray, msgspec.Raw])
def test_json_is_read_from_any_kind_of_bytes(text: Any) -> None:
    one = json.dumps(FULL).encode()
    assert converter.structure(text(one), ChargingSession) == converter.structure(FULL, ChargingSession)
    assert len(converter.structure(text(b"[%b,%b]" % (one, one)), list[ChargingSession])) == 2


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    assert converter.structure(b"\xef\xbb\xbf[]", list[ChargingSession]) == []


def test_records_that_msgspec_accepts_are_not_structured_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(module._RecordHooks, "from_wire", lambda *_: calls.append(_))
    converter.structure(json.dumps([FULL, SMALLEST]).encode(), list[ChargingSession])
    assert calls == []


def test_one_odd_record_does_not_change_how_the_others_are_read() -> None:
    found = converter.structure(
        json.dumps([SMALLEST, FULL, {**SMALLEST, "energy": "7.5"}, SMALLEST]).encode(), list[ChargingSession]
    )
    assert [each.energy for each in found] == [None, 7.4, 7.5, None]
    assert [dict(each.extra) for each in found] == [{}, {"tariff": {"day": [1, None]}}, {}, {}]


@pytest.mark.parametrize("text", [b"", b"[", b"{}", b"null", b"[1]]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_array_is_refused(text: bytes) -> None:
    with pytest.raises(ResponseDecodeError, match="not one valid JSON array") as caught:
        converter.structure(text, list[ChargingSession])
    assert caught.value.index is None


@pytest.mark.parametrize("kind", [ServiceLocation, ServiceLocationInfo])
def test_every_class_of_records_is_read_from_json_and_from_an_object(kind: Any) -> None:
    whole = {"serviceLocationId": 1, "name": "Depot", "x": [1]}
    for value in (whole, json.dumps(whole).encode()):
        found = converter.structure(value, kind)
        assert (type(found), found.id, found.name, found.extra) == (kind, 1, "Depot", {"x": [1]})
    assert converter.structure(json.dumps([whole]).encode(), list[kind]) == [converter.structure(whole, kind)]


# --- from objects -----------------------------------------------------------------------------------------------------


@given(valid_records, unknown_keys)
def test_an_object_is_read_as_its_json_is(record: Record, unknown: Record) -> None:
    whole = record | unknown
    assert converter.structure(whole, ChargingSession) == SESSION_READER.read(json.dumps(whole).encode())


def test_a_record_is_structured_as_itself() -> None:
    made = session()
    assert converter.structure([made], list[ChargingSession])[0] is made


@pytest.mark.parametrize("as_json", [True, False])
def test_an_error_in_a_list_names_index_and_place_but_no_value(*, as_json: bool) -> None:
    records = [FULL, {**FULL, "from": PERSONAL}]
    with pytest.raises(ResponseDecodeError, match="expected milliseconds") as caught:
        converter.structure(json.dumps(records).encode() if as_json else records, list[ChargingSession])
    assert (caught.value.index, caught.value.json_path) == (1, "$.from")
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert PERSONAL not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["[]", {}, None, 1, {1}])
def test_what_is_no_list_is_refused_as_a_list(value: object) -> None:
    with pytest.raises(ResponseDecodeError, match="expected a list"):
        converter.structure(value, list[ChargingSession])


@pytest.mark.parametrize("value", ["{}", [], None, 1])
def test_what_is_no_object_is_refused_as_a_record(value: object) -> None:
    with pytest.raises(ResponseDecodeError, match="expected an object"):
        converter.structure(value, ChargingSession)


# --- back to data -----------------------------------------------------------------------------------------------------


@given(sessions())
def test_a_session_survives_the_way_to_wire_json_and_back(made: ChargingSession) -> None:
    text = msgspec.json.encode(converter.unstructure([made]))
    (again,) = converter.structure(text, list[ChargingSession])
    assert again == attrs.evolve(made, service_location_id=None)
    assert type(again.status) is SessionStatus


@given(sessions())
def test_a_session_survives_the_way_to_plain_python_and_back(made: ChargingSession) -> None:
    plain = converter.to_plain(made)
    assert plain.keys() == {field.name for field in attrs.fields(ChargingSession)}
    for each in (plain, json.loads(json.dumps(plain))):
        again = converter.from_plain(each, ChargingSession)
        assert again == made
        assert attrs.asdict(again) == attrs.asdict(made)


@given(valid_records, unknown_keys)
def test_unstructuring_gives_what_was_on_the_wire(record: Record, unknown: Record) -> None:
    wire = converter.unstructure(converter.structure(record | unknown, ChargingSession))
    present = {
        key: float(value) if TYPES[key] is float else value for key, value in record.items() if value is not None
    }
    assert wire == present | {"serialNumber": str(record["serialNumber"])} | unknown


def only_plain(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and only_plain(each) for key, each in value.items())
    return all(map(only_plain, value)) if type(value) is list else type(value) in (int, float, str, bool, type(None))


@given(sessions())
def test_both_forms_are_of_types_that_json_has(made: ChargingSession) -> None:
    assert only_plain(converter.unstructure(made))
    assert only_plain(converter.to_plain(made))


def test_the_park_is_in_the_plain_form_only() -> None:
    assert converter.to_plain(session())["service_location_id"] == 12345
    assert 12345 not in converter.unstructure(session()).values()


def test_changing_what_came_out_does_not_change_the_record() -> None:
    made = session()
    converter.unstructure(made)["tariff"]["day"].clear()
    plain: Any = converter.to_plain(made)
    plain["extra"]["tariff"].clear()
    assert made == session()


def test_a_known_key_in_extra_does_not_become_a_field() -> None:
    made = attrs.evolve(session(), to_ms=None, extra=FrozenDict({"to": 1709567200000, "new": 1}))
    wire = converter.unstructure(made)
    assert "to" not in wire
    assert wire["new"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": PERSONAL}, "expected a whole number"),
        ({"extra": [PERSONAL]}, "expected an object"),
        ({PERSONAL: 1}, "a key that is no field"),
        ({"service_location_id": "x"}, "expected a whole number"),
    ],
)
def test_a_plain_form_is_read_strictly_and_without_values_in_errors(change: Record, reason: str) -> None:
    with pytest.raises(ResponseDecodeError, match=reason) as caught:
        converter.from_plain(converter.to_plain(session()) | change, ChargingSession)
    assert PERSONAL not in str(caught.value)


def test_a_field_with_a_default_may_be_missing_in_the_plain_form() -> None:
    plain: Record = {"id": 1, "serial_number": "6", "from_ms": 1709560000000, "status": "STOPPED"}
    assert converter.from_plain(plain, ChargingSession).to_ms is None
    with pytest.raises(ResponseDecodeError, match="a required key is missing") as caught:
        converter.from_plain({name: value for name, value in plain.items() if name != "from_ms"}, ChargingSession)
    assert caught.value.json_path == "$.from_ms"


# --- classes and hooks of a user --------------------------------------------------------------------------------------


@attrs.frozen
class Charge:
    """A user's class: fields and properties of a session."""

    id: int
    started_at: datetime
    energy_kwh: Decimal | None
    status: SessionStatus
    max_amperes: list[float] | None
    extra: dict[str, Any]
    note: str = ""


def test_an_own_class_is_structured_from_a_session_by_the_names_of_its_fields() -> None:
    made = session()
    assert converter.structure(made, Charge) == Charge(
        id=made.id,
        started_at=made.started_at,
        energy_kwh=Decimal("7.4"),
        status=made.status,
        max_amperes=[16.0, 16.5],
        extra={"tariff": {"day": [1, None]}},
    )
    assert converter.structure([made, made], list[Charge]) == [converter.structure(made, Charge)] * 2


def test_an_own_class_may_hold_sessions() -> None:
    @attrs.frozen
    class Day:
        park: str
        sessions: tuple[ChargingSession, ...]

    day = converter.structure({"park": "Depot", "sessions": [FULL]}, Day)
    assert day.sessions == (attrs.evolve(session(), service_location_id=None),)
    assert converter.unstructure(day)["sessions"] == [converter.unstructure(session())]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, 1.5),
        (float, "x"),
        (str, 1),
        (bool, 1),
        (datetime, "2024-03-05T07:00:00Z"),
        (Decimal, 1.5),
        (list[str], PERSONAL),
        (list, PERSONAL),
        (tuple[str, ...], {PERSONAL: 1}),
        (set[str], PERSONAL),
        (dict[str, int], [(PERSONAL, 1)]),
        (dict, [PERSONAL]),
        (dict[str, int], {PERSONAL: PERSONAL}),
        (Charge, [PERSONAL]),
        (Charge, {"id": 1, "note": {PERSONAL: 1}}),
    ],
)
def test_an_own_class_coerces_nothing_and_its_error_has_no_values(annotation: Any, value: object) -> None:
    own_class = attrs.make_class("Own", {"field": attrs.field(type=annotation)})
    with pytest.raises(BaseValidationError) as caught:
        converter.structure({"field": value}, own_class)
    assert PERSONAL not in "".join(traceback.format_exception(caught.value))


def test_a_hook_in_a_copy_stays_there() -> None:
    mine = converter.copy()
    mine.register_structure_hook(Charge, lambda value, _: value.id)
    mine_found: object = mine.structure(session(), Charge)
    assert mine_found == session().id
    assert isinstance(converter.structure(session(), Charge), Charge)


def test_a_hook_for_a_type_of_a_field_does_not_change_how_records_are_read() -> None:
    mine = converter.copy()
    for kind in (int, str, float, SessionStatus):
        mine.register_structure_hook(kind, lambda *_: 99)
    assert mine.structure(FULL, ChargingSession) == converter.structure(FULL, ChargingSession)


def test_the_programs_in_the_documentation_run() -> None:
    doc = module.__doc__
    assert doc is not None
    names: dict[str, Any] = {"json_bytes": json.dumps([FULL, {**SMALLEST, "startReading": 100.96}]).encode()}
    programs = re.findall(r"::\n\n((?: {4}.*\n|\n)+)", doc)
    assert len(programs) == 4
    for program in programs:
        exec(compile(textwrap.dedent(program), "<doc>", "exec", dont_inherit=True), names)
    assert names["wire"] == {"id": 7, "serialNumber": "582", "from": 1772323200000, "status": "STOPPED"}
    assert [charge.energy_kwh for charge in names["charges"]] == [Decimal("7.4"), None]
    assert names["mine"].structure(names["sessions"][1], names["Meter"]).start_reading == Decimal("100.96")
    assert names["texts"] == {"start_reading": None, "stop_reading": None}


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_program_that_does_not_use_the_converter_does_not_make_it() -> None:
    program = """
        from smappee_async import SmappeeClient
        from smappee_async.protocol import converter as module
        assert module._the_converter.cache_info().currsize == 0
        from smappee_async import converter
        assert module._the_converter() is converter
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


def test_the_module_has_no_other_names_than_it_says() -> None:
    with pytest.raises(AttributeError, match="no attribute 'convertor'"):
        module.convertor  # type: ignore[attr-defined]  # noqa: B018
