"""One visit of one park: which sessions to ask for, and what follows from what came. Pure.

Sessions are asked for by their start, so a change of an old session shows only where its start is read again. Three
ways find it: all sessions that run, however old; all that started in a window that follows from the tiers; and single
sessions that ran at the last visit, run no longer, and started before that window.

**The window begins at the last read of a tier less its age**, not at now less its age: a late sync would leave a hole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Final

import attrs

from smappee_async.models import ChargingSession
from smappee_async.sync.report import ChangeKind, SessionChange
from smappee_async.sync.state import Missing, ParkState
from smappee_async.sync.tiers import Tier

#: A start may be corrected by this much, and a session be found in the service later than it started.
MARGIN_MS: Final = 3_600_000
#: A session is taken for removed when it is absent from two whole reads that are this far apart.
VANISHED_AFTER_MS: Final = 3_600_000
#: So many sessions are compared in a step.
_STEP: Final = 1_000
_FIRST_WAIT_MS: Final = 15 * 60_000
_LONGEST_WAIT_MS: Final = 7 * 86_400_000


@attrs.frozen
class Window:
    """What is asked for of the completed sessions: those that started since then.

    :param start_ms: milliseconds since 1970.
    :param tiers: which tiers are read with it, by position.
    :param is_due: whether one of them is due.
    """

    start_ms: int
    tiers: frozenset[int]
    is_due: bool


def last_reads_ms(state: ParkState, tiers: Sequence[Tier]) -> list[int]:
    """When each tier was read last; one that was added since then was never read."""
    known = state.tiers_ms[: len(tiers)]
    return known + [state.since_ms] * (len(tiers) - len(known))


def window(state: ParkState, tiers: Sequence[Tier], now_ms: int) -> Window:
    """One window for all tiers that are due; tiers that it covers anyway are read with it."""
    last_ms = last_reads_ms(state, tiers)
    begins_ms = [min(last, now_ms) - tier.age_ms for tier, last in zip(tiers, last_ms, strict=True)]
    due = [begin for tier, last, begin in zip(tiers, last_ms, begins_ms, strict=True) if tier.is_due(last, now_ms)]
    start_ms = max(state.since_ms, min(due, default=now_ms) - MARGIN_MS)
    return Window(start_ms, covered(state, tiers, now_ms, start_ms), is_due=bool(due))


def covered(state: ParkState, tiers: Sequence[Tier], now_ms: int, start_ms: int) -> frozenset[int]:
    """The tiers that are read whole with what started since then."""
    begins_ms = (min(last, now_ms) - tier.age_ms for tier, last in zip(tiers, last_reads_ms(state, tiers), strict=True))
    return frozenset(number for number, begin in enumerate(begins_ms) if max(begin, state.since_ms) >= start_ms)


def to_ask_for(state: ParkState, active: Iterable[int], begin_ms: int, now_ms: int) -> dict[int, int]:
    """The sessions that are asked for one by one: id and start.

    :param active: ids of the sessions that run now.
    :param begin_ms: where the window of this visit begins.
    """
    runs = set(active)
    gone = {number: start for number, start in state.open.items() if number not in runs and start < begin_ms}
    due = {
        number: missing.start_ms
        for number, missing in state.missing.items()
        if number not in runs and missing.start_ms < begin_ms and missing.next_ms <= now_ms
    }
    return gone | due


@attrs.frozen
class Known:
    """What the copy has of one session."""

    start_ms: int
    fingerprint: bytes
    is_vanished: bool


@attrs.frozen(kw_only=True)
class Found:
    """What one visit read.

    :param sessions: with their fingerprints, by id; of the active and the completed one with an id, the completed one.
    :param active: ids of those that run.
    :param begin_ms: all sessions that started since then were read, ...
    :param until_ms: ... and had started by then.
    :param asked: ids of the sessions that were asked for one by one.
    :param is_whole: whether every record could be read. If not, a session that did not come is not taken for missing.
    :param read_ms: when the visit was, by the clock of the service.
    """

    sessions: Mapping[int, tuple[ChargingSession, bytes]]
    active: frozenset[int]
    begin_ms: int
    until_ms: int
    asked: frozenset[int] = frozenset()
    is_whole: bool = True
    read_ms: int

    def covers(self, number: int, start_ms: int) -> bool:
        """Whether a session that is listed must be in it."""
        # Not at the edge of the window: the start may have moved across it.
        in_window = self.begin_ms + MARGIN_MS <= start_ms < self.until_ms
        return self.is_whole and (number in self.asked or in_window)


@attrs.frozen(kw_only=True)
class Outcome:
    """What follows from a visit.

    :param changes: one for each session that differs from the copy; their sessions are written.
    :param unchanged: how many are as the copy has them.
    """

    state: ParkState
    changes: list[SessionChange]
    unchanged: int


def reconciling(
    park: int, state: ParkState, known: Mapping[int, Known], found: Found
) -> Generator[None, None, Outcome]:
    """Compare what was read with the copy, in steps that take a millisecond or so each.

    :param known: what the copy has of the sessions that were read, asked for, or are in the window.
    """
    changes: list[SessionChange] = []
    unchanged = 0
    for position, (number, (session, mark)) in enumerate(found.sessions.items(), 1):
        if position % _STEP == 0:
            yield
        kind = _kind(state, known.get(number), mark, runs=number in found.active, number=number)
        if kind is None:
            unchanged += 1
            continue
        changes.append(
            SessionChange(
                kind=kind,
                service_location_id=park,
                id=number,
                at_ms=found.read_ms,
                is_new=number not in known,
                after=session,
            )
        )
    missing = yield from _missing(state, known, found)
    for number, each in missing.items():
        before = known.get(number)
        was_missed_again = found.covers(number, each.start_ms) and found.read_ms - each.missed_ms >= VANISHED_AFTER_MS
        if before is not None and not before.is_vanished and was_missed_again:
            changes.append(SessionChange(kind="vanished", service_location_id=park, id=number, at_ms=found.read_ms))
    vanished = {change.id for change in changes if change.kind == "vanished"}
    return Outcome(
        state=attrs.evolve(
            state,
            open={number: found.sessions[number][0].from_ms for number in sorted(found.active)},
            # Whatever ran when it was seen last is asked for until it is seen completed.
            missing={number: each for number, each in missing.items() if each.was_open or number not in vanished},
        ),
        changes=changes,
        unchanged=unchanged,
    )


def _kind(state: ParkState, before: Known | None, mark: bytes, *, runs: bool, number: int) -> ChangeKind | None:
    """What happened to a session that was read; ``None`` if nothing did."""
    if before is None:
        return "started" if runs else "ended"
    if before.is_vanished:
        return "returned"
    if before.fingerprint == mark:
        return None
    ran = number in state.open or (number in state.missing and state.missing[number].was_open)
    if runs:
        return "updated" if ran else "corrected"
    return "ended" if ran else "corrected"


def _missing(state: ParkState, known: Mapping[int, Known], found: Found) -> Generator[None, None, dict[int, Missing]]:
    """The sessions that are in neither list after this visit."""
    missing = {number: each for number, each in state.missing.items() if number not in found.sessions}
    for number, start_ms in state.open.items():
        if number not in found.sessions and number not in missing:
            missing[number] = _first(start_ms, found.read_ms, was_open=True)
    for position, (number, before) in enumerate(known.items(), 1):
        if position % _STEP == 0:
            yield
        if number in found.sessions or number in missing or before.is_vanished:
            continue
        if found.covers(number, before.start_ms):
            missing[number] = _first(before.start_ms, found.read_ms, was_open=False)
    return {
        number: _again(each, found.read_ms)
        if number in state.missing and each.next_ms <= found.read_ms and found.covers(number, each.start_ms)
        else each
        for number, each in missing.items()
    }


def _first(start_ms: int, read_ms: int, *, was_open: bool) -> Missing:
    return Missing(start_ms=start_ms, missed_ms=read_ms, next_ms=read_ms + _FIRST_WAIT_MS, was_open=was_open)


def _again(missing: Missing, read_ms: int) -> Missing:
    # The exponent is clamped, because 2**1024 overflows a float and no wait is longer anyway.
    wait_ms = min(_FIRST_WAIT_MS * 2 ** min(missing.tries + 1, 20), _LONGEST_WAIT_MS)
    return attrs.evolve(missing, tries=missing.tries + 1, next_ms=read_ms + wait_ms)
