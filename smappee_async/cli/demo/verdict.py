"""What arrived, held against the ledger: not the counts alone, but every field of every record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.models import ChargingSession
from smappee_async.simulator.ledger import RecordDigest

#: Keys of the wire, written out here once more: taken from the client's own tables they could not find it wrong.
_WIRE: Final[Mapping[str, str]] = {
    "id": "id",
    "connector": "connector",
    "authenticationType": "authentication_type",
    "rfid": "rfid",
    "csmsTransactionId": "csms_transaction_id",
    "userId": "user_id",
    "from": "from_ms",
    "to": "to_ms",
    "status": "status",
    "range": "range",
    "duration": "duration",
    "priority": "priority",
    "suspendedByUser": "suspended_by_user",
    "externalControl": "external_control",
    "smartMode": "smart_mode",
    "minimumExcessPercentage": "minimum_excess_percentage",
    "maxAmperes": "max_amperes",
    "startReading": "start_reading",
    "stopReading": "stop_reading",
    "energy": "energy",
}


def wire_record(session: ChargingSession) -> dict[str, object]:
    """The record as it must have been on the wire, for the client to have made this of it."""
    record: dict[str, object] = {
        key: value for key, name in _WIRE.items() if (value := getattr(session, name)) is not None
    }
    record["serialNumber"] = int(session.serial_number)
    return record | dict(session.extra)


@attrs.define
class Arrivals:
    """What arrived of one park.

    :param zone: the park's own, in which its days begin.
    """

    name: str
    zone: ZoneInfo
    count: int = 0
    ids: set[int] = attrs.field(factory=set)
    energy_kwh: Decimal = Decimal(0)
    days: Counter[date] = attrs.field(factory=Counter)
    digest: RecordDigest = attrs.field(factory=RecordDigest)

    def add(self, sessions: Iterable[ChargingSession]) -> None:
        """Some sessions more."""
        for session in sessions:
            self.count += 1
            self.ids.add(session.id)
            self.energy_kwh += session.energy_kwh or 0
            self.days[datetime.fromtimestamp(session.from_ms / 1000, self.zone).date()] += 1
            self.digest.add(wire_record(session))

    @property
    def mean_kwh(self) -> Decimal | None:
        """Energy of a session; ``None`` where there is none."""
        return self.energy_kwh / self.count if self.count else None

    @property
    def busiest_day(self) -> date | None:
        """The day on which most sessions started; the first of several."""
        return min(self.days, key=lambda day: (-self.days[day], day), default=None)


@attrs.frozen
class Verdict:
    """How what arrived of one park, or of several, differs from the truth."""

    held: int
    """Sessions in the ledger."""
    arrived: int
    lost: int = 0
    """In the ledger, but did not arrive."""
    doubled: int = 0
    """Handed over again."""
    strange: int = 0
    """Arrived, but are not in the ledger."""
    altered_parks: int = 0
    """Parks whose sessions are the right ones, but not in every field."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        return self == Verdict(self.held, self.held)

    def describe(self) -> str:
        """The differences, for a person."""
        parts = [f"{count:,} {name}" for name, count in attrs.asdict(self).items() if count and name != "altered_parks"]
        return ", ".join(parts) + (", fields altered" if self.altered_parks else "")

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(mine + theirs for mine, theirs in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


def judge(arrivals: Arrivals, held: int, digest: str, true_ids: Callable[[], Iterable[int]]) -> Verdict:
    """Hold one park against the ledger.

    :param held: how many sessions the ledger has.
    :param digest: the ledger's digest of their records.
    :param true_ids: gives their ids; asked only where something differs, for it is much.
    """
    if (arrivals.count, arrivals.digest.text) == (held, digest):
        return Verdict(held, arrivals.count)
    truth = set(true_ids())
    lost, strange = len(truth - arrivals.ids), len(arrivals.ids - truth)
    doubled = arrivals.count - len(arrivals.ids)
    return Verdict(held, arrivals.count, lost, doubled, strange, altered_parks=int(not (lost or strange or doubled)))
