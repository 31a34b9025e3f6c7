"""A short text that differs when a session differs."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from smappee_async.models import ChargingSession

_ENCODE: Final = msgspec.json.Encoder().encode
#: The fields of a record have an order of their own, and the keys of ``extra`` have that of the service.
_ENCODE_SORTED: Final = msgspec.json.Encoder(order="deterministic").encode
_BYTES: Final = 12


def fingerprint(session: ChargingSession) -> bytes:
    """The same for equal sessions, in every process; other sessions differ in it, but for one in 2**96."""
    encode = _ENCODE_SORTED if session.extra else _ENCODE
    return blake2b(encode(session), digest_size=_BYTES).digest()
