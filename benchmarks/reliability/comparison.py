"""Compares the sessions that a client hands over with the simulator's ledger, as multisets of (park, id, payload)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import attrs
import msgspec

from smappee_async import ChargingSession
from smappee_async.simulator import Ledger
from smappee_async.simulator.wire_fields import wire_record

_DIGEST_BYTES: Final = 16
_encode: Final = msgspec.json.Encoder(order="sorted").encode

Payload = bytes
"""The digest of the record of one session."""
Truth = dict[tuple[int, int], Payload]
"""What happened: the payload of each session, by park and id."""


def payload(record: Mapping[str, object]) -> Payload:
    """The digest of a wire record, whatever the order of its members.

    An absent key and ``null`` are equal. A serial number may be a number or a text.
    """
    members = {name: value for name, value in record.items() if value is not None}
    members["serialNumber"] = str(members["serialNumber"])
    return blake2b(_encode(members), digest_size=_DIGEST_BYTES).digest()


def truth_about(ledger: Ledger, parks: Iterable[int], start_ms: int, end_ms: int | None) -> Truth:
    """All completed sessions of some parks that started in a range."""
    return {
        (park, session.id): payload(ledger.wire(session))
        for park in parks
        for session in ledger.sessions(park, start_ms, end_ms)
    }


@attrs.frozen
class Difference:
    """How the sessions that came differ from those that happened. The goal is zero everywhere.

    :ivar lost: sessions that happened and did not come.
    :ivar doubled: how often a session came again.
    :ivar phantom: sessions that came and never happened.
    :ivar stale: sessions that came with another payload than they have.
    """

    lost: int = 0
    doubled: int = 0
    phantom: int = 0
    stale: int = 0

    def __bool__(self) -> bool:
        return any(attrs.astuple(self))


class Comparison:
    """Compares sessions with the truth, one at a time."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._came: Counter[tuple[int, int]] = Counter()
        self._phantom = 0
        self._stale = 0

    def add(self, session: ChargingSession) -> None:
        """Compare one more session."""
        key = (session.service_location_id or 0, session.id)
        self._came[key] += 1
        expected = self._truth.get(key)
        if expected is None:
            self._phantom += 1
        elif expected != payload(wire_record(session)):
            self._stale += 1

    def difference(self, due: Iterable[tuple[int, int]] | None = None) -> Difference:
        """The difference so far.

        :param due: the keys that had to come; all of the truth by default.
        """
        keys = self._truth if due is None else due
        return Difference(
            lost=sum(1 for key in keys if key not in self._came),
            doubled=sum(times - 1 for times in self._came.values()),
            phantom=self._phantom,
            stale=self._stale,
        )
