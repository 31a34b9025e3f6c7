"""Reads the older part of a long window month by month, where a park has so many sessions that memory matters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs

from smappee_async.models import SessionState
from smappee_async.rfid import RfidChoice
from smappee_async.sync.report import SyncReport
from smappee_async.sync.source import Reading
from smappee_async.sync.state import ParkState
from smappee_async.sync.steps import compare, cost, gather, write
from smappee_async.sync.stores.base import Commit, VisitStore
from smappee_async.sync.visit import MARGIN_MS
from smappee_async.timerange import TimeRange

#: A window is read at once as far as it reaches back so far; what is older is swept.
RECENT_MS: Final = 31 * 86_400_000
#: With fewer sessions in the recent part, all that is older is read at once.
_FEW: Final = 2_000

Read = Callable[[int, TimeRange, SessionState], Awaitable[Reading]]


@attrs.frozen(kw_only=True)
class Sweep:
    """The older part of a window.

    :param start_ms: where it begins, ...
    :param end_ms: ... and ends; the recent part was read and written before.
    :param active: what ran when the visit began.
    :param sessions: how many sessions the recent part has.
    :param tiers_ms: when each tier was read last, once all of it is read.
    """

    park: int
    start_ms: int
    end_ms: int
    active: Reading
    sessions: int
    tiers_ms: Sequence[int]
    rfid: RfidChoice

    async def run(self, store: VisitStore, read: Read, state: ParkState, generation: int) -> SyncReport:
        """Read and write it, each month in a transaction of its own.

        If it is interrupted, the tiers are not noted as read, so that the next visit does it again.
        """
        report = SyncReport()
        ranges = self._ranges()
        for number, each in enumerate(ranges):
            # The starts of sessions may have been corrected across the edges.
            wider = TimeRange.from_ms(max(0, each.start_ms - MARGIN_MS), _end_ms(each) + MARGIN_MS)
            completed = await read(self.park, wider, "completed")
            found = await gather(
                self.active, completed, begin_ms=wider.start_ms, until_ms=_end_ms(each), rfid=self.rfid
            )
            known = await store.known(self.park, each.start_ms, _end_ms(each), found.sessions)
            outcome = await compare(self.park, state, known, found)
            state = outcome.state
            if number == len(ranges) - 1:
                state = attrs.evolve(state, tiers_ms=list(self.tiers_ms))
            commit = Commit(
                service_location_id=self.park,
                generation=generation,
                state=state.to_json(),
                changes=outcome.changes,
            )
            written = await write(store, commit, outcome)
            # Those that run are compared each time, and counted before.
            unchanged = max(0, written.unchanged - len(found.active))
            report += attrs.evolve(written, unchanged=unchanged) + cost([completed])
            if written.superseded:
                break
            generation += 1
        return report

    def _ranges(self) -> list[TimeRange]:
        """The latest first, because there most is found."""
        step_ms = RECENT_MS if self.sessions > _FEW else self.end_ms - self.start_ms
        ends_ms = range(self.end_ms, self.start_ms, -step_ms)
        return [TimeRange.from_ms(max(self.start_ms, end_ms - step_ms), end_ms) for end_ms in ends_ms]


def _end_ms(time_range: TimeRange) -> int:
    assert time_range.end_ms is not None
    return time_range.end_ms
