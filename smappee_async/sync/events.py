"""What happens to the sessions of a copy, as typed and numbered events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, TypeAlias

import attrs

from smappee_async.models import ChargingSession
from smappee_async.sync.report import ChangeKind
from smappee_async.timerange import from_ms


@attrs.frozen(kw_only=True)
class _Event:
    """What every event says.

    :param number: its number in the copy: later events have higher numbers.
    :param at_ms: when it was read, by the clock of the service, milliseconds since 1970.
    :param before: the session as it was in the copy.
    :param after: the session as the service lists it now.
    """

    kind: ClassVar[ChangeKind]
    number: int
    at_ms: int
    before: ChargingSession | None = None
    after: ChargingSession | None = None

    @property
    def at(self) -> datetime:
        """When it was read, by the clock of the service, in UTC."""
        return from_ms(self.at_ms)

    @property
    def session(self) -> ChargingSession:
        """The session: as it is now, or as it was if it vanished."""
        session = self.after or self.before
        assert session is not None
        return session


@attrs.frozen(kw_only=True)
class Started(_Event):
    """A session runs that the copy did not have."""

    kind = "started"
    before: None = None
    after: ChargingSession


@attrs.frozen(kw_only=True)
class Updated(_Event):
    """A session that runs has changed, as its energy grows."""

    kind = "updated"
    before: ChargingSession
    after: ChargingSession


@attrs.frozen(kw_only=True)
class Ended(_Event):
    """A session is completed. ``before`` is ``None`` if it was not seen while it ran."""

    kind = "ended"
    before: ChargingSession | None = None
    after: ChargingSession


@attrs.frozen(kw_only=True)
class Corrected(_Event):
    """A session has changed after its end, as its energy settles; or it runs again."""

    kind = "corrected"
    before: ChargingSession
    after: ChargingSession


@attrs.frozen(kw_only=True)
class Vanished(_Event):
    """The service no longer lists a session."""

    kind = "vanished"
    before: ChargingSession
    after: None = None


@attrs.frozen(kw_only=True)
class Returned(_Event):
    """The service lists a session again that had vanished."""

    kind = "returned"
    before: ChargingSession
    after: ChargingSession


SessionEvent: TypeAlias = Started | Updated | Ended | Corrected | Vanished | Returned

_CLASSES: Final[Mapping[str, type[SessionEvent]]] = {
    each.kind: each for each in (Started, Updated, Ended, Corrected, Vanished, Returned)
}


def session_event(
    kind: ChangeKind, *, number: int, at_ms: int, before: ChargingSession | None, after: ChargingSession | None
) -> SessionEvent:
    """The event of a change; which of ``before`` and ``after`` there are follows from the kind."""
    return _CLASSES[kind](number=number, at_ms=at_ms, before=before, after=after)  # type: ignore[arg-type]
