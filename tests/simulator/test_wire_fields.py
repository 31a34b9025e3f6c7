"""The table with which judges rebuild wire records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from smappee_async.simulator import Assumptions, Ledger, SimulatedClock, World
from smappee_async.simulator.wire_fields import WIRE_NAMES, wire_record

from .calling import HOUR_MS, NOON_MS, NOW_MS, PARK, few, session

BARE = dict.fromkeys(WIRE_NAMES) | {"id": 1, "serial_number": "6100000001", "from_ms": NOON_MS, "status": "STOPPED"}


def as_read(**attributes: Any) -> Any:
    """A session of some client."""
    return SimpleNamespace(**(BARE | {"extra": {}} | attributes))


def test_the_table_names_each_key_that_the_simulator_sends() -> None:
    ledger = Ledger(World.of([few()]), SimulatedClock(NOW_MS), Assumptions())
    completed = ledger.wire(session(1), NOW_MS)

    assert completed.keys() == set(WIRE_NAMES.values())


@pytest.mark.parametrize("at_ms", [NOON_MS + 1, NOON_MS + 2 * HOUR_MS], ids=["open", "completed"])
def test_a_record_is_rebuilt_from_the_attributes_of_a_session(at_ms: int) -> None:
    ledger = Ledger(World.of([few()]), SimulatedClock(at_ms), Assumptions())
    (held, *_) = ledger.sessions(PARK, NOON_MS, NOON_MS + 1, "all", at_ms)
    wire = ledger.wire(held, at_ms)
    read = as_read(**{name: wire.get(key) for name, key in WIRE_NAMES.items()})

    assert Ledger.digest_of([wire_record(read)]) == Ledger.digest_of([wire])


@pytest.mark.parametrize(
    ("attribute", "value", "key", "sent"),
    [
        ("serial_number", "6100000001", "serialNumber", 6_100_000_001),
        ("serial_number", "0100", "serialNumber", "0100"),
        ("serial_number", "A1", "serialNumber", "A1"),
        ("max_amperes", (16, 16), "maxAmperes", [16, 16]),
    ],
)
def test_a_value_becomes_what_the_service_sends(attribute: str, value: Any, key: str, sent: object) -> None:
    assert wire_record(as_read(**{attribute: value}))[key] == sent


def test_an_attribute_that_is_none_was_absent() -> None:
    assert wire_record(as_read()).keys() == {"id", "serialNumber", "from", "status"}


def test_unknown_keys_are_in_the_record() -> None:
    assert wire_record(as_read(extra={"simulatedUnknown": 1}))["simulatedUnknown"] == 1
