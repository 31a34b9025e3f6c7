"""As the client does it: the response is split, and its records are built a slice at a time, with the park added."""

from __future__ import annotations

from smappee_async import ChargingSession
from smappee_async.defaults import SLICE_SESSIONS
from smappee_async.protocol.converter import SESSION_READER
from smappee_async.protocol.responses import Response, read_sessions

PARK = 1_000_000


def read(body: bytes) -> list[ChargingSession]:
    """The sessions of a response."""
    raws = read_sessions(Response(status=200, body=body))
    sessions: list[ChargingSession] = []
    for first in range(0, len(raws), SLICE_SESSIONS):
        records = SESSION_READER.decode(raws[first : first + SLICE_SESSIONS])
        assert records is not None
        sessions += records.build(PARK)
    return sessions
