"""Faults in the content of a response: they change its records, or its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from .wire import Record, encode_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .faults import Fault

SETTLING_S: Final = 300.0
"""How many seconds after its end a session settles by default.

Public clients read a session that has ended again after up to 5 minutes [C].
"""

UNKNOWN_FIELDS: Final[Mapping[str, object]] = {
    "simulatedUnknown": {"currency": "EUR", "perKwh": 0.31},
    "simulatedUnknownList": [1, 2, 3],
    "simulatedUnknownNull": None,
}
"""What ``unknown_fields`` adds to each record: keys that the service will not use for anything of its own."""

_EVERY: Final = 3
_NOT_A_NUMBER: Final = b"NaN"


def settling_ms(faults: Sequence[Fault]) -> int:
    """For how many milliseconds after its end a session is not settled; 0 without such a fault."""
    late = [fault for fault in faults if fault.kind == "late_finalisation"]
    return max((int(1000 * (SETTLING_S if fault.delay_s is None else fault.delay_s)) for fault in late), default=0)


def alter_records(records: list[Record], fault: Fault) -> list[Record]:
    """The records after a fault; those that are passed in may be changed."""
    match fault.kind:
        case "bad_json_record" if records:
            records[min(fault.index, len(records) - 1)]["from"] = {"not": "a number"}
        case "duplicate_records":
            # Every third record comes again right after the original, and the first one again at the end.
            doubled = [copy for n, item in enumerate(records) for copy in [item] * (1 if n % _EVERY else 2)]
            return doubled + records[:1]
        case "status_backwards":
            for item in records[::_EVERY]:
                item["status"] = "CHARGING"  # `to` stays if the session has ended; users have reported this
        case "unknown_status":
            for item in records[::_EVERY]:
                item["status"] = "HIBERNATING"
        case "unknown_fields":
            for item in records:
                item.update(UNKNOWN_FIELDS)
        case _:
            pass
    return records


def encode_altered(records: list[Record], faults: Sequence[Fault]) -> bytes:
    """The JSON array; with a ``nan`` fault one that holds ``NaN``, which is not JSON."""
    if not any(fault.kind == "nan" for fault in faults):
        return encode_records(records)
    if not records:
        return b"[" + _NOT_A_NUMBER + b"]"
    return encode_records([{**records[0], "startReading": msgspec.Raw(_NOT_A_NUMBER)}, *records[1:]])
