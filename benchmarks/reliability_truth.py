"""Sessions as the client hands them over, held against the simulator's ledger: multisets of (park, id, payload)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

import attrs
import msgspec

from smappee_async import ChargingSession
from smappee_async.simulator import Ledger

_DIGEST_BYTES: Final = 16
_encode: Final = msgspec.json.Encoder(order="sorted").encode

Payload = bytes
"""The digest of one session's record."""
Truth = dict[tuple[int, int], Payload]
"""What happened: by park and id, the payload."""


def payload(record: Mapping[str, object]) -> Payload:
    """The digest of a wire record, whatever the order of its members.

    What is absent and what is null say the same; a serial number is a number or a text on the wire.
    """
    said = {name: value for name, value in record.items() if value is not None}
    said["serialNumber"] = str(said["serialNumber"])
    return blake2b(_encode(said), digest_size=_DIGEST_BYTES).digest()


def wire_record(session: ChargingSession) -> dict[str, object]:
    """The record that a session came from, with the wire's own names."""
    record: dict[str, object] = {wire: getattr(session, name) for name, wire in _WIRE_NAMES}
    record["status"] = str(session.status)
    record.update(session.extra)
    return record


def truth_about(ledger: Ledger, parks: Iterable[int], start_ms: int, end_ms: int | None) -> Truth:
    """All completed sessions of some parks that started in a range."""
    return {
        (park, session.id): payload(ledger.wire(session))
        for park in parks
        for session in ledger.sessions(park, start_ms, end_ms)
    }


@attrs.frozen
class Difference:
    """How what came differs from what happened. All zeros is perfect.

    :ivar lost: happened, and did not come.
    :ivar doubled: came more than once, counted once for each time too many.
    :ivar phantom: came, and never happened.
    :ivar stale: came with another payload than it has.
    """

    lost: int = 0
    doubled: int = 0
    phantom: int = 0
    stale: int = 0

    def __bool__(self) -> bool:
        return any(attrs.astuple(self))


class Account:
    """What came, held against the truth one session at a time."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._came: Counter[tuple[int, int]] = Counter()
        self._phantom = 0
        self._stale = 0

    def add(self, session: ChargingSession) -> None:
        """Take one more session in."""
        key = (session.service_location_id or 0, session.id)
        self._came[key] += 1
        expected = self._truth.get(key)
        if expected is None:
            self._phantom += 1
        elif expected != payload(wire_record(session)):
            self._stale += 1

    def difference(self, due: Iterable[tuple[int, int]] | None = None) -> Difference:
        """The account so far.

        :param due: the keys that had to come; all of the truth by default.
        """
        keys = self._truth if due is None else due
        return Difference(
            lost=sum(1 for key in keys if key not in self._came),
            doubled=sum(times - 1 for times in self._came.values()),
            phantom=self._phantom,
            stale=self._stale,
        )


def _wire_names() -> Iterator[tuple[str, str]]:
    for field in attrs.fields(ChargingSession):
        first, *others = field.name.split("_")
        wire = field.metadata.get("wire", first + "".join(map(str.capitalize, others)))
        if wire is not None:
            yield field.name, wire


_WIRE_NAMES: Final = tuple(_wire_names())
