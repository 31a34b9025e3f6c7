"""The faults that the demo plans: each one strikes once, at its own park and month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

Fault = Mapping[str, object]

#: They cost a few seconds of waiting. The order spreads those that pause all calls.
_KINDS: Final[Sequence[Fault]] = (
    {"kind": "reset_before_headers"},
    {"kind": "truncated_json"},
    {"kind": "status", "status": 429, "retry_after": "1"},
    {"kind": "maintenance", "status": 502},
    {"kind": "reset_mid_body"},
    {"kind": "stall_before_headers", "delay_s": 1.0},
    {"kind": "token_revoked"},
    {"kind": "maintenance", "status": 200},
    {"kind": "duplicate_records"},
    {"kind": "chunked_cut"},
    {"kind": "status", "status": 503, "retry_after": "1"},
    {"kind": "empty_200"},
    {"kind": "wrong_content_length"},
    {"kind": "status", "status": 500},
    {"kind": "stall_after_headers", "delay_s": 0.5},
    {"kind": "close_before_headers"},
    {"kind": "duplicate_records"},
    {"kind": "truncated_body"},
)
#: If one call asks for all months of a park, it meets all faults of the park; a call survives this many.
_MOST_PER_PARK: Final = 3

TITLE: Final = (
    "429 and 503 with Retry-After, resets, cut and truncated responses, maintenance pages, a revoked token, "
    "slow responses, records that come twice"
)


def obstacles(parks: Sequence[int], year: int) -> list[Fault]:
    """The faults for these parks, in the format of the simulator's admin route."""
    planned: list[Fault] = []
    for number, kind in enumerate(_KINDS[: _MOST_PER_PARK * len(parks)]):
        lap, place = divmod(number, len(parks))
        middle = datetime(year, 1 + (place + lap) % 12, 15, tzinfo=UTC)
        planned.append(
            {
                **kind,
                "route": "park_sessions",
                "service_location_id": parks[place],
                "covers_ms": int(middle.timestamp()) * 1000,
                "times": 1,
            }
        )
    return planned
