"""The sessions of a park, in blocks by start. Most are computed from the seed and not stored.

A *day* of a computed schedule begins at the opening hour of the profile, in local time, and ends at the next day's. A
session belongs to the day in which it starts. Days follow one another without a gap, so that the sessions of several
days are in order if those of each day are.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

import attrs

from .mixing import mix, mix_all
from .sessions import SimulatedSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .parks import Park, Profile

LONGEST_SESSION_MS: Final = 4 * 24 * 3_600_000
"""The longest duration of a computed session: no session that is open now started earlier than this before now."""

# The layout of a session id: the day, the connector in the world, the session of the day. Such an id is unique without
# a register, grows from day to day as real ids do, and stays below 2**53, the limit of JavaScript's integers.
_SLOT_BITS: Final = 5
_CONNECTOR_BITS: Final = 22
CONNECTORS_IN_A_WORLD: Final = 1 << _CONNECTOR_BITS

by_start: Final = attrgetter("start_ms")
"""The order of sessions in time."""

_FIXED_BLOCK: Final = 1000
_PLANNED_WEEKS: Final = 8
_FIRST_SERIAL_NUMBER: Final = 6_200_000_000
_CONNECTORS_PER_STATION: Final = 2
_FRIDAY: Final = 4
# Of _KINDS sessions _WITH_CARD begin with a card and _WITH_USER with a card or an app; the others have neither.
_KINDS: Final = 20
_WITH_CARD: Final = 14
_WITH_USER: Final = 17
# Odd factors that make draws for different purposes independent.
_READINGS: Final = 0x2545F4914F6CDD1D
_DAYS: Final = 0xD6E8FEB86659FD93
_SHARE: Final = 1 << 16
_SMART_MODES: Final = ("NORMAL", "SMART", "SOLAR")
_MAX_AMPERES: Final = ((16,), (32,), (16, 16, 16), (32, 32, 32))
_PRIORITIES: Final = (100, 50, 50, 10)


class Schedule(Protocol):
    """The sessions of a park, in blocks that follow one another by start."""

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int]]:
        """``(key, first_ms, last_ms)`` of the blocks that hold the sessions of a half-open range, in order.

        A block holds the sessions with ``first_ms <= start < last_ms``. The range may begin or end inside a block.
        """
        ...

    def parts(self, key: int) -> Iterator[Sequence[SimulatedSession]]:
        """The sessions of one block in any order, a few at a time, so that the caller may pause."""
        ...


@attrs.frozen
class _Week:
    """What a connector does in a week: the sessions of each day, and the energy."""

    counts: tuple[int, ...]
    shares: tuple[int, ...]
    long_weekend: bool
    reading_ckwh: int
    energy_ckwh: int


class FixedSchedule:
    """Given sessions, in blocks of a fixed size."""

    def __init__(self, sessions: Sequence[SimulatedSession]) -> None:
        self._sessions = sessions

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int]]:
        """See :class:`Schedule`; the key is the position of the first session of a block."""
        sessions = self._sessions
        first = bisect_left(sessions, start_ms, key=by_start) // _FIXED_BLOCK * _FIXED_BLOCK
        last = bisect_left(sessions, end_ms, key=by_start)
        for key in range(first, last, _FIXED_BLOCK):
            final = min(key + _FIXED_BLOCK, len(sessions)) - 1
            yield key, sessions[key].start_ms, sessions[final].start_ms + 1

    def parts(self, key: int) -> Iterator[Sequence[SimulatedSession]]:
        """See :class:`Schedule`."""
        yield self._sessions[key : key + _FIXED_BLOCK]


class ComputedSchedule:
    """The computed sessions of a park with a profile; a block is one day."""

    def __init__(self, park: Park, profile: Profile, *, seed: int, first_connector: int) -> None:
        self._profile = profile
        self._zone = ZoneInfo(park.timezone)
        self._opened = park.opened.toordinal()
        self._first_connector = first_connector
        self._connectors = range(park.connectors)
        self._root = mix_all(seed, park.service_location_id)
        self._roots = [mix(self._root + connector) for connector in self._connectors]
        self._mean_week_ckwh = int(profile.sessions_per_week * profile.energy_per_session_kwh * 100)
        self._openings: dict[int, int] = {}
        # Days are read in order, by a few callers at a time, so the plans of a week serve all its days.
        self._plans: dict[int, dict[int, _Week]] = {}
        cards = profile.cards_per_connector * min(park.connectors, 12)
        self._rfids = [f"{mix_all(self._root, 1, card):016X}"[:14] for card in range(cards)]
        self._users = [10_000 + mix_all(self._root, 2, card) % 900_000 for card in range(cards)]

    def serial_number(self, connector: int) -> int:
        """Serial number of the station that a connector of the park is on: ten digits, the first a 6."""
        return _FIRST_SERIAL_NUMBER + (self._first_connector + connector) // _CONNECTORS_PER_STATION

    def serial_numbers(self) -> Iterator[int]:
        """Serial numbers of the park's stations."""
        return iter(dict.fromkeys(self.serial_number(connector) for connector in self._connectors))

    def blocks(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int]]:
        """See :class:`Schedule`; the key is the ordinal of a day."""
        start_ms = max(start_ms, self._opening_ms(self._opened))
        if start_ms >= end_ms:
            return
        day = self._day_of(start_ms)
        first_ms = self._opening_ms(day)
        while first_ms < end_ms:
            next_ms = self._opening_ms(day + 1)
            yield day, first_ms, next_ms
            day, first_ms = day + 1, next_ms

    def parts(self, key: int) -> Iterator[Sequence[SimulatedSession]]:
        """See :class:`Schedule`; a connector at a time."""
        for connector in self._connectors:
            yield self._sessions_of(connector, key)

    def _opening_ms(self, day: int) -> int:
        """The instant at which a day begins; ``day`` is an ordinal as of ``date.toordinal``."""
        opening_ms = self._openings.get(day)
        if opening_ms is None:
            local = date.fromordinal(day)
            opening = datetime(local.year, local.month, local.day, self._profile.opening_hour, tzinfo=self._zone)
            opening_ms = self._openings[day] = int(opening.timestamp()) * 1000
        return opening_ms

    def _day_of(self, at_ms: int) -> int:
        day = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(self._zone).toordinal()
        return day if self._opening_ms(day) <= at_ms else day - 1

    def _week(self, connector: int, number: int) -> _Week:
        plans = self._plans.get(number)
        if plans is None:
            if len(self._plans) == _PLANNED_WEEKS:
                del self._plans[next(iter(self._plans))]
            plans = self._plans[number] = {}
        week = plans.get(connector)
        if week is None:
            week = plans[connector] = self._plan_week(connector, number)
        return week

    def _plan_week(self, connector: int, number: int) -> _Week:
        profile = self._profile
        dice = mix(self._roots[connector] ^ number)
        long_weekend = bool(profile.long_weekend_one_in) and dice % profile.long_weekend_one_in == 0
        counts = [
            least + ((dice >> (8 + 6 * weekday)) & 63) * (spare + 1) // 64
            for weekday, (least, spare) in enumerate(zip(profile.least, profile.spare, strict=True))
        ]
        if long_weekend:
            counts[_FRIDAY:] = [1, 0, 0]
        reading_ckwh = self._reading_ckwh(connector, number)
        return _Week(
            counts=tuple(counts),
            shares=tuple(accumulate(counts, initial=0)),
            long_weekend=long_weekend,
            reading_ckwh=reading_ckwh,
            energy_ckwh=self._reading_ckwh(connector, number + 1) - reading_ckwh,
        )

    def _reading_ckwh(self, connector: int, week: int) -> int:
        """Meter reading at the start of a week.

        A straight line plus bounded noise: it can be computed without the weeks before, and it always rises.
        """
        mean_ckwh = self._mean_week_ckwh
        weeks = week - (self._opened - 1) // 7
        return (weeks + 1) * mean_ckwh + mix(self._roots[connector] + week * _READINGS) % (mean_ckwh // 2)

    def _sessions_of(self, connector: int, day: int) -> list[SimulatedSession]:
        sessions: list[SimulatedSession] = []
        number, weekday = divmod(day - 1, 7)  # ordinal 1 was a Monday
        week = self._week(connector, number)
        count = week.counts[weekday]
        if not count:
            return sessions
        is_long = week.long_weekend and weekday == _FRIDAY
        opening_ms = self._opening_ms(day)
        room_ms = self._opening_ms(day + 3 if is_long else day + 1) - opening_ms
        times = []
        dice_of_day = mix(self._roots[connector] + day * _DAYS)
        for slot in range(count):
            slot_ms = opening_ms + room_ms * slot // count
            width_ms = opening_ms + room_ms * (slot + 1) // count - slot_ms
            dice = mix(dice_of_day + slot)
            late, long = dice & (_SHARE - 1), (dice >> 16) & (_SHARE - 1)
            # Shares of the slot, in percent: at most 40 + 58 for a usual session, 3 + 95 for a long one.
            start_ms = slot_ms + width_ms * (3 if is_long else 40) * late // (100 * _SHARE)
            least, spare = (68, 27) if is_long else (22, 36)
            times.append((start_ms, start_ms + width_ms * (least * _SHARE + spare * long) // (100 * _SHARE), dice))

        # Energy goes by time connected; whole hundredths, cut at running totals so that nothing is lost to rounding.
        total_share = week.shares[-1]
        reading_ckwh = week.reading_ckwh + week.energy_ckwh * week.shares[weekday] // total_share
        day_ckwh = week.reading_ckwh + week.energy_ckwh * week.shares[weekday + 1] // total_share - reading_ckwh
        connected_ms = sum(end_ms - start_ms for start_ms, end_ms, _ in times)
        so_far_ms, before_ckwh = 0, 0

        global_connector = self._first_connector + connector
        first_id = ((day << _CONNECTOR_BITS) + global_connector) << _SLOT_BITS
        serial_number = self.serial_number(connector)
        position = global_connector % _CONNECTORS_PER_STATION + 1
        for slot, (start_ms, end_ms, dice) in enumerate(times):
            so_far_ms += end_ms - start_ms
            after_ckwh = day_ckwh * so_far_ms // connected_ms
            kind = (dice >> 32) % _KINDS
            card = (dice >> 37) % len(self._rfids)
            with_card = kind < _WITH_CARD
            sessions.append(
                SimulatedSession(
                    first_id + slot,
                    start_ms,
                    end_ms,
                    serial_number,
                    position,
                    reading_ckwh + before_ckwh,
                    after_ckwh - before_ckwh,
                    # Only "RFID" is documented; a value for app users is assumed, and others go without one.
                    "RFID" if with_card else ("APP" if kind < _WITH_USER else None),
                    self._rfids[card] if with_card else None,
                    self._users[card] if kind < _WITH_USER else None,
                    f"TX{dice & 0xFFFFFFFF:08X}" if dice >> 62 == 0 else "",
                    50 + 50 * ((dice >> 44) & 3),
                    2 + ((dice >> 46) & 7),
                    _PRIORITIES[(dice >> 49) & 3],
                    (dice >> 51) & 31 == 0,
                    (dice >> 56) & 15 == 0,
                    _SMART_MODES[(dice >> 53) % 3],
                    25 * ((dice >> 58) % 5),
                    _MAX_AMPERES[(dice >> 60) & 3],
                    (dice >> 55) & 7 == 0,
                )
            )
            before_ckwh = after_ckwh
        return sessions
