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

OTHER_STATION: Final = 6_199_999_999
"""The station of the second record that ``same_id`` adds."""

_MOVED_BY_S: Final = 600.0
_EVERY: Final = 3
_NOT_A_NUMBER: Final = b"NaN"
_NOT_A_TEXT: Final = rb'"\ud800"'


def settling_ms(faults: Sequence[Fault]) -> int:
    """For how many milliseconds after its end a session is not settled; 0 without such a fault."""
    late = [fault for fault in faults if fault.kind == "late_finalisation"]
    return max((int(1000 * (SETTLING_S if fault.delay_s is None else fault.delay_s)) for fault in late), default=0)


def moved_ms(faults: Sequence[Fault]) -> int:
    """By how many milliseconds starts are corrected at most; 0 without such a fault."""
    moved = [fault for fault in faults if fault.kind == "moved_start"]
    return max((int(1000 * (_MOVED_BY_S if fault.delay_s is None else fault.delay_s)) for fault in moved), default=0)


def move_starts(records: list[Record], start_ms: int) -> list[Record]:
    """The records of a range that begins at this moment, and those that began before it and did not end.

    The starts of these were corrected after the range before was read. So such a session is in the responses for both
    ranges, each time with another start.
    """
    moved: list[Record] = []
    for item in records:
        from_ms, to_ms = item["from"], item.get("to")
        if isinstance(from_ms, int) and from_ms < start_ms:
            if isinstance(to_ms, int) and to_ms <= start_ms:
                continue
            item["from"] = start_ms
        moved.append(item)
    return moved


def alter_records(records: list[Record], fault: Fault) -> list[Record]:
    """The records after a fault; those that are passed in may be changed."""
    match fault.kind:
        case "bad_json_record" if records:
            records[min(fault.index, len(records) - 1)]["from"] = {"not": "a number"}
        case "odd_record" if records:
            odd = records[min(fault.index, len(records) - 1)]
            odd["smartMode"] = msgspec.Raw(_NOT_A_TEXT if fault.body is None else fault.body)
        case "zero_end":
            for item in records:
                item.setdefault("to", 0)
        case "same_id":
            # Every third record is followed by one of another station that counts its sessions by itself.
            return [
                each
                for number, item in enumerate(records)
                for each in ([item] if number % _EVERY else [item, {**item, "serialNumber": OTHER_STATION}])
            ]
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
