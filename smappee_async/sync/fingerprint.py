"""A short text that differs when a session differs."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from smappee_async.models import ChargingSession

_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode
_BYTES: Final = 12


def fingerprint(session: ChargingSession) -> bytes:
    """The same for equal sessions, in every process; other sessions differ in it, but for one in 2**96."""
    return hashlib.blake2b(_ENCODE(session), digest_size=_BYTES).digest()
