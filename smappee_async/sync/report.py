"""What a sync did: the account that it returns, and the changes that it found."""

from __future__ import annotations

from typing import Literal

import attrs

from smappee_async.errors import SmappeeError
from smappee_async.models import ChargingSession, InvalidRecord

ChangeKind = Literal["started", "updated", "ended", "corrected", "vanished", "returned"]
"""``started`` and ``ended`` are what a session does; ``updated`` is a change while it runs, ``corrected`` one after its
end, or a status that went back; ``vanished`` says that the service no longer lists it, ``returned`` that it does again.
"""


@attrs.frozen(kw_only=True)
class ParkFailure:
    """A park that could not be read; its part of the copy, and what is remembered of it, are as they were."""

    service_location_id: int
    error: SmappeeError


@attrs.frozen(kw_only=True)
class SyncReport:
    """The account of one sync.

    :param parks: parks that were read whole, or as far as the backfill came.
    :param new: sessions that the copy did not have.
    :param changed: sessions that differ from the copy, those of ``ended`` included.
    :param ended: sessions that ran before, and are complete now.
    :param vanished: sessions that the service no longer lists; they stay in the copy, with the time.
    :param returned: vanished ones that it lists again.
    :param unchanged: sessions that were read and are as the copy has them; nothing was written for them.
    :param superseded: parks that another sync wrote at the same time; what this one had read was dropped.
    :param requests: requests sent, retries included.
    :param failures: the parks that could not be read.
    :param invalid: records that could not be read.
    """

    parks: int = 0
    new: int = 0
    changed: int = 0
    ended: int = 0
    vanished: int = 0
    returned: int = 0
    unchanged: int = 0
    superseded: int = 0
    requests: int = 0
    failures: tuple[ParkFailure, ...] = ()
    invalid: tuple[InvalidRecord, ...] = ()

    def __add__(self, other: SyncReport) -> SyncReport:
        """Both together."""
        names = (field.name for field in attrs.fields(SyncReport))
        return SyncReport(**{name: getattr(self, name) + getattr(other, name) for name in names})


@attrs.frozen(kw_only=True)
class SessionChange:
    """One change of one session.

    :param at_ms: when it was read, by the clock of the service, milliseconds since 1970.
    :param is_new: whether the copy did not have it.
    :param after: what the service says now; ``None`` for a session that vanished.
    """

    kind: ChangeKind
    service_location_id: int
    id: int
    at_ms: int
    is_new: bool = False
    after: ChargingSession | None = None
