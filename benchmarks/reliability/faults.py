"""The faults of these programs: one recipe for each kind, quick enough to strike thousands of times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smappee_async import Limits, RetryPolicy

Recipe = Mapping[str, object]

#: With these limits the client gives up a silent service after half a second, and a bomb after two MiB.
LIMITS: Final = Limits(
    target_sessions=250,
    max_body_bytes=2 * 2**20,
    connect_timeout_s=5.0,
    read_timeout_s=0.5,
    attempt_timeout_s=3.0,
)
#: Short waits and many retries: the question is whether anything is lost, not how soon a client gives up.
RETRY: Final = RetryPolicy(
    attempts=8,
    base_delay_s=0.01,
    throttled_base_delay_s=0.02,
    max_delay_s=0.1,
    budget=1_000_000,
)

#: Faults that pass: the next attempt gets the right response.
PASSING: Final[Mapping[str, Recipe]] = {
    "status": {"kind": "status", "status": 503},
    "throttled": {"kind": "status", "status": 429, "retry_after": "0"},
    "maintenance": {"kind": "maintenance"},
    "empty_200": {"kind": "empty_200"},
    "null_200": {"kind": "null_200"},
    "object_200": {"kind": "object_200"},
    "unauthorized": {"kind": "unauthorized"},
    "token_revoked": {"kind": "token_revoked"},
    "raw": {"kind": "raw", "body": "<html><body>Sign in to the hotel's network</body></html>"},
    "truncated_json": {"kind": "truncated_json"},
    "truncated_body": {"kind": "truncated_body"},
    "wrong_content_length": {"kind": "wrong_content_length"},
    "chunked_cut": {"kind": "chunked_cut"},
    "drip": {"kind": "drip", "bytes_per_s": 1_000_000},
    "stall_before_headers": {"kind": "stall_before_headers"},
    "stall_after_headers": {"kind": "stall_after_headers"},
    "reset_before_headers": {"kind": "reset_before_headers"},
    "reset_mid_body": {"kind": "reset_mid_body"},
    "close_before_headers": {"kind": "close_before_headers"},
    "set_cookie": {"kind": "set_cookie"},
    "huge_headers": {"kind": "huge_headers"},
    "duplicate_records": {"kind": "duplicate_records"},
    "token_odd": {"kind": "token_odd", "body": '{"access_token": "", "expires_in": NaN}'},
    "token_lost": {"kind": "token_lost"},
}

#: Faults that another attempt need not mend: the client splits the chunk, or lists it as a failure.
LASTING: Final[Mapping[str, Recipe]] = {
    "gzip_bomb": {"kind": "gzip_bomb", "size_bytes": 4 * 2**20},
    "endless_body": {"kind": "endless_body"},
    "redirect": {"kind": "redirect"},
    "not_found": {"kind": "status", "status": 404},
}
#: With ``late_finalisation``: how many seconds after its end a session settles.
SETTLING_S: Final = 5 * 86_400.0
#: Faults that change the records themselves; :mod:`.fetch` says what is expected of each.
UNTRUE: Final[Mapping[str, Recipe]] = {
    "bad_json_record": {"kind": "bad_json_record", "index": 3},
    "odd_record": {"kind": "odd_record", "index": 2},
    "nan": {"kind": "nan"},
    "zero_end": {"kind": "zero_end"},
    "same_id": {"kind": "same_id"},
    "moved_start": {"kind": "moved_start", "delay_s": 3600.0},
    "late_finalisation": {"kind": "late_finalisation", "delay_s": SETTLING_S},
    "status_backwards": {"kind": "status_backwards"},
    "unknown_status": {"kind": "unknown_status"},
    "unknown_fields": {"kind": "unknown_fields"},
}
RECIPES: Final[Mapping[str, Recipe]] = {**PASSING, **LASTING, **UNTRUE}
