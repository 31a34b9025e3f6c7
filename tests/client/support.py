"""What the tests of the client share: a simulated service, and a form in which to compare sessions with its ledger."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs

from smappee_async import ChargingSession, RetryPolicy, SmappeeClient, TimeRange
from smappee_async.simulator import Simulator
from smappee_async.simulator.wire_fields import wire_record

#: Waits of microseconds, for tests of what is retried and not of when.
QUICK = RetryPolicy(base_delay_s=0.0001, throttled_base_delay_s=0.0001, patience=None)


def _text(wire: Mapping[str, Any]) -> str:
    return json.dumps(wire, sort_keys=True)


@attrs.frozen
class Cloud:
    """A running simulator, and clients that log in to it."""

    sim: Simulator
    connect: Callable[..., Awaitable[SmappeeClient]]

    def truth(self, parks: Iterable[int], time_range: TimeRange, state: Any = "completed") -> list[tuple[int, str]]:
        """The sessions of the ledger, in a form that can be compared."""
        return truth_of(self.sim, parks, time_range, state)


def truth_of(
    sim: Simulator, parks: Iterable[int], time_range: TimeRange, state: Any = "completed"
) -> list[tuple[int, str]]:
    """The sessions of a simulator's ledger, in a form that can be compared."""
    return sorted(
        (park, _text(sim.ledger.wire(each) | {"serialNumber": str(each.serial_number)}))
        for park in parks
        for each in sim.ledger.sessions(park, time_range.start_ms, time_range.end_ms, state)
    )


def told(sessions: Iterable[ChargingSession]) -> list[tuple[int, str]]:
    """The sessions of a client, in the same form."""
    return sorted(
        (each.service_location_id or 0, _text(wire_record(each) | {"serialNumber": each.serial_number}))
        for each in sessions
    )


StartCloud = Callable[..., Awaitable[Cloud]]
