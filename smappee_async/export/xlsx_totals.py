"""Sums of sessions: of all, and for each day, park, station and card. Without I/O."""

from __future__ import annotations

from collections import defaultdict

from smappee_async.models import ChargingSession
from smappee_async.report.summary import Total
from smappee_async.secret import Opaque


class Totals(Opaque):
    """All sums of a workbook.

    :ivar parks: by park; ``None`` stands for sessions of stations whose park was not asked.
    :ivar stations: by park and serial number.
    :ivar cards: by number of the card and text that may be shown. Without a card both are ``None``; cards that are not
        shown at all are summed as one, with the number 0.
    :ivar days: by the number of the local day, in the time zone of the park, on which the session started.
    """

    def __init__(self) -> None:
        self.all = Total()
        self.parks: defaultdict[int | None, Total] = defaultdict(Total)
        self.stations: defaultdict[tuple[int | None, str], Total] = defaultdict(Total)
        self.cards: defaultdict[tuple[int | None, str | None], Total] = defaultdict(Total)
        self.days: defaultdict[int, Total] = defaultdict(Total)

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
