"""cattrs as it comes, on the client's own attrs class: its converter for orjson, told the names on the wire only."""

from __future__ import annotations

import attrs
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.orjson import make_converter

from benchmarks.readers.names import WIRE_NAMES
from smappee_async import ChargingSession

_CONVERTER = make_converter()
_NAMES = {name: override(rename=wire) for name, wire in WIRE_NAMES.items()}
_NOT_ON_WIRE = {
    field.name: override(omit=True) for field in attrs.fields(ChargingSession) if field.name not in WIRE_NAMES
}
_CONVERTER.register_structure_hook(
    ChargingSession,
    make_dict_structure_fn(ChargingSession, _CONVERTER, **_NAMES, **_NOT_ON_WIRE),  # type: ignore[arg-type]
)


def read(body: bytes) -> list[ChargingSession]:
    """The sessions of a response."""
    return _CONVERTER.loads(body, list[ChargingSession])
