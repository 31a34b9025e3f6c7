"""Compares what arrived with the ledger: every field of every record, and not only the counts. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import attrs

from smappee_async.models import ChargingSession
from smappee_async.simulator.ledger import RecordDigest
from smappee_async.simulator.wire_fields import wire_record


@attrs.define
class Arrivals:
    """What arrived of one park.

    :param zone: the time zone of the park, which decides when its days begin.
    """

    name: str
    zone: ZoneInfo
    count: int = 0
    ids: set[int] = attrs.field(factory=set)
    energy_kwh: Decimal = Decimal(0)
    days: Counter[date] = attrs.field(factory=Counter)
    digest: RecordDigest = attrs.field(factory=RecordDigest)

    def add(self, sessions: Iterable[ChargingSession]) -> None:
        """Add some sessions."""
        for session in sessions:
            self.count += 1
            self.ids.add(session.id)
            self.energy_kwh += session.energy_kwh or 0
            self.days[datetime.fromtimestamp(session.from_ms / 1000, self.zone).date()] += 1
            self.digest.add(wire_record(session))

    @property
    def mean_kwh(self) -> Decimal | None:
        """Mean energy of a session, kWh; ``None`` if there is no session."""
        return self.energy_kwh / self.count if self.count else None

    @property
    def busiest_day(self) -> date | None:
        """The day on which most sessions started; of several such days the first."""
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
    """Arrived more than once."""
    strange: int = 0
    """Arrived, but are not in the ledger."""
    altered_parks: int = 0
    """Parks of which the right sessions arrived, but with other values in some fields."""

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
    """Compare one park with the ledger.

    :param held: how many sessions the ledger has.
    :param digest: the ledger's digest of their records.
    :param true_ids: returns their ids; called only if something differs, because it is a long list.
    """
    if (arrivals.count, arrivals.digest.text) == (held, digest):
        return Verdict(held, arrivals.count)
    truth = set(true_ids())
    lost, strange = len(truth - arrivals.ids), len(arrivals.ids - truth)
    doubled = arrivals.count - len(arrivals.ids)
    return Verdict(held, arrivals.count, lost, doubled, strange, altered_parks=int(not (lost or strange or doubled)))
