"""Puts the question of one piece to the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import msgspec

from smappee_async.models import SessionState
from smappee_async.protocol.requests import Request, park_sessions, station_sessions
from smappee_async.protocol.responses import read_sessions
from smappee_async.query.plan import Piece
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

    :param deadline_at: loop time at which every call ends; ``None`` for no such time.
    """

    def __init__(
        self, caller: Caller, base_url: str, state: SessionState, tally: Tally, deadline_at: float | None
    ) -> None:
        self._caller = caller
        self._base_url = base_url
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
                await self._caller.call(
                    self._request(piece, active=active), read_sessions, deadline_at=self._deadline_at, tally=tally
                )
                for active in self._queries
            ]
        finally:
            self._tally.add(tally)
        return Asked(answers, tally.slowest_s)

    def _request(self, piece: Piece, *, active: bool) -> Request:
        target = piece.target
        if target.serial_number is not None:
            return station_sessions(self._base_url, target.serial_number, piece.time_range, active=active)
        assert target.service_location_id is not None
        return park_sessions(self._base_url, target.service_location_id, piece.time_range, active=active)
