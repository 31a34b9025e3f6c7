"""Every number that the package leans on, once, with its reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# --- the service -----------------------------------------------------------------------------------------------------

#: Production host, documented in "Get token" (page 8552463). v3 is the only version with session calls.
BASE_URL: Final = "https://app1pub.smappee.net/dev/v3"

#: Smappee was founded in 2012; a session's time outside 2000..2100 means seconds were taken for milliseconds or worse.
EARLIEST_MS: Final = 946_684_800_000
LATEST_MS: Final = 4_102_444_800_000

# --- one attempt -----------------------------------------------------------------------------------------------------

#: A TCP and TLS handshake takes well under a second; ten leave room for a lost packet or three.
CONNECT_TIMEOUT_S: Final = 10.0
#: Silence between two chunks of a response. Public clients allow 15 to 45 s in all.
READ_TIMEOUT_S: Final = 30.0
#: The whole attempt. Needed because a byte now and then resets the read time-out for ever.
ATTEMPT_TIMEOUT_S: Final = 60.0
#: About 200,000 sessions of 300 bytes: far above any response that planning aims at.
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

# --- how much at once ------------------------------------------------------------------------------------------------

#: No rate limit is documented, so be modest: eight calls in flight keep a backfill busy and an outage small.
CONCURRENCY: Final = 8
#: Records are turned into objects this many at a time, then the event loop gets its turn.
SLICE_SESSIONS: Final = 250
#: Splitting a response takes 1.5 to 4 ms per MiB; a larger one than this is split in steps, and the event loop has its
#: turn in between.
SPLIT_STEP_BYTES: Final = 256 * 1024
#: Answers up to this are read as they come; larger ones one after the other.
SMALL_BODY_BYTES: Final = 64 * 1024
#: Connection pool entries idle longer are closed; below common load balancer idle times, to lose fewer races.
KEEPALIVE_S: Final = 15.0

# --- trying again ----------------------------------------------------------------------------------------------------

#: One attempt and three more. Google's SRE book advises three; the fourth rides out a restarting load balancer.
ATTEMPTS: Final = 4
#: First back-off window for faults that pass by themselves (a reset, a 502).
BASE_DELAY_S: Final = 0.1
#: First back-off window when the server says that it is too busy (429, 503).
THROTTLED_BASE_DELAY_S: Final = 1.0
#: No single computed back-off is longer, whatever the attempt.
MAX_DELAY_S: Final = 20.0
#: A longer Retry-After is a response for the caller, not something to sleep through.
MAX_RETRY_AFTER_S: Final = 120.0
#: Retries draw on a shared bucket, so that a dead service is asked about 1 % more than once, not four times.
RETRY_BUDGET: Final = 100
RETRY_COST: Final = 10
THROTTLED_RETRY_COST: Final = 5
#: With ``patience``, one probe per this many seconds while the service is down.
PROBE_INTERVAL_S: Final = 15.0

# --- tokens ----------------------------------------------------------------------------------------------------------

#: Renew this long before expiry, while the old token still serves ...
REFRESH_MARGIN_S: Final = 300.0
#: ... but never in more than this share of a short life ...
REFRESH_MARGIN_SHARE: Final = 0.1
#: ... and earlier by up to this much, drawn once per process, so that a fleet does not refresh in one instant.
REFRESH_JITTER_S: Final = 60.0
#: After a failed early renewal, the old token serves on and the next try waits this long.
REFRESH_RETRY_S: Final = 30.0
#: A token call must end well inside the store's lock lease.
TOKEN_TIMEOUT_S: Final = 20.0
LOCK_LEASE_S: Final = 60.0
#: How often a lock that another process holds is asked for; a renewal takes about this long.
LOCK_POLL_S: Final = 0.05
#: ``expires_in`` beyond this is not believed; 36000 is documented, 86400 was seen.
MAX_TOKEN_LIFE_S: Final = 30 * 86400.0
#: Used where ``expires_in`` is missing or unusable: short enough to be safe, long enough not to loop.
FALLBACK_TOKEN_LIFE_S: Final = 600.0
#: A pair that could not be saved is tried again after this long, then after twice as long each time.
SAVE_RETRY_S: Final = 1.0
SAVE_RETRY_MAX_S: Final = 60.0
#: After a refusal that names no OAuth error, ask again after this long, then after twice as long each time.
REFUSAL_WAIT_S: Final = 60.0
REFUSAL_MAX_WAIT_S: Final = 900.0
#: How long closing waits for a renewal that is under way, so that a rotated token is not lost.
CLOSE_WAIT_S: Final = 10.0
#: A renewal starts over this often because its lock was lost or another process wrote. Twice in a row is already rare.
RENEWAL_ROUNDS: Final = 3
#: Servers reject a header line that is much longer; no token of any service comes near.
MAX_TOKEN_CHARACTERS: Final = 8192
#: A file of a token store has less than a kilobyte; a larger one is something else.
MAX_TOKEN_FILE_BYTES: Final = 64 * 1024
#: For a token store's own Redis connections: after this many seconds of silence a call to Redis fails.
REDIS_TIMEOUT_S: Final = 5.0

# --- planning --------------------------------------------------------------------------------------------------------

#: A range is not cut below this: a minute that is too large for the body limit will not get better by halving.
SHORTEST_CHUNK: Final = timedelta(minutes=1)
#: After so many cuts in a row for time, with nothing read in between, it is not the length that is to blame.
SPLITS_FOR_TIMEOUTS: Final = 3
#: Sessions a response should hold: the request costs a twentieth of reading them, and they take about 2 MiB until read.
TARGET_SESSIONS: Final = 2_000
#: The usual limits of services that limit their responses begin here; smaller responses are believed as they are.
VERIFY_FROM_SESSIONS: Final = 100
#: The first look at an unknown park in a long question: of a hub with 5,000 sessions a day it brings 1,700.
PROBE: Final = timedelta(hours=8)
#: Until a whole day was seen, a park is taken to be this much denser than it looked: by day it is, compared to nights.
NIGHT_SHARE: Final = 3.0
#: Up to this, a question is asked at once: a first look would double the requests of the commonest, last month's.
SHORT_QUERY: Final = timedelta(days=35)
#: A density is known once this share of a full response has been seen.
KNOWN_SHARE: Final = 0.25
#: What is seen counts this much less with each response after it: seasons and opening days change a park's density.
FADE: Final = 0.75
#: However quiet a park has become, should it be as busy again as it was, the next response stays below this many full
#: ones; with the rest that may be added to it, below two.
BUSY_SHARE: Final = 1.6
#: What is remembered of that counts this much less with each response after it: a weekend later it still does.
BUSY_FADE: Final = 0.99
#: A rest up to this much longer than planned is asked for with the chunk before it.
REST_SHARE: Final = 1.25
#: A slower response is asked for in half the length next time.
SLOW_RESPONSE_S: Final = 10.0
