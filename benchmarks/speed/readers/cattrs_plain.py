"""cattrs as it comes, on the client's own attrs class: its converter for orjson, which is only told the wire names."""

from __future__ import annotations

import attrs
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.orjson import make_converter

from smappee_async import ChargingSession
from smappee_async.simulator.wire_fields import WIRE_NAMES

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
