"""The response to a question for sessions: chosen, ordered and encoded, a slice at a time.

What has been encoded once is kept: whole responses, and the JSON of park-days that can no longer change. A large cold
response gives the event loop back between slices, for the client that is measured may live in the same loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from .cache import BytesCache
from .mixing import mix
from .schedule import LONGEST_SESSION_MS, by_start
from .wire import Record, encode, encode_records, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .assumptions import Assumptions
    from .routing import SessionQuery
    from .sessions import SimulatedSession, State
    from .world import World

_SLICE: Final = 250
"""Sessions computed or encoded at a stretch: a few milliseconds."""


class SessionResponses:
    """Answers for one world under one set of assumptions."""

    def __init__(self, world: World, assumptions: Assumptions, *, cache_bytes: int) -> None:
        self._world = world
        self._assumptions = assumptions
        self._newest_first = assumptions.order == "newest_first"
        self._whole = BytesCache(cache_bytes * 3 // 4)
        self._days = BytesCache(cache_bytes // 4)

    def ready(self, query: SessionQuery, at_ms: int) -> tuple[bytes, int] | None:
        """The JSON array and its number of sessions, if it was computed before."""
        return self._whole.get((query, at_ms))

    async def body(self, query: SessionQuery, at_ms: int) -> tuple[bytes, int]:
        """The JSON array for a query at a moment, and its number of sessions."""
        assumptions = self._assumptions
        if assumptions.order == "shuffled" or assumptions.session_limit is not None:
            records = await self.records(query, at_ms)
            body, count = encode_records(records), len(records)
        else:
            parts = await self._parts(query, at_ms)
            body = b"[" + b",".join(part for part, _ in parts) + b"]"
            count = sum(sessions for _, sessions in parts)
        self._whole.put((query, at_ms), body, count)
        return body, count

    async def records(self, query: SessionQuery, at_ms: int, *, settling_ms: int = 0) -> list[Record]:
        """The same response as records that may still be altered.

        With ``settling_ms`` the service is late to learn of an end: in half of the sessions that ended so recently
        the car still seems to charge, the other half has ended without its final reading.
        """
        assumptions, pace = self._assumptions, _Pace()
        state = _state(query, assumptions)
        start_ms, end_ms = self._bounds(query, at_ms, state, settling_ms)
        # While ends are settling, a session that has ended may have to be told as an open one.
        selection: State = "all" if settling_ms else state
        enough = None if settling_ms or assumptions.order == "shuffled" else assumptions.session_limit
        sessions: list[SimulatedSession] = []
        for key, _, _ in self._blocks(query, start_ms, end_ms):
            sessions += await self._block(query, key, start_ms, end_ms, at_ms=at_ms, state=selection, pace=pace)
            if enough is not None and len(sessions) >= enough:
                break
        if assumptions.order == "shuffled":
            sessions.sort(key=_shuffled)
        records: list[Record] = []
        for session in sessions:
            unsettled = _unsettled(session, at_ms, settling_ms)
            seems_open = session.open_at(at_ms) or unsettled == "open"
            if state == "all" or seems_open == (state == "active"):
                records.append(_settle(record(session, at_ms, assumptions), unsettled))
                if len(records) == assumptions.session_limit:
                    break
            await pace.spend(1)
        return records

    async def _parts(self, query: SessionQuery, at_ms: int) -> list[tuple[bytes, int]]:
        """Comma-separated records in the order served, with the number of them in each part."""
        state, pace = _state(query, self._assumptions), _Pace()
        start_ms, end_ms = self._bounds(query, at_ms, state)
        # Fixed parks are small or strange; what they say of a past day may depend on the moment.
        may_last = (
            self._world.parks[query.service_location_id].profile is not None
            and query.serial_number is None
            and state != "active"
        )
        parts: list[tuple[bytes, int]] = []
        for key, first_ms, last_ms in self._blocks(query, start_ms, end_ms):
            # A whole day long past is the same bytes for good.
            long_past = last_ms + LONGEST_SESSION_MS <= at_ms
            lasting = may_last and long_past and start_ms <= first_ms and last_ms <= end_ms
            day_key = (query.service_location_id, key)
            part = self._days.get(day_key) if lasting else None
            if part is None:
                sessions = await self._block(query, key, start_ms, end_ms, at_ms=at_ms, state=state, pace=pace)
                part = await self._encoded(sessions, at_ms, pace), len(sessions)
                if lasting:
                    self._days.put(day_key, *part)
            if part[1]:
                parts.append(part)
        return parts

    def _bounds(self, query: SessionQuery, at_ms: int, state: State, settling_ms: int = 0) -> tuple[int, int]:
        """The range of starts that can matter: nothing in the future, and no more of the past than needed."""
        start_ms = query.start_ms
        if state == "active":
            earliest_ms = self._world.earliest_open_ms(query.service_location_id, at_ms - settling_ms)
            start_ms = max(start_ms, earliest_ms)
        end_ms = at_ms + 1 if query.end_ms is None else min(query.end_ms, at_ms + 1)
        return start_ms, end_ms

    def _blocks(self, query: SessionQuery, start_ms: int, end_ms: int) -> Iterable[tuple[int, int, int]]:
        """Pieces of the park's schedule in the order served."""
        blocks = list(self._world.schedule(query.service_location_id).blocks(start_ms, end_ms))
        return reversed(blocks) if self._newest_first else blocks

    async def _block(
        self, query: SessionQuery, key: int, start_ms: int, end_ms: int, *, at_ms: int, state: State, pace: _Pace
    ) -> list[SimulatedSession]:
        """Sessions of one chunk of the schedule that the query selects, in the order served."""
        found: list[SimulatedSession] = []
        for part in self._world.schedule(query.service_location_id).parts(key):
            found += part
            await pace.spend(1 + len(part))
        serial_number = query.serial_number
        return [
            session
            for session in sorted(found, key=by_start, reverse=self._newest_first)
            if start_ms <= session.start_ms < end_ms
            and (serial_number is None or session.serial_number == serial_number)
            and session.in_state(state, at_ms)
        ]

    async def _encoded(self, sessions: Sequence[SimulatedSession], at_ms: int, pace: _Pace) -> bytes:
        """The records of some sessions as JSON, without the brackets of the array."""
        parts = []
        for first in range(0, len(sessions), _SLICE):
            records = [record(one, at_ms, self._assumptions) for one in sessions[first : first + _SLICE]]
            parts.append(encode(records)[1:-1])
            await pace.spend(len(records))
        return b",".join(parts)


