"""The truth: what a client should have read, to compare with what it did read."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from .changes import Version, version_at, versions_of
from .schedule import by_start
from .wire import Record, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .assumptions import Assumptions
    from .changes import Versions
    from .clock import SimulatedClock
    from .sessions import SimulatedSession, State
    from .world import World

_DIGEST_BYTES: Final = 16


class Ledger:
    """Every session of a world at a moment, by park and start, and a digest to compare with.

    Faults, session limits and the order of responses play no part: the ledger says what happened, not what was served.
    """

    def __init__(self, world: World, clock: SimulatedClock, assumptions: Assumptions) -> None:
        self._world = world
        self._clock = clock
        self._assumptions = assumptions

    def sessions(
        self,
        service_location_id: int,
        start_ms: int,
        end_ms: int | None = None,
        state: State = "completed",
        at_ms: int | None = None,
    ) -> Iterator[SimulatedSession]:
        """Sessions that started in ``[start_ms, end_ms)`` and are in ``state`` at ``at_ms``, by start.

        Without ``end_ms`` the range is open; without ``at_ms`` the moment is now.

        :raises LookupError: there is no such park.
        """
        moment_ms = self._clock.now_ms if at_ms is None else at_ms
        # A session that starts after the moment is not known yet, so an open range ends at the moment.
        until_ms = moment_ms + 1 if end_ms is None else min(end_ms, moment_ms + 1)
        if self._world.changing(service_location_id):
            moved_ms = self._world.moved_ms(service_location_id)
            listed = self.at(service_location_id, moment_ms, start_ms - moved_ms, until_ms + moved_ms).values()
            served = [
                version.session
                for version in listed
                if state in ("all", version.place) and start_ms <= version.session.start_ms < until_ms
            ]
            yield from sorted(served, key=by_start)
            return
        if state == "active":
            start_ms = max(start_ms, self._world.earliest_open_ms(service_location_id, moment_ms))
        for session in self._world.sessions(service_location_id, start_ms, until_ms):
            if session.in_state(state, moment_ms):
                yield session

    def versions(
        self, service_location_id: int, start_ms: int = 0, end_ms: int | None = None
    ) -> Iterator[tuple[int, Versions]]:
        """The id and all versions of each session whose first start is in ``[start_ms, end_ms)``, past and future.

        Without ``end_ms`` the range ends now. The versions of a session are in order: each holds until the next.

        :raises LookupError: there is no such park.
        """
        until_ms = self._clock.now_ms + 1 if end_ms is None else end_ms
        for session in self._world.sessions(service_location_id, start_ms, until_ms):
            changed = self._world.versions(service_location_id, session)
            yield session.id, versions_of(session, ()) if changed is None else changed

    def at(
        self, service_location_id: int, at_ms: int, start_ms: int = 0, end_ms: int | None = None
    ) -> dict[int, Version]:
        """What the service lists at a moment, in both lists, by id; a session that is in neither is not there.

        ``start_ms`` and ``end_ms`` bound the first starts; by default all that have begun are searched.

        :raises LookupError: there is no such park.
        """
        until_ms = at_ms + 1 if end_ms is None else min(end_ms, at_ms + 1)
        listed: dict[int, Version] = {}
        for number, versions in self.versions(service_location_id, start_ms, until_ms):
            version = version_at(versions, at_ms)
            if version is not None and version.place != "none":
                listed[number] = version
        return listed

    def count(
        self,
        service_location_id: int,
        start_ms: int,
        end_ms: int | None = None,
        state: State = "completed",
        at_ms: int | None = None,
    ) -> int:
        """How many sessions :meth:`sessions` yields."""
        return sum(1 for _ in self.sessions(service_location_id, start_ms, end_ms, state, at_ms))

    def wire(self, session: SimulatedSession, at_ms: int | None = None) -> Record:
        """The record that the service should send for a session at a moment."""
        return record(session, self._clock.now_ms if at_ms is None else at_ms, self._assumptions)

    def digest(
        self,
        service_location_id: int,
        start_ms: int,
        end_ms: int | None = None,
        state: State = "completed",
        at_ms: int | None = None,
    ) -> str:
        """A short text that stands for the wire records of :meth:`sessions`, in any order."""
        moment_ms = self._clock.now_ms if at_ms is None else at_ms
        sessions = self.sessions(service_location_id, start_ms, end_ms, state, moment_ms)
        return self.digest_of(self.wire(session, moment_ms) for session in sessions)

    @staticmethod
    def digest_of(records: Iterable[Mapping[str, object]]) -> str:
        """The same digest, of wire records that a client has read; equal if and only if the two multisets are equal."""
        digest = RecordDigest()
        for item in records:
            digest.add(item)
        return digest.text


class RecordDigest:
    """A digest of a multiset of wire records, added one at a time.

    It is a sum of hashes: a sum does not depend on the order, and counts a record twice that comes twice.
    """

    def __init__(self) -> None:
        self._total = 0

    def add(self, record: Mapping[str, object]) -> None:
        """Add one record."""
        text = msgspec.json.encode(record, order="sorted")
        self._total += int.from_bytes(blake2b(text, digest_size=_DIGEST_BYTES).digest())

    @property
    def text(self) -> str:
        """The digest so far, in hexadecimal."""
        return f"{self._total % (1 << (8 * _DIGEST_BYTES)):0{2 * _DIGEST_BYTES}x}"
