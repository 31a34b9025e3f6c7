"""A world of sessions that change, as a source of a sync: no HTTP, so that thousands of syncs take seconds."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal

import attrs

from smappee_async import ChargingSession, SessionStatus, TimeRange
from smappee_async.models import SessionState
from smappee_async.sync.source import Reading

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 1_767_225_600_000  # 2026-01-01
_MARGIN_MS = 2 * MINUTE_MS

Listed = Literal["active", "completed"] | None


@attrs.frozen
class Version:
    """How the service lists a session from an instant on; ``None`` for in neither list."""

    from_ms: int
    listed: Listed
    session: ChargingSession


@attrs.define
class ChangingWorld:
    """Parks whose sessions have versions.

    :param versions: of each park and each session, in order.
    :param before_read: called before each reading, to fail or to move the clock.
    """

    versions: dict[int, dict[int, list[Version]]]
    now_ms: int = BEGIN_MS
    requests: int = 0
    before_read: Callable[[int], None] | None = None

    def served(self, park: int, number: int) -> Version | None:
        """The version that is served now; ``None`` if the session is not known yet."""
        current = [each for each in self.versions[park][number] if each.from_ms <= self.now_ms]
        return current[-1] if current else None

    def listing(self, park: int, listed: Listed) -> list[ChargingSession]:
        """What one list of the service holds now."""
        found = (self.served(park, number) for number in self.versions.get(park, {}))
        return [each.session for each in found if each is not None and each.listed == listed]

    async def read(self, park: int, time_range: TimeRange, state: SessionState) -> Reading:
        """As a client reads it."""
        self.requests += 1
        if self.before_read is not None:
            self.before_read(park)
        listed: Listed = "active" if state == "active" else "completed"
        sessions = [each for each in self.listing(park, listed) if time_range.contains_ms(each.from_ms)]
        asked_ms = self.now_ms - _MARGIN_MS
        return Reading(sessions=sessions, asked_ms=max(time_range.start_ms, asked_ms), requests=1)

    async def backfill(
        self, park: int, time_range: TimeRange, read: Sequence[tuple[int, int | None]]
    ) -> AsyncGenerator[Reading, None]:
        """A month at a time."""
        start_ms = max([time_range.start_ms, *(end_ms for _, end_ms in read if end_ms is not None)])
        done = list(read)
        while True:
            end_ms = start_ms + 30 * DAY_MS
            reading = await self.read(park, TimeRange.from_ms(start_ms, end_ms), "completed")
            done = [(time_range.start_ms, min(end_ms, reading.asked_ms))]
            yield attrs.evolve(reading, read=done)
            if end_ms > self.now_ms:
                return
            start_ms = end_ms


def session(number: int, start_ms: int, end_ms: int | None = None, energy: float = 10.0) -> ChargingSession:
    return ChargingSession(
        id=number,
        serial_number="6100000001",
        from_ms=start_ms,
        status=SessionStatus.CHARGING if end_ms is None else SessionStatus.STOPPED,
        to_ms=end_ms,
        energy=energy,
        service_location_id=None,
    )


def by_chance(seed: int, parks: int, days: int, per_day: float = 5.0) -> ChangingWorld:
    """The mixture that a real service may show: see ``late``, ``corrected`` and so on below."""
    chance = random.Random(seed)
    versions: dict[int, dict[int, list[Version]]] = {}
    number = 0
    for park in range(1, parks + 1):
        versions[park] = {}
        for _ in range(int(days * per_day)):
            number += 1
            start_ms = BEGIN_MS + chance.randrange(days * DAY_MS)
            versions[park][number] = _life(chance, attrs.evolve(session(number, start_ms), service_location_id=park))
    return ChangingWorld(versions)


def _life(chance: random.Random, begun: ChargingSession) -> list[Version]:
    start_ms = begun.from_ms
    lasts_ms = chance.randrange(2, 15) * DAY_MS if chance.random() < 0.03 else chance.randrange(10, 600) * MINUTE_MS
    end_ms = start_ms + lasts_ms
    ended = attrs.evolve(begun, status=SessionStatus.STOPPED, to_ms=end_ms, energy=20.0)
    life = [Version(start_ms, "active", begun)]
    if chance.random() < 0.5:
        life.append(Version(start_ms + lasts_ms // 2, "active", attrs.evolve(begun, energy=12.0)))
    settled_ms = end_ms
    if chance.random() < 0.02:  # in neither list for a while
        life.append(Version(end_ms, None, begun))
        settled_ms = end_ms + chance.randrange(10, 5_000) * MINUTE_MS
    life.append(Version(settled_ms, "completed", ended))
    what = chance.random()
    later_ms = settled_ms + chance.randrange(1, 60 * 24 * 40) * MINUTE_MS
    if what < 0.03:  # corrected
        life.append(Version(later_ms, "completed", attrs.evolve(ended, energy=21.5)))
    elif what < 0.04:  # a status that goes back
        life.append(Version(settled_ms + 30 * MINUTE_MS, "active", begun))
        life.append(Version(settled_ms + 90 * MINUTE_MS, "completed", attrs.evolve(ended, energy=22.0)))
    elif what < 0.05:  # a start that moves
        moved = attrs.evolve(ended, from_ms=start_ms + chance.randrange(-50, 50) * MINUTE_MS)
        life.append(Version(later_ms, "completed", moved))
    elif what < 0.06:  # removed, and perhaps back
        life.append(Version(later_ms, None, ended))
        if chance.random() < 0.5:
            life.append(Version(later_ms + chance.randrange(1, 30) * DAY_MS, "completed", ended))
    if chance.random() < 0.02:  # late
        shown_ms = start_ms + chance.randrange(1, 20) * DAY_MS
        if chance.random() < 0.2:
            shown_ms = start_ms + 80 * DAY_MS
        earlier = [each for each in life if each.from_ms <= shown_ms]
        life = [attrs.evolve(earlier[-1], from_ms=shown_ms), *(each for each in life if each.from_ms > shown_ms)]
    return life
