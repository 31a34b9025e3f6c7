"""The records: exact, immutable, and a ``repr`` that names no person."""

from __future__ import annotations

import copy
import decimal
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.errors import ResponseDecodeError
from smappee_async.models import (
    OPEN_STATUSES,
    ChargingSession,
    ChunkFailure,
    FrozenDict,
    InvalidRecord,
    ServiceLocation,
    ServiceLocationInfo,
    SessionBatch,
    SessionStatus,
    StreamStats,
    is_certainly_active,
    is_certainly_completed,
)
from smappee_async.timerange import TimeRange

KNOWN = [status.value for status in SessionStatus]
CHARGING = SessionStatus.CHARGING
STOPPED = SessionStatus.STOPPED
PARKED = SessionStatus("PARKED")


def session(**fields: Any) -> ChargingSession:
    return ChargingSession(**{"id": 1, "serial_number": "6", "from_ms": 1_709_622_000_000, "status": STOPPED, **fields})


full = session(
    to_ms=1_709_640_000_000,
    rfid="TESTCARD01",
    max_amperes=(16, 16.5),
    energy=18.5,
    service_location_id=12345,
    extra=FrozenDict({"tariff": {"day": [1, None]}, "rfidToken": "TESTCARD01"}),
)
records = pytest.mark.parametrize(
    "record",
    [
        full,
        session(status=PARKED),
        ServiceLocation(id=1, name="Depot", extra=FrozenDict({"a": 1})),
        ServiceLocationInfo(id=1, timezone="Europe/Brussels"),
        SessionBatch(service_location_id=1, serial_number=None, time_range=TimeRange.from_ms(0), sessions=(full,)),
        InvalidRecord(error=ResponseDecodeError("no", index=3, json_path="$.from"), raw=b"{}"),
        ChunkFailure(
            service_location_id=None,
            serial_number="6",
            time_range=TimeRange.from_ms(0),
            error=ResponseDecodeError("no"),
        ),
        StreamStats(received=2, sessions=1, invalid=1),
    ],
    ids=lambda record: type(record).__name__,
)

# --- energy -----------------------------------------------------------------------------------------------------------

readings = st.floats(allow_nan=False, allow_infinity=False)


def test_energy_is_the_difference_of_the_readings_to_the_last_digit() -> None:
    energy = session(start_reading=100.96, stop_reading=115.21).energy_kwh
    assert energy == Decimal("14.25")
    assert str(energy) == "14.25"


@given(readings, readings)
def test_the_difference_is_exact_for_any_two_readings(start: float, stop: float) -> None:
    energy = session(start_reading=start, stop_reading=stop).energy_kwh
    assert energy is not None
    assert Fraction(energy) == Fraction(repr(stop)) - Fraction(repr(start))


@given(readings)
def test_reported_energy_keeps_its_shortest_text(reported: float) -> None:
    assert session(energy=reported).energy_kwh == Decimal(repr(reported))


def test_reported_energy_wins_over_the_readings() -> None:
    assert session(energy=3.2, start_reading=1.0, stop_reading=9.0).energy_kwh == Decimal("3.2")


def test_reported_energy_of_zero_wins_as_well() -> None:
    assert session(energy=0.0, start_reading=1.0, stop_reading=9.0).energy_kwh == 0


@pytest.mark.parametrize("fields", [{}, {"start_reading": 1.0}, {"stop_reading": 1.0}])
def test_energy_is_unknown_without_both_readings(fields: dict[str, float]) -> None:
    assert session(**fields).energy_kwh is None


def test_the_callers_decimal_context_changes_nothing() -> None:
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])):
        assert str(session(start_reading=1520.4, stop_reading=1538.91).energy_kwh) == "18.51"


# --- time -------------------------------------------------------------------------------------------------------------


def test_start_and_end_are_in_utc() -> None:
    assert full.started_at == datetime(2024, 3, 5, 7, tzinfo=UTC)
    assert full.ended_at == datetime(2024, 3, 5, 12, tzinfo=UTC)
    assert full.started_at.tzinfo is UTC


def test_elapsed_is_end_minus_start_and_not_the_services_duration() -> None:
    assert attrs.evolve(full, duration=2).elapsed == timedelta(hours=5)


def test_a_running_session_has_no_end_and_no_elapsed_time() -> None:
    running = session(status=CHARGING)
    assert (running.ended_at, running.elapsed) == (None, None)


@given(st.integers(946_684_800_000, 4_102_444_799_999))
def test_no_millisecond_is_lost(instant_ms: int) -> None:
    assert session(from_ms=instant_ms).started_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=instant_ms
    )


# --- status -----------------------------------------------------------------------------------------------------------


def test_documented_statuses_are_known() -> None:
    assert KNOWN == ["INITIAL", "STARTED", "CHARGING", "SUSPENDED", "STOPPING", "STOPPED"]
    assert all(SessionStatus(value).is_known for value in KNOWN)


def test_all_but_stopped_are_open() -> None:
    assert {status for status in SessionStatus if status.is_open} == set(SessionStatus) - {STOPPED} == OPEN_STATUSES


