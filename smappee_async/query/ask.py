"""Puts the question of one piece to the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import msgspec

from smappee_async.errors import ResponseDecodeError
from smappee_async.models import SessionState
from smappee_async.protocol.requests import Request, park_sessions, station_sessions
from smappee_async.protocol.responses import read_sessions
from smappee_async.query.cap import AnswerCap, cut_in_two
from smappee_async.query.plan import Piece, Target
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import Caller, Tally

Answers = list[list[msgspec.Raw]]

#: Which queries answer for a state, in the order that loses nothing: a session that ends in between is in the second.
_QUERIES: Final[Mapping[SessionState, tuple[bool, ...]]] = {
    "completed": (False,),
    "active": (True,),
    "all": (True, False),
}


@attrs.frozen
class Asked:
    """What came back about a piece.

    :param answers: the records of each answer, in the order in which they were asked for.
    :param slowest_s: the longest that one of them took, without the waits before it.
    """

    answers: Answers
    slowest_s: float


class Asker:
    """Makes the calls that answer for a piece.

    :param cap: what is known of a limit on the sessions in one answer.
    :param deadline_at: loop time at which every call ends; ``None`` for no such time.
    """

    def __init__(
        self,
        caller: Caller,
        base_url: str,
        state: SessionState,
        cap: AnswerCap,
        tally: Tally,
        deadline_at: float | None,
    ) -> None:
        self._caller = caller
        self._base_url = base_url
        self._cap = cap
        self._queries = _QUERIES[state]
        self._tally = tally
        self._deadline_at = deadline_at

    async def ask(self, piece: Piece) -> Asked:
        """Ask for a piece.

        :raises SmappeeError: one of the calls did not succeed.
        """
        tally = Tally()
        try:
            answers = [
                await self._records(piece.target, piece.time_range, active=active, tally=tally)
                for active in self._queries
            ]
        finally:
            self._tally.add(tally)
        return Asked(answers, tally.slowest_s)

    async def _records(
        self, target: Target, time_range: TimeRange, *, active: bool, tally: Tally, part_of: int | None = None
    ) -> list[msgspec.Raw]:
        """The records of one range, proven whole where there is doubt.

        :param part_of: this asks for a part of an answer with so many sessions; a smaller one needs no proof itself.
        """
        request = self._request(target, time_range, active=active)
        records = await self._caller.call(request, read_sessions, deadline_at=self._deadline_at, tally=tally)
        count = len(records)
        if not self._cap.doubts(count) or (part_of is not None and count < part_of):
            return records
        parts = cut_in_two(time_range, records)
        if parts is None:
            # A part that is as large as the whole was, beside another that is not empty: that cannot be all of it.
            if count != self._cap.found and part_of is None:
                return records
            raise ResponseDecodeError(
                f"the service stops at {count} sessions, and as many started at one instant", facts=request.facts
            )
        again = [
            record
            for part in parts
            for record in await self._records(target, part, active=active, tally=tally, part_of=count)
        ]
        self._cap.learn(count, len(again))
        return again

    def _request(self, target: Target, time_range: TimeRange, *, active: bool) -> Request:
        if target.serial_number is not None:
            return station_sessions(self._base_url, target.serial_number, time_range, active=active)
        assert target.service_location_id is not None
        return park_sessions(self._base_url, target.service_location_id, time_range, active=active)
