"""What is put in the client's way: each thing once, at a park and a month of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

Fault = Mapping[str, object]

#: A few seconds of waiting in all. The order spreads the ones that make everybody wait.
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
#: No park meets more of them than a call survives, should all of its months be asked for at once.
_MOST_PER_PARK: Final = 3

TITLE: Final = (
    "429 and 503 with Retry-After, resets, cut and truncated responses, maintenance pages, a revoked token, "
    "slow responses, records that come twice"
)


def obstacles(parks: Sequence[int], year: int) -> list[Fault]:
    """The faults for these parks, as the simulator's admin route takes them."""
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
