"""The numbers that decide how a client treats the service and its host, each once, with its reason.

Numbers that only one algorithm needs, such as a buffer size, stand beside that algorithm.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# --- the service -----------------------------------------------------------------------------------------------------

#: Production host, documented in "Get token" (service.md#get-token). v3 is the only version with session calls.
BASE_URL: Final = "https://app1pub.smappee.net/dev/v3"

#: A session's time outside the years 2000 to 2100 is wrong, for example because seconds were taken for milliseconds.
EARLIEST_MS: Final = 946_684_800_000
LATEST_MS: Final = 4_102_444_800_000

# --- one attempt -----------------------------------------------------------------------------------------------------

#: A TCP and TLS handshake takes less than a second; ten seconds allow for some lost packets.
CONNECT_TIMEOUT_S: Final = 10.0
#: Silence between two parts of a response body. Public clients allow 15 to 45 s for a whole call.
READ_TIMEOUT_S: Final = 30.0
#: The whole attempt. Needed because each single byte resets the read time-out.
ATTEMPT_TIMEOUT_S: Final = 60.0
#: About 200,000 sessions of 300 bytes: far above any response that is planned.
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

# --- how much at once ------------------------------------------------------------------------------------------------

#: No rate limit is documented, so the default is modest: enough for a backfill, and little load during an outage.
CONCURRENCY: Final = 8
#: Share of a second's requests that may be sent at once, so that no second sees more than 1.05 times the rate.
BURST_SHARE: Final = 0.02
#: Records are built this many at a time; then the event loop may run other tasks.
SLICE_SESSIONS: Final = 250
#: To split a response into records takes 1.5 to 4 ms per MiB. Larger responses are split in steps of this size, and
#: the event loop may run other tasks in between.
SPLIT_STEP_BYTES: Final = 256 * 1024
#: Answers up to this are read as they come; larger ones one after the other.
SMALL_BODY_BYTES: Final = 64 * 1024
#: Where columns are asked for, responses from this size on, 150 sessions, are parsed in a thread, several at once if
#: they come together. For one alone that costs as much as to read so many records.
COLUMNS_FROM_BYTES: Final = 48 * 1024
#: Connections that are idle for longer are closed. Less than the idle time of common load balancers, because a request
#: on a connection that the server closes at the same moment fails.
KEEPALIVE_S: Final = 15.0

#: A stream remembers so many sessions, about 150 bytes each, to recognise one whose start is corrected while it reads.
KEPT_SESSIONS: Final = 100_000
#: Where that is not enough, it remembers those that started within an hour of an edge of their chunk: a clock that is
#: set right, or a start that is known late, moves a session by minutes.
MOVED_WITHIN_MS: Final = 3_600_000

# --- trying again ----------------------------------------------------------------------------------------------------

#: One attempt and three more. Google's SRE book advises three attempts; the fourth outlasts a restarting load balancer.
ATTEMPTS: Final = 4
#: First back-off window for transient faults (a reset, a 502).
BASE_DELAY_S: Final = 0.1
#: First back-off window when the server says that it is too busy (429, 503).
THROTTLED_BASE_DELAY_S: Final = 1.0
#: No single computed back-off is longer, whatever the attempt.
MAX_DELAY_S: Final = 20.0
#: A longer Retry-After is raised to the caller; nothing waits for so long.
MAX_RETRY_AFTER_S: Final = 120.0
#: Retries take from a shared budget, so that a service that is down gets 1 % more requests, not four times as many.
RETRY_BUDGET: Final = 100
RETRY_COST: Final = 10
THROTTLED_RETRY_COST: Final = 5
#: A restart or a fail-over of the service takes a second or two; all calls in flight wait for its end.
PATIENCE: Final = timedelta(seconds=3)
#: While calls wait for the end of an outage, one probe is sent in this many seconds, ...
PROBE_INTERVAL_S: Final = 15.0
#: ... or in this share of the patience, if that is shorter.
PROBE_INTERVAL_SHARE: Final = 0.1
#: For so long, a park that is refused with 401 while other calls are accepted causes no further renewal of the token.
REFUSED_TARGET_S: Final = 900.0

# --- tokens ----------------------------------------------------------------------------------------------------------

#: Renew this long before expiry, while the old token still serves ...
REFRESH_MARGIN_S: Final = 300.0
#: ... but never in more than this share of a short life ...
REFRESH_MARGIN_SHARE: Final = 0.1
#: ... and earlier by a random part of this, drawn once per process, so that many processes do not renew at once.
REFRESH_JITTER_S: Final = 60.0
#: After a failed early renewal the old token stays in use, and the next try comes after this time.
REFRESH_RETRY_S: Final = 30.0
#: A token call must end long before the lease of the store's lock does.
TOKEN_TIMEOUT_S: Final = 20.0
LOCK_LEASE_S: Final = 60.0
#: A renewal under a lease reads and marks the record, 5 s each at the longest, and makes a token call.
SHORTEST_LEASE_S: Final = 30.0
#: Time between two tries to get a lock that another process holds; a renewal takes about as long.
LOCK_POLL_S: Final = 0.05
#: A longer ``expires_in`` is cut to this; 36000 is documented, 86400 was seen.
MAX_TOKEN_LIFE_S: Final = 30 * 86400.0
#: Used where ``expires_in`` is missing or unusable: short enough to be safe, long enough not to loop.
FALLBACK_TOKEN_LIFE_S: Final = 600.0
#: A token that could not be saved is saved again after this time, then after twice as long each time.
SAVE_RETRY_S: Final = 1.0
SAVE_RETRY_MAX_S: Final = 60.0
#: After a refusal without an OAuth error code, ask again after this time, then after twice as long each time.
REFUSAL_WAIT_S: Final = 60.0
REFUSAL_MAX_WAIT_S: Final = 900.0
#: How long closing waits for a renewal in progress, so that a rotated token is not lost.
CLOSE_WAIT_S: Final = 10.0
#: A renewal starts over this often because its lock was lost or another process wrote. Twice in a row is already rare.
RENEWAL_ROUNDS: Final = 3
#: Servers reject a header line that is much longer; no token of any service comes near.
MAX_TOKEN_CHARACTERS: Final = 8192
#: A file of a token store has less than a kilobyte; a larger one is something else.
MAX_TOKEN_FILE_BYTES: Final = 64 * 1024
#: For a token store's own Redis connections: after this many seconds of silence a call to Redis fails.
REDIS_TIMEOUT_S: Final = 5.0

# --- a rate that processes share -------------------------------------------------------------------------------------

#: The same for a rate limiter's own connections: shorter, because a call waits for it.
RATE_TIMEOUT_S: Final = 2.0
#: So many tasks of a process hold a slot that is still to come. More would keep to the old rate for longer after a cut,
#: and lose more slots when they are cancelled. One would lose time where Redis is far: each slot is a call to Redis.
SLOTS_AHEAD: Final = 4
#: A slot that was waited for so long is confirmed, because another process may have been told to pause meanwhile.
CONFIRM_SLOT_S: Final = 0.5
#: After a 429 the shared rate is this share of what it was, ...
RATE_CUT: Final = 0.7
#: ... once in so many seconds at most, because one overload is answered with many a 429, ...
RATE_CUT_INTERVAL_S: Final = 2.0
#: ... and grows back by all of it in this time.
RATE_GROWTH_S: Final = 120.0
#: The shared pause after a 429 that asks for no wait. The rate is cut as well, so it need not be long.
RATE_PAUSE_S: Final = 1.0
#: While Redis is gone, it is tried again after so many seconds.
RATE_RETRY_S: Final = 1.0

# --- planning --------------------------------------------------------------------------------------------------------

#: A checkpoint of a time range that has not ended yet covers it up to the moment of asking, less this: a session may
#: appear in the service a little after its start.
CHECKPOINT_MARGIN: Final = timedelta(minutes=2)
#: The same if the responses carry no date: the clock of this machine may be wrong.
CHECKPOINT_MARGIN_WITHOUT_DATE: Final = timedelta(hours=2)
#: No chunk is shorter: a minute whose response is too large will not fit when it is halved.
SHORTEST_CHUNK: Final = timedelta(minutes=1)
#: After so many splits because of time-outs, with nothing read in between, the length is not the cause.
SPLITS_FOR_TIMEOUTS: Final = 3
#: Sessions that a response should have: the request then costs a twentieth of reading them, and they take about 2 MiB.
TARGET_SESSIONS: Final = 2_000
#: No service limits its responses to fewer; smaller responses are trusted.
VERIFY_FROM_SESSIONS: Final = 10
#: The first chunk of an unknown park in a long range: of a hub with 5,000 sessions a day it brings 1,700.
PROBE: Final = timedelta(hours=8)
#: Until a whole day was seen, a park is assumed to be this much denser than what was seen, because nights are quiet.
NIGHT_SHARE: Final = 3.0
#: Until a whole week was seen, a busy park is assumed to be this much denser, because weekends are quiet.
WEEKEND_SHARE: Final = 1.5
#: A range up to this length is asked for at once. A first chunk would double the requests of the commonest query.
SHORT_QUERY: Final = timedelta(days=35)
#: A density is known when this share of a full response was seen.
KNOWN_SHARE: Final = 0.25
#: What was seen counts this much less after each further response, because the density of a park changes.
FADE: Final = 0.75
#: If a park becomes as busy again as it was before, its next response is at most this many full ones; with the rest
#: that may be added to it, at most two.
BUSY_SHARE: Final = 1.6
#: The density of the busy time counts this much less after each further response, so that it outlasts a weekend.
BUSY_FADE: Final = 0.99
#: A rest that makes a chunk at most this much longer is asked for with it.
REST_SHARE: Final = 1.25
#: After a slower response the next chunk has half the length.
SLOW_RESPONSE_S: Final = 10.0
