"""Faults in the content of a response: records and bytes in, doubtful records and bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from .wire import Record, encode_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .faults import Fault

SETTLING_S: Final = 300.0
"""How late a session settles by default; clients read a finished session again after up to 5 minutes [C]."""

_EVERY: Final = 3
_NOT_A_NUMBER: Final = b"NaN"


def settling_ms(faults: Sequence[Fault]) -> int:
    """How long after their end sessions are not settled yet; 0 without such a fault."""
    late = [fault for fault in faults if fault.kind == "late_finalisation"]
    return max((int(1000 * (SETTLING_S if fault.delay_s is None else fault.delay_s)) for fault in late), default=0)


def alter_records(records: list[Record], fault: Fault) -> list[Record]:
    """The records as a fault leaves them; they may be changed in place."""
    match fault.kind:
        case "bad_json_record" if records:
            records[min(fault.index, len(records) - 1)]["from"] = {"not": "a number"}
        case "duplicate_records":
            # Next to their originals, and once more far away from it.
            doubled = [copy for n, item in enumerate(records) for copy in [item] * (1 if n % _EVERY else 2)]
            return doubled + records[:1]
        case "status_backwards":
            for item in records[::_EVERY]:
                item["status"] = "CHARGING"  # with `to`, where it has ended: flapping was reported of the service
        case "unknown_status":
            for item in records[::_EVERY]:
                item["status"] = "HIBERNATING"
        case "unknown_fields":
            for item in records:
                item |= {"tariff": {"currency": "EUR", "perKwh": 0.31}, "phases": [1, 2, 3], "note": None}
        case _:
            pass
    return records


def encode_altered(records: list[Record], faults: Sequence[Fault]) -> bytes:
    """The JSON array, or with a ``nan`` fault what a careless encoder makes of one."""
    if not any(fault.kind == "nan" for fault in faults):
        return encode_records(records)
    if not records:
        return b"[" + _NOT_A_NUMBER + b"]"
    return encode_records([{**records[0], "startReading": msgspec.Raw(_NOT_A_NUMBER)}, *records[1:]])