class _Pace:
    """Gives the event loop back whenever a slice's worth of work has been done."""

    def __init__(self) -> None:
        self._spent = 0

    async def spend(self, sessions: int) -> None:
        self._spent += sessions
        if self._spent >= _SLICE:
            self._spent = 0
            await asyncio.sleep(0)


def _state(query: SessionQuery, assumptions: Assumptions) -> State:
    """The state of session that a query stands for, with ``active`` or without."""
    active = query.active
    if assumptions.active_filter == "ignored":
        return "all"
    if active is None:
        if assumptions.active_default == "everything":
            return "all"
        active = assumptions.active_default == "active"
    if active:
        return "active"
    return "all" if assumptions.active_filter == "lenient" else "completed"


def _unsettled(session: SimulatedSession, at_ms: int, settling_ms: int) -> Literal["open", "ended"] | None:
    """How a session that has ended is told while its end is still settling; ``None`` if it is told as it is."""
    if session.end_ms is None or not session.end_ms <= at_ms < session.end_ms + settling_ms:
        return None
    return "open" if mix(session.id) % 2 else "ended"


def _settle(wire: Record, unsettled: Literal["open", "ended"] | None) -> Record:
    if unsettled is not None:
        del wire["stopReading"]
        energy_kwh = wire.get("energy")
        if isinstance(energy_kwh, float):
            wire["energy"] = round(energy_kwh * 0.9, 2)
    if unsettled == "open":
        del wire["to"]
        wire["status"] = "CHARGING"
    return wire


def _shuffled(session: SimulatedSession) -> int:
    """A key that puts sessions in disorder, always the same."""
    return mix(session.id)
