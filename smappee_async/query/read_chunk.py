"""Puts the query of one chunk to the service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

import anyio
import attrs
import msgspec

from smappee_async.errors import ResponseDecodeError
from smappee_async.models import SessionState
from smappee_async.protocol.requests import Request, park_sessions, station_sessions
from smappee_async.protocol.responses import read_sessions_in_steps
from smappee_async.query.plan import Chunk, Target
from smappee_async.query.truncation import TruncationCheck, cut_in_two, distinct
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import CallCost, Caller

Answers = list[list[msgspec.Raw]]

#: Which queries response for a state, in the order that loses nothing: a session that ends in between is in the second.
_QUERIES: Final[Mapping[SessionState, tuple[bool, ...]]] = {
    "completed": (False,),
    "active": (True,),
    "all": (True, False),
}


@attrs.frozen
class FetchedChunk:
    """What came back about a chunk.

    :param responses: the records of each response, in the order in which they were asked for.
    :param slowest_s: the longest that one of them took, without the waits before it.
    """

    responses: Answers
    slowest_s: float


class ChunkReader:
    """Makes the calls that response for a chunk.

    :param truncation: what is known of a limit on the sessions in one response.
    :param verifying: held while a response is proven whole.
    :param deadline_at: loop time at which every call ends; ``None`` for no such time.
    """

    def __init__(
        self,
        caller: Caller,
        base_url: str,
        state: SessionState,
        truncation: TruncationCheck,
        verifying: anyio.Lock,
        cost: CallCost,
        deadline_at: float | None,
    ) -> None:
        self._caller = caller
        self._base_url = base_url
        self._truncation = truncation
        self._verifying = verifying
        self._queries = _QUERIES[state]
        self._cost = cost
        self._deadline_at = deadline_at

    async def ask(self, chunk: Chunk) -> FetchedChunk:
        """Ask for a chunk.

        :raises SmappeeError: one of the calls did not succeed.
        """
        cost = CallCost()
        responses: Answers = []
        try:
            for active in self._queries:
                responses.append(await self._records(chunk.target, chunk.time_range, active=active, cost=cost))
        finally:
            self._cost.add(cost)
        return FetchedChunk(responses, cost.slowest_s)

    async def _records(
        self, target: Target, time_range: TimeRange, *, active: bool, cost: CallCost
    ) -> list[msgspec.Raw]:
        """The records of one range, proven whole where there is doubt."""
        records = await self._call(target, time_range, active=active, cost=cost)
        if not self._truncation.is_suspect(len(records)):
            return records
        # One proof at a time: it may settle the doubt about the others.
        async with self._verifying if self._truncation.found is None else nullcontext():
            if not self._truncation.is_suspect(len(records)):
                return records
            return await self._in_parts(target, time_range, records, active=active, cost=cost)

    async def _in_parts(
        self,
        target: Target,
        time_range: TimeRange,
        records: list[msgspec.Raw],
        *,
        active: bool,
        cost: CallCost,
        is_part: bool = False,
    ) -> list[msgspec.Raw]:
        """The records of a range whose response may have been cut off, by asking again in two parts."""
        parts = cut_in_two(time_range, records)
        if parts is None:
            # A part that is as large as the whole was, beside another that is not empty: that cannot be all of it.
            if len(records) != self._truncation.found and not is_part:
                return records
            raise ResponseDecodeError(
                f"the service stops at {len(records)} sessions, and as many started at one instant",
                facts=self._request(target, time_range, active=active).facts,
            )
        again: list[msgspec.Raw] = []
        for part in parts:
            found = await self._call(target, part, active=active, cost=cost)
            if len(found) >= len(records):
                found = await self._in_parts(target, part, found, active=active, cost=cost, is_part=True)
            again += found
        # Counting sessions takes a while; where the parts hold no more records, there is nothing to count.
        is_whole = len(again) <= len(records) or distinct(again) <= distinct(records)
        self._truncation.learn(len(records), is_whole=is_whole)
        return again

    async def _call(self, target: Target, time_range: TimeRange, *, active: bool, cost: CallCost) -> list[msgspec.Raw]:
        request = self._request(target, time_range, active=active)
        return await self._caller.call(request, read_sessions_in_steps, deadline_at=self._deadline_at, add_to=cost)

    def _request(self, target: Target, time_range: TimeRange, *, active: bool) -> Request:
        if target.serial_number is not None:
            return station_sessions(self._base_url, target.serial_number, time_range, active=active)
        assert target.service_location_id is not None
        return park_sessions(self._base_url, target.service_location_id, time_range, active=active)
