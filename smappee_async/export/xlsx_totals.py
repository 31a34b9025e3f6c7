"""Sums of sessions: of all, and for each day, park, station and card. Without I/O."""

from __future__ import annotations

from collections import defaultdict
from decimal import Context, Decimal
from typing import Final

import msgspec

from smappee_async.models import ChargingSession
from smappee_async.secret import Opaque

# Wide enough that the sum of any finite floats is exact, whatever the caller's own decimal context.
_EXACT: Final = Context(prec=1100)


class Sum(msgspec.Struct):
    """How many sessions, and their energy.

    :ivar sessions: the number of sessions.
    :ivar energy_kwh: the energy of those whose energy is known, exact.
    :ivar unknown: the number of those whose energy is unknown.
    """

    sessions: int = 0
    energy_kwh: Decimal = Decimal(0)
    unknown: int = 0

    def add(self, energy_kwh: Decimal | None) -> None:
        """Add one session."""
        self.sessions += 1
        if energy_kwh is None:
            self.unknown += 1
        else:
            self.energy_kwh = _EXACT.add(self.energy_kwh, energy_kwh)


class Totals(Opaque):
    """All sums of a workbook.

    :ivar parks: by park; ``None`` stands for sessions of stations whose park was not asked.
    :ivar stations: by park and serial number.
    :ivar cards: by number of the card and text that may be shown. Without a card both are ``None``; cards that are not
        shown at all are summed as one, with the number 0.
    :ivar days: by the number of the local day, in the time zone of the park, on which the session started.
    """

    def __init__(self) -> None:
        self.all = Sum()
        self.parks: defaultdict[int | None, Sum] = defaultdict(Sum)
        self.stations: defaultdict[tuple[int | None, str], Sum] = defaultdict(Sum)
        self.cards: defaultdict[tuple[int | None, str | None], Sum] = defaultdict(Sum)
        self.days: defaultdict[int, Sum] = defaultdict(Sum)

    def add(self, session: ChargingSession, *, card: int | None, day: int) -> None:
        """Add one session, whose RFID is the text that may be shown."""
        energy_kwh, park, shown = session.energy_kwh, session.service_location_id, session.rfid
        number = 0 if card is not None and shown is None else card
        for total in (
            self.all,
            self.parks[park],
            self.stations[park, session.serial_number],
            self.cards[number, shown],
            self.days[day],
        ):
            total.add(energy_kwh)