@given(st.text().filter(lambda text: text not in KNOWN))
def test_an_unknown_status_keeps_its_text(text: str) -> None:
    status = SessionStatus(text)
    assert (str(status), status.value, status.name) == (text, text, text)
    assert status == text
    assert not status.is_known
    assert not status.is_open


@given(st.text())
def test_a_status_equals_itself_its_pickle_its_copies_and_its_text(text: str) -> None:
    status = SessionStatus(text)
    for again in (
        SessionStatus(text),
        pickle.loads(pickle.dumps(status)),
        copy.copy(status),
        copy.deepcopy(status),
        text,
    ):
        assert again == status
        assert hash(again) == hash(status)


def test_a_known_status_unpickles_to_the_same_member() -> None:
    assert pickle.loads(pickle.dumps(CHARGING)) is CHARGING


def test_unknown_statuses_do_not_make_the_enum_grow() -> None:
    for number in range(100):
        SessionStatus(f"NEW{number}")
    assert list(SessionStatus.__members__) == [status.value for status in SessionStatus] == KNOWN
    assert list(SessionStatus._value2member_map_) == KNOWN


@pytest.mark.parametrize("value", [None, 1, b"STOPPED", ["STOPPED"]])
def test_a_status_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not a valid SessionStatus"):
        SessionStatus(value)


@pytest.mark.parametrize(
    ("status", "to_ms", "active", "completed"),
    [
        *[(status, None, True, False) for status in sorted(OPEN_STATUSES)],
        *[(status, 1_709_640_000_000, False, False) for status in sorted(OPEN_STATUSES)],
        (STOPPED, 1_709_640_000_000, False, True),
        (STOPPED, None, False, False),
        (PARKED, None, False, False),
        (PARKED, 1_709_640_000_000, False, False),
    ],
)
def test_only_status_and_end_together_make_certain(
    status: SessionStatus, to_ms: int | None, *, active: bool, completed: bool
) -> None:
    made = session(status=status, to_ms=to_ms)
    assert (made.is_certainly_active, made.is_certainly_completed) == (active, completed)
    assert (is_certainly_active(to_ms, status), is_certainly_completed(to_ms, status)) == (active, completed)


# --- values -----------------------------------------------------------------------------------------------------------


@records
def test_records_cannot_be_changed(record: Any) -> None:
    for field in attrs.fields(type(record)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)


@records
def test_records_are_slotted(record: object) -> None:
    assert not hasattr(record, "__dict__")


@records
def test_records_pickle_and_copy_to_equal_ones_with_all_they_hold(record: Any) -> None:
    for again in (pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)):
        assert again == record
        assert hash(again) == hash(record)
        assert attrs.asdict(again) == attrs.asdict(record)


def test_unknown_keys_are_part_of_equality() -> None:
    assert attrs.evolve(full, extra=FrozenDict()) != full


def test_sessions_of_two_parks_are_unequal_and_have_two_keys() -> None:
    other = attrs.evolve(full, service_location_id=67890)
    assert other != full
    assert other.key != full.key


@pytest.mark.parametrize(
    "change",
    [
        lambda extra: extra.__setitem__("a", 2),
        lambda extra: extra.__delitem__("a"),
        lambda extra: extra.__ior__({"b": 1}),
        lambda extra: extra.clear(),
        lambda extra: extra.pop("a"),
        lambda extra: extra.popitem(),
        lambda extra: extra.setdefault("b", 1),
        lambda extra: extra.update(b=1),
    ],
)
def test_extra_refuses_every_change(change: Any) -> None:
    extra = FrozenDict({"a": 1})
    with pytest.raises(TypeError, match="immutable"):
        change(extra)
    assert extra == {"a": 1}


def test_extra_survives_pickle_and_copies_as_itself() -> None:
    extra = FrozenDict({"a": [1, {"b": None}]})
    for again in (pickle.loads(pickle.dumps(extra)), copy.copy(extra), copy.deepcopy(extra)):
        assert again == extra
        assert type(again) is FrozenDict


# --- what a repr shows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rfid", "shown"),
    [("TESTCARD01", "'***D01'"), ("ABCD", "'***BCD'"), ("ABC", "'***'"), ("", "'***'"), (None, "None")],
)
def test_repr_shows_the_last_three_characters_of_an_rfid(rfid: str | None, shown: str) -> None:
    assert f"rfid={shown}, " in repr(session(rfid=rfid))


@given(st.text(alphabet="ΑΒΓΔ", min_size=4))
def test_repr_shows_no_whole_rfid(rfid: str) -> None:
    assert rfid not in repr(session(rfid=rfid))


def test_repr_shows_the_unknown_keys_but_not_their_values() -> None:
    assert "extra=<tariff, rfidToken>" in repr(full)
    assert "TESTCARD01" not in repr(full)


def test_repr_of_an_unreadable_record_shows_its_size_only() -> None:
    shown = repr(InvalidRecord(error=ResponseDecodeError("no"), raw=b'{"rfid":"TESTCARD01"}'))
    assert "<21 bytes>" in shown
    assert "TESTCARD01" not in shown
