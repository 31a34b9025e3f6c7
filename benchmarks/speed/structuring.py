"""From the bytes of a response to records: the client, its peers, and JSON decoders alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson

from benchmarks.speed.count import blocks_kept, bytecodes, peak_traced
from benchmarks.speed.measure import side_by_side
from benchmarks.speed.readers import by_hand, cattrs_plain, decoders, mashumaro_orjson, ours, pydantic_v2
from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale
from benchmarks.speed.world import array
from smappee_async.simulator.wire_fields import WIRE_NAMES

_OURS: Final = "ours"
_READERS: Final[dict[str, Callable[[bytes], Sequence[Any]]]] = {
    _OURS: ours.read,
    "pydantic v2": pydantic_v2.read,
    "mashumaro": mashumaro_orjson.read,
    "cattrs as it comes": cattrs_plain.read,
    "strict loop by hand": by_hand.read,
    "orjson.loads alone": decoders.read_orjson,
    "msgspec typed alone": decoders.read_msgspec,
}
_GOALS: Final = {
    "pydantic v2": Goal(at_least=1.2),
    "mashumaro": Goal(at_least=2),
    "cattrs as it comes": Goal(at_least=3.5),
}
_NO_GOALS: Final[Mapping[str, Goal]] = {}
#: The readers that keep unknown keys. The others drop them, so that a comparison would not be fair.
_KEEP_UNKNOWN: Final = (_OURS, "pydantic v2", "strict loop by hand")
_UNKNOWN: Final = ',"unknownKey":"night"'
_FIVE_UNKNOWN: Final = ',"tariff":"night","site":{"floor":2},"phases":[1,2,3],"cableLocked":true,"limitKw":7.4'
_KEEPS_UP: Final = {"pydantic v2": Goal(at_least=1.5)}


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    rows: list[Row] = []
    for batch in (500, 5_000):
        body = array(batch)
        for name in _READERS:
            _check(name, body)
        rows += _compare(f"batches of {batch:,}", body, batch, tuple(_READERS), scale, _GOALS)
    body = array(500, more=_UNKNOWN)
    for name in _KEEP_UNKNOWN:
        _check_unknown(name, body)
    rows += _compare("batches of 500, one unknown key each", body, 500, _KEEP_UNKNOWN, scale, _KEEPS_UP)
    body = array(500, more=_FIVE_UNKNOWN)
    rows += _compare("batches of 500, five unknown keys each", body, 500, _KEEP_UNKNOWN, scale)
    return rows


def counts() -> dict[str, float]:
    """The cost of a record in bytecode instructions and in memory."""
    batch = 500
    body, odd = array(batch), array(batch, more=_UNKNOWN)
    return {
        "bytecodes a record": bytecodes(partial(ours.read, body)) / batch,
        "bytecodes a record with an unknown key": bytecodes(partial(ours.read, odd)) / batch,
        "blocks kept a record": blocks_kept(partial(ours.read, body)) / batch,
        "bytes a record, at the peak": peak_traced(partial(ours.read, body)) / batch,
    }


def _compare(
    title: str, body: bytes, batch: int, names: Sequence[str], scale: Scale, goals: Mapping[str, Goal] = _NO_GOALS
) -> list[Row]:
    repeats = max(1, scale.of(10_000, quick=batch) // batch)
    contenders = {name: partial(_repeat, _READERS[name], body, repeats) for name in names}
    rounds = side_by_side(contenders, rounds=scale.of(11, quick=2))
    rows = [rounds.micros_each(f"{title}: ours, a record", _OURS, batch * repeats)]
    rows += [rounds.ratio(f"{title}: {name} ÷ ours", name, _OURS, goals.get(name)) for name in names if name != _OURS]
    return rows


def _repeat(read: Callable[[bytes], Sequence[Any]], body: bytes, repeats: int) -> None:
    # Each result is dropped before the next one, as a consumer of a stream does.
    for _ in range(repeats):
        read(body)


# --- no contender reads less than the others --------------------------------------------------------------------------


def _check(name: str, body: bytes) -> None:
    """Check that a contender reads every field of every record."""
    for found, wire in zip(_READERS[name](body), orjson.loads(body), strict=True):
        assert _plain(found) == wire, f"{name} does not read what is on the wire"


def _check_unknown(name: str, body: bytes) -> None:
    for found in _READERS[name](body):
        extra = found.__pydantic_extra__ if isinstance(found, pydantic_v2.Session) else found.extra
        assert extra == {"unknownKey": "night"}, f"{name} loses unknown keys"


def _plain(record: Any) -> dict[str, Any]:
    """The record that must have been on the wire."""
    if isinstance(record, dict):
        return record
    wire = {wire: value for name, wire in WIRE_NAMES.items() if (value := getattr(record, name)) is not None}
    return wire | {"status": str(record.status), "serialNumber": int(record.serial_number)}
