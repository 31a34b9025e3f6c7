"""What the process that writes a workbook is told, and what it tells: one line of JSON each.

A session travels as the list of its fields, because that costs the event loop least. A field that is added to the
record needs no edit here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs
import msgspec

from smappee_async.models import ChargingSession
from smappee_async.secret import Opaque

_FIELDS: Final = tuple(field.name for field in attrs.fields(ChargingSession))
_RFID: Final = _FIELDS.index("rfid")
_fields_of: Final[Callable[[ChargingSession], tuple[Any, ...]]] = attrgetter(*_FIELDS)


class Sessions(Opaque, msgspec.Struct, frozen=True, tag="sessions"):
    """Sessions of parks in one time zone.

    :ivar zone: the IANA name of the time zone.
    :ivar fields: the fields of each session, with the RFID as it may be shown.
    :ivar cards: for each session a number that stands for its card, so that cards with one shown text stay apart;
        ``None`` without a card.
    """

    zone: str
    fields: list[list[Any]]
    cards: list[int | None]

    def sessions(self) -> list[ChargingSession]:
        """The sessions. Their status is a plain text, and their lists are lists; no column shows the difference."""
        return [ChargingSession(*fields) for fields in self.fields]


class End(msgspec.Struct, frozen=True, tag="end"):
    """No more sessions follow.

    :ivar about: what the sheet *About* says: labels and values.
    """

    about: Sequence[tuple[str, str | int]]


class Written(msgspec.Struct, frozen=True, tag="written"):
    """The workbook is whole.

    :ivar sessions: how many sessions it has.
    """

    sessions: int


class NotWritten(msgspec.Struct, frozen=True, tag="not written"):
    """The workbook could not be written.

    :ivar reason: why, without a name of a file.
    :ivar errno: the number of the system's error, if it was one.
    """

    reason: str
    errno: int | None = None


_encoder: Final = msgspec.json.Encoder()
_told: Final = msgspec.json.Decoder(Sessions | End)
_outcome: Final = msgspec.json.Decoder(Written | NotWritten)


def line(message: Sessions | End | Written | NotWritten) -> bytes:
    """A message as a line of JSON."""
    return _encoder.encode(message) + b"\n"


def read_told(text: bytes) -> Sessions | End:
    """What the process is told."""
    return _told.decode(text)


def read_outcome(text: bytes) -> Written | NotWritten | None:
    """What the process tells in the end; ``None`` if it is something else."""
    try:
        return _outcome.decode(text)
    except msgspec.DecodeError:
        return None


class Cards(Opaque):
    """The cards that were seen, each with its number. Its ``repr`` shows none of them.

    :param shown: an RFID as it may be shown.
    """

    def __init__(self, shown: Callable[[str], str | None]) -> None:
        self._shown = shown
        self._known: dict[str, tuple[str | None, int]] = {}

    def message(self, sessions: Sequence[ChargingSession], zone: str) -> Sessions:
        """The message that hands sessions over."""
        rows: list[list[Any]] = []
        cards: list[int | None] = []
        for session in sessions:
            row = list(_fields_of(session))
            rfid = session.rfid
            if rfid is None:
                cards.append(None)
            else:
                known = self._known.get(rfid)
                if known is None:
                    known = self._known[rfid] = (self._shown(rfid), len(self._known) + 1)
                row[_RFID], number = known
                cards.append(number)
            rows.append(row)
        return Sessions(zone, rows, cards)
