"""How the listing of a session changes: late, corrected, moved, removed, or in neither list for a while.

None of it is documented, and the shares and bounds are assumed [A]. A *version* is what the service lists of a session
from an instant on: the list that it is in, and the session as it is served. All versions are computed from the seed and
the id.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
from attrs.validators import and_, ge, le

from .mixing import mix, mix_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .sessions import SimulatedSession, State

Place = Literal["active", "completed", "none"]
Versions: TypeAlias = "tuple[Version, ...]"
Hidden: TypeAlias = tuple[int, int]
"""A half-open range of instants at which a session is in neither list."""

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_FOR_GOOD: Final = 1 << 62
_BITS: Final = 16
_ONE: Final = 1 << _BITS
_MASK: Final = _ONE - 1
_VERY_LATE_DAYS: Final = (80, 90)
_UNSETTLED_PERCENT: Final = 96
_from_ms: Final = attrgetter("from_ms")


def _share() -> Any:
    return attrs.field(default=0.0, validator=and_(ge(0), le(1)))


def _bound(default: int) -> Any:
    return attrs.field(default=default, validator=ge(1))


@attrs.frozen(kw_only=True)
class Changes:
    """Which share of the sessions of computed parks change, and within which bounds; by default none does.

    All of it is assumed [A]. The draws are independent, so that a few sessions change in several ways.
    """

    long_stays: float = _share()
    """Stay plugged in for days: from 1 to ``stay_days``."""
    late: float = _share()
    """Are in neither list at first, up to ``late_days`` after their start."""
    very_late: float = _share()
    """The same, for 80 to 90 days."""
    settled: float = _share()
    """End with too little energy, and get their final readings up to ``settling_minutes`` after the end."""
    corrected: float = _share()
    """Get another energy and stop reading, days or weeks after the end."""
    moved: float = _share()
    """Get another start, up to ``moved_minutes`` away: half of them before they end, half of them after."""
    reopened: float = _share()
    """Are active again for a while after their end; half of them then have a later end and more energy."""
    removed: float = _share()
    """Vanish from both lists for good."""
    returned: float = _share()
    """Vanish from both lists, and come back within ``away_days``."""
    unlisted: float = _share()
    """Are in neither list between active and completed, from a minute to ``unlisted_days``."""

    stay_days: int = _bound(30)
    late_days: int = _bound(20)
    settling_minutes: int = _bound(5)
    moved_minutes: int = _bound(30)
    unlisted_days: int = _bound(2)
    reopened_days: int = _bound(1)
    """For how long a session is active again at most."""
    away_days: int = _bound(20)
    after_days: int = _bound(60)
    """How long after its end a session is corrected, moved, reopened or removed at the latest; a late one is removed so
    long after it was listed."""

    @classmethod
    def mixture(cls) -> Changes:
        """Some of everything, in the shares for which the synchronisation was designed."""
        return cls(
            long_stays=0.03,
            late=0.02,
            very_late=0.001,
            settled=0.05,
            corrected=0.03,
            moved=0.005,
            reopened=0.01,
            removed=0.003,
            returned=0.003,
            unlisted=0.02,
        )

    @property
    def any(self) -> bool:
        """Whether any session changes."""
        return any(self.shares)

    @property
    def open_ms(self) -> int:
        """How much later than without changes a session may still be active."""
        if not self.any:
            return 0
        return (self.stay_days + self.after_days + self.reopened_days) * _DAY_MS

    @property
    def shares(self) -> tuple[float, ...]:
        """All shares, in the order in which they are drawn."""
        return (
            self.long_stays,
            self.late,
            self.very_late,
            self.settled,
            self.corrected,
            self.moved,
            self.reopened,
            self.removed,
            self.returned,
            self.unlisted,
        )


@attrs.frozen
class Version:
    """What the service lists of a session from an instant on, until that of the next version."""

    from_ms: int
    place: Place
    """The list that the session is in: ``active`` or ``completed``, or ``none``."""
    session: SimulatedSession
    """The session as it is served."""


@attrs.frozen
class Edit:
    """Fields of a session that have other values from an instant on; ``listed`` is no field, but hides a session."""

    at_ms: int
    fields: dict[str, Any]


class Versioner:
    """Gives the versions of sessions, for one seed and one set of changes."""

    def __init__(self, changes: Changes, *, seed: int) -> None:
        self._changes = changes
        self._root = mix_all(seed, 11)
        self._limits = [round(share * _ONE) for share in changes.shares]

    def drawn(self, session: SimulatedSession) -> Versions | None:
        """The versions of a computed session; ``None`` if it does not change but for its end."""
        dice, limits = mix(self._root ^ session.id), self._limits
        more, most = mix(dice), mix(dice + 1)
        struck = [
            ((dice, more, most)[number >> 2] >> _BITS * (number & 3)) & _MASK < limit
            for number, limit in enumerate(limits)
        ]
        if not any(struck) or session.end_ms is None:
            return None
        return self._changed(session, session.end_ms, struck, _Draws(dice))

    def _changed(self, session: SimulatedSession, end_ms: int, struck: Sequence[bool], draws: _Draws) -> Versions:
        changes = self._changes
        stays, late, very_late, settled, corrected, moved, reopened, removed, returned, unlisted = struck
        after_ms = changes.after_days * _DAY_MS
        start_ms, energy_ckwh = session.start_ms, session.energy_ckwh
        edits: list[Edit] = []
        hidden: list[Hidden] = []
        if stays:
            end_ms = max(end_ms, start_ms + draws.between(_DAY_MS, changes.stay_days * _DAY_MS))
            session = attrs.evolve(session, end_ms=end_ms)
        if late:
            hidden.append((start_ms, start_ms + draws.between(_MINUTE_MS, changes.late_days * _DAY_MS)))
        if very_late:
            least, most = _VERY_LATE_DAYS
            hidden.append((start_ms, start_ms + draws.between(least * _DAY_MS, most * _DAY_MS)))
        if unlisted:
            # Most are away for less than an hour, and a few for days.
            hidden.append((end_ms, end_ms + draws.often_short(_MINUTE_MS, changes.unlisted_days * _DAY_MS)))
        if settled:
            session = attrs.evolve(session, energy_ckwh=energy_ckwh * _UNSETTLED_PERCENT // 100)
            settled_ms = end_ms + draws.between(1000, changes.settling_minutes * _MINUTE_MS)
            edits.append(Edit(settled_ms, {"energy_ckwh": energy_ckwh}))
        if corrected:
            energy_ckwh += draws.between(1, 1 + energy_ckwh // 10)
            edits.append(Edit(end_ms + draws.between(_DAY_MS // 2, after_ms), {"energy_ckwh": energy_ckwh}))
        if moved:
            after = draws.between(0, 1)
            at_ms = end_ms + draws.often_short(_MINUTE_MS, after_ms) if after else draws.between(start_ms, end_ms)
            by_ms = draws.between(_MINUTE_MS, changes.moved_minutes * _MINUTE_MS) * (1 - 2 * draws.between(0, 1))
            # No session starts after the moment at which that is said, or after its end.
            edits.append(Edit(at_ms, {"start_ms": min(start_ms + by_ms, at_ms, end_ms - 1)}))
        if reopened:
            at_ms = end_ms + draws.often_short(_MINUTE_MS, after_ms)
            until_ms = at_ms + draws.between(10 * _MINUTE_MS, changes.reopened_days * _DAY_MS)
            edits.append(Edit(at_ms, {"end_ms": until_ms}))
            if draws.between(0, 1):
                edits.append(Edit(until_ms, {"energy_ckwh": energy_ckwh + draws.between(1, 500)}))
            else:
                edits.append(Edit(until_ms, {"end_ms": end_ms}))
        # A session has been listed before it vanishes, or it would be no session at all.
        listed_ms = max([end_ms, *(until_ms for _, until_ms in hidden)])
        if removed:
            hidden.append((listed_ms + draws.between(_HOUR_MS, after_ms), _FOR_GOOD))
        if returned:
            gone_ms = listed_ms + draws.between(_HOUR_MS, after_ms)
            hidden.append((gone_ms, gone_ms + draws.between(_HOUR_MS, changes.away_days * _DAY_MS)))
        return versions_of(session, edits, hidden, first_ms=start_ms)


class _Draws:
    """Whole numbers from one seed, one after the other."""

    def __init__(self, seed: int) -> None:
        self._dice = seed

    def between(self, least: int, most: int) -> int:
        """A number from ``least`` to ``most``, both included."""
        self._dice = mix(self._dice ^ _FOR_GOOD)
        return least + self._dice % (max(least, most) - least + 1)

    def often_short(self, least: int, most: int) -> int:
        """The same, but most numbers are near ``least``."""
        share = self.between(0, 1 << 20)
        return least + (max(least, most) - least) * share**3 // (1 << 60)


def versions_of(
    session: SimulatedSession, edits: Iterable[Edit], hidden: Sequence[Hidden] = (), *, first_ms: int | None = None
) -> Versions:
    """The versions of a session that is edited at some instants, and in neither list in some ranges.

    Every version is listed as its session says: it is active until its end, and completed from then on.
    """
    ordered = sorted(edits, key=attrgetter("at_ms"))
    begin_ms = session.start_ms if first_ms is None else first_ms
    points = {begin_ms, *(edit.at_ms for edit in ordered)}
    points.update(at_ms for bounds in hidden for at_ms in bounds if at_ms < _FOR_GOOD)
    instants = sorted(at_ms for at_ms in points if at_ms >= begin_ms)
    versions: list[Version] = []
    position = 0
    for at_ms, next_ms in zip(instants, [*instants[1:], _FOR_GOOD], strict=True):
        while position < len(ordered) and ordered[position].at_ms <= at_ms:
            session = attrs.evolve(session, **ordered[position].fields)
            position += 1
        if any(start_ms <= at_ms < end_ms for start_ms, end_ms in hidden) or session.start_ms > at_ms:
            _add(versions, at_ms, "none", session)
            if session.start_ms >= next_ms or any(start_ms <= at_ms < end_ms for start_ms, end_ms in hidden):
                continue
            at_ms = session.start_ms  # noqa: PLW2901 - it begins within this interval
        if session.open_at(at_ms):
            _add(versions, at_ms, "active", session)
            if session.end_ms is not None and session.end_ms < next_ms:
                _add(versions, session.end_ms, "completed", session)
        else:
            _add(versions, at_ms, "completed", session)
    return tuple(versions)


def _add(versions: list[Version], at_ms: int, place: Place, session: SimulatedSession) -> None:
    last = versions[-1] if versions else None
    if place == (last.place if last else "none") and (place == "none" or (last and session == last.session)):
        return
    versions.append(Version(at_ms, place, session))


def explicit(session: SimulatedSession) -> Versions | None:
    """The versions of a session that says itself how it changes; ``None`` if it does not."""
    if not session.later:
        return None
    edits: list[Edit] = []
    hidden: list[Hidden] = []
    hidden_ms: int | None = None
    for edit in sorted(session.later, key=attrgetter("at_ms")):
        fields = dict(edit.fields)
        listed = fields.pop("listed", None)
        edits.append(Edit(edit.at_ms, fields))
        if listed is False and hidden_ms is None:
            hidden_ms = edit.at_ms
        elif listed and hidden_ms is not None:
            hidden.append((hidden_ms, edit.at_ms))
            hidden_ms = None
    if hidden_ms is not None:
        hidden.append((hidden_ms, _FOR_GOOD))
    return versions_of(session, edits, hidden)


def moved_ms(session: SimulatedSession) -> int:
    """By how much a session says that its start is corrected at most."""
    starts = (edit.fields.get("start_ms", session.start_ms) for edit in session.later)
    return max((abs(start_ms - session.start_ms) for start_ms in starts), default=0)


def version_at(versions: Versions, at_ms: int) -> Version | None:
    """The version that holds at an instant; ``None`` before the first."""
    position = bisect_right(versions, at_ms, key=_from_ms)
    return versions[position - 1] if position else None


class ChangingBlock:
    """The sessions of one block of a schedule, with the versions of those that change."""

    def __init__(self, entries: list[tuple[SimulatedSession, Versions | None]]) -> None:
        self.entries = entries
        self._active_until_ms = max((_active_until_ms(*entry) for entry in entries), default=0)

    def served(self, start_ms: int, end_ms: int, state: State, at_ms: int) -> list[SimulatedSession]:
        """The sessions in ``state`` at a moment, as they are served, whose start as served is in the range."""
        if state == "active" and at_ms >= self._active_until_ms:
            return []
        found: list[SimulatedSession] = []
        for session, versions in self.entries:
            if versions is None:
                if start_ms <= session.start_ms < end_ms and session.in_state(state, at_ms):
                    found.append(session)
                continue
            version = version_at(versions, at_ms)
            if version is None or version.place == "none" or (state not in ("all", version.place)):
                continue
            if start_ms <= version.session.start_ms < end_ms:
                found.append(version.session)
        return found


def _active_until_ms(session: SimulatedSession, versions: Versions | None) -> int:
    if versions is None:
        return _FOR_GOOD if session.end_ms is None else session.end_ms
    if versions and versions[-1].place == "active":
        return _FOR_GOOD
    return max((after.from_ms for before, after in zip(versions, versions[1:]) if before.place == "active"), default=0)  # noqa: B905, RUF007
