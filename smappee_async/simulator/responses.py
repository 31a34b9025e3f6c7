"""The JSON of responses with sessions: selected, ordered and encoded, a slice at a time.

Encoded JSON is cached: whole responses, and the days of parks that cannot change any more. A large response that is not
cached yields to the event loop between slices, because the client that is measured may run in the same loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

import attrs

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
"""Sessions that are computed or encoded without yielding to the event loop: a few milliseconds."""


class SessionResponses:
    """The responses of one world under one set of assumptions.

    :param cache_bytes: the most memory for encoded JSON.
    """

    def __init__(self, world: World, assumptions: Assumptions, *, cache_bytes: int) -> None:
        self._world = world
        self._assumptions = assumptions
        self._newest_first = assumptions.order == "newest_first"
        self._is_limited = assumptions.size_limit_bytes is not None or (
            assumptions.session_limit is not None or bool(assumptions.session_limit_by_park)
        )
        self._whole = BytesCache(cache_bytes * 3 // 4)
        self._days = BytesCache(cache_bytes // 4)

    def ready(self, query: SessionQuery, at_ms: int) -> tuple[bytes, int] | None:
        """The JSON array and its number of sessions, if they are cached."""
        return self._whole.get((query, at_ms))

    async def body(self, query: SessionQuery, at_ms: int) -> tuple[bytes, int]:
        """The JSON array for a query at a moment, and its number of sessions."""
        assumptions = self._assumptions
        if assumptions.order == "shuffled" or self._is_limited:
            records = await self.records(query, at_ms)
            body, count = encode_records(records), len(records)
        else:
            parts = await self._parts(query, at_ms)
            body = b"[" + b",".join(part for part, _ in parts) + b"]"
            count = sum(sessions for _, sessions in parts)
        self._whole.put((query, at_ms), body, count)
        return body, count

    async def records(self, query: SessionQuery, at_ms: int, *, settling_ms: int = 0) -> list[Record]:
        """The records of the same response, which the caller may alter.

        With ``settling_ms`` the service learns of an end too late: of the sessions that ended so recently, half still
        seem to charge, and half have ended without their final reading.
        """
        assumptions, yielder = self._assumptions, _Yielder()
        state = _state(query, assumptions)
        start_ms, end_ms = self._bounds(query, at_ms, state, settling_ms)
        limit = self._session_limit(query.service_location_id) if assumptions.limit_keeps == "first" else None
        # With a settling time, a session that has ended may have to be sent as an open one.
        selection: State = "all" if settling_ms else state
        enough = None if settling_ms or assumptions.order == "shuffled" else limit
        sessions: list[SimulatedSession] = []
        if self._world.changing(query.service_location_id):
            sessions = await self._served(query, start_ms, end_ms, at_ms=at_ms, state=selection, yielder=yielder)
        else:
            for key, _, _ in self._blocks(query, start_ms, end_ms):
                sessions += await self._block(
                    query, key, start_ms, end_ms, at_ms=at_ms, state=selection, yielder=yielder
                )
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
                if len(records) == limit:
                    break
            await yielder.spend(1)
        return self._limited(records, query.service_location_id) if self._is_limited else records

    def _session_limit(self, park: int) -> int | None:
        by_park = self._assumptions.session_limit_by_park or {}
        return by_park.get(park, self._assumptions.session_limit)

    def _limited(self, records: list[Record], park: int) -> list[Record]:
        """The records that a limit keeps, in the order served."""
        assumptions = self._assumptions
        kept = list(range(len(records)))
        if assumptions.limit_keeps != "first":
            kept.sort(key=lambda each: int(str(records[each]["from"])), reverse=assumptions.limit_keeps == "newest")
        kept = kept[: self._session_limit(park)]
        if assumptions.size_limit_bytes is not None:
            size_bytes = len(b"[]")
            for number, each in enumerate(kept):
                size_bytes += len(encode(records[each])) + (number > 0)
                if size_bytes > assumptions.size_limit_bytes:
                    del kept[number:]
                    break
        return [records[each] for each in sorted(kept)]

    async def _parts(self, query: SessionQuery, at_ms: int) -> list[tuple[bytes, int]]:
        """Comma-separated records in the order served, with the number of them in each part."""
        state, yielder = _state(query, self._assumptions), _Yielder()
        start_ms, end_ms = self._bounds(query, at_ms, state)
        if self._world.changing(query.service_location_id):
            served = await self._served(query, start_ms, end_ms, at_ms=at_ms, state=state, yielder=yielder)
            return [(await self._encoded(served, at_ms, yielder), len(served))] if served else []
        # The records of fixed sessions may depend on the moment, even on days long past.
        may_last = (
            self._world.parks[query.service_location_id].profile is not None
            and query.serial_number is None
            and state != "active"
        )
        parts: list[tuple[bytes, int]] = []
        for key, first_ms, last_ms in self._blocks(query, start_ms, end_ms):
            # A whole day long past does not change any more.
            long_past = last_ms + LONGEST_SESSION_MS <= at_ms
            lasting = may_last and long_past and start_ms <= first_ms and last_ms <= end_ms
            day_key = (query.service_location_id, key)
            part = self._days.get(day_key) if lasting else None
            if part is None:
                sessions = await self._block(query, key, start_ms, end_ms, at_ms=at_ms, state=state, yielder=yielder)
                part = await self._encoded(sessions, at_ms, yielder), len(sessions)
                if lasting:
                    self._days.put(day_key, *part)
            if part[1]:
                parts.append(part)
        return parts

    def _bounds(self, query: SessionQuery, at_ms: int, state: State, settling_ms: int = 0) -> tuple[int, int]:
        """The range of starts that has to be searched: nothing in the future, and of the past only what is needed."""
        range_filter = self._assumptions.range_filter
        if range_filter != "strict":
            query = attrs.evolve(query, end_ms=None, start_ms=0 if range_filter == "ignored" else query.start_ms)
        start_ms = query.start_ms
        if state == "active":
            earliest_ms = self._world.earliest_open_ms(query.service_location_id, at_ms - settling_ms)
            start_ms = max(start_ms, earliest_ms)
        end_ms = at_ms + 1 if query.end_ms is None else min(query.end_ms, at_ms + 1)
        return start_ms, end_ms

    def _blocks(self, query: SessionQuery, start_ms: int, end_ms: int) -> Iterable[tuple[int, int, int]]:
        """The blocks of the park's schedule in the order served."""
        blocks = list(self._world.schedule(query.service_location_id).blocks(start_ms, end_ms))
        return reversed(blocks) if self._newest_first else blocks

    async def _block(
        self, query: SessionQuery, key: int, start_ms: int, end_ms: int, *, at_ms: int, state: State, yielder: _Yielder
    ) -> list[SimulatedSession]:
        """The sessions of one block that the query selects, in the order served."""
        found: list[SimulatedSession] = []
        for part in self._world.schedule(query.service_location_id).parts(key):
            found += part
            await yielder.spend(1 + len(part))
        serial_number = query.serial_number
        return [
            session
            for session in sorted(found, key=by_start, reverse=self._newest_first)
            if start_ms <= session.start_ms < end_ms
            and (serial_number is None or session.serial_number == serial_number)
            and session.in_state(state, at_ms)
        ]

    async def _served(
        self, query: SessionQuery, start_ms: int, end_ms: int, *, at_ms: int, state: State, yielder: _Yielder
    ) -> list[SimulatedSession]:
        """The sessions of a changing park that the query selects, as they are served at a moment, in that order."""
        world, park, serial_number = self._world, query.service_location_id, query.serial_number
        moved_ms = world.moved_ms(park)
        found: list[SimulatedSession] = []
        for key, _, _ in world.schedule(park).blocks(start_ms - moved_ms, min(end_ms + moved_ms, at_ms + 1)):
            before = len(found)
            found += world.served(park, key).served(start_ms, end_ms, state, at_ms)
            await yielder.spend(1 + len(found) - before)
        if serial_number is not None:
            found = [session for session in found if session.serial_number == serial_number]
        found.sort(key=by_start, reverse=self._newest_first)
        return found

    async def _encoded(self, sessions: Sequence[SimulatedSession], at_ms: int, yielder: _Yielder) -> bytes:
        """The records of some sessions as JSON, without the brackets of the array."""
        parts = []
        for first in range(0, len(sessions), _SLICE):
            records = [record(one, at_ms, self._assumptions) for one in sessions[first : first + _SLICE]]
            parts.append(encode(records)[1:-1])
            await yielder.spend(len(records))
        return b",".join(parts)


class _Yielder:
    """Yields to the event loop after each slice of work."""

    def __init__(self) -> None:
        self._spent = 0

    async def spend(self, sessions: int) -> None:
        self._spent += sessions
        if self._spent >= _SLICE:
            self._spent = 0
            await asyncio.sleep(0)


def _state(query: SessionQuery, assumptions: Assumptions) -> State:
    """The state that a query selects, with or without ``active``."""
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
    """How a session that ended within the settling time is sent; ``None`` if it is sent as it is."""
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
    """A sort key that shuffles sessions, always in the same way."""
    return mix(session.id)
