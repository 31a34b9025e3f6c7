"""Whether and when to try again: a function of values, and the retry budget that all calls share."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from smappee_async.defaults import RETRY_COST, THROTTLED_RETRY_COST
from smappee_async.errors import ApiError, RateLimited, RequestError, ResponseDecodeError, ServerError, TransportError
from smappee_async.limits import RetryPolicy
from smappee_async.secret import Opaque

_RETRIED_STATUSES = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MAX_EXPONENT = 60  # 2.0**1024 overflows a float


class RetryBudget:
    """Retries take from it and successes refill it, so that retries cannot multiply the load during an outage."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.left = size

    def take(self, cost: int) -> bool:
        """Pay for one retry; false if there is not enough left."""
        if cost > self.left:
            return False
        self.left -= cost
        return True

    def give(self, amount: int) -> None:
        """Refill after a success: what its last retry cost, or one where it needed none."""
        if self.left < self._size:
            self.left = min(self._size, self.left + amount)


class RetryDecision(Opaque, msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Try again.

    :param wait_s: seconds to wait first.
    :param pause: whether all calls should wait, because the server spoke of its load and not of this call.
    :param cost: what it takes from the retry budget.
    """

    wait_s: float
    pause: bool
    cost: int


def is_transient(error: RequestError) -> bool:
    """Whether the same request may succeed when it is sent again."""
    if isinstance(error, TransportError):
        return not (error.untrusted or error.refused_by_proxy)
    if isinstance(error, ApiError):
        return error.facts.status in _RETRIED_STATUSES
    # Half an array or an HTML page in permit of JSON: the next response is usually whole. One odd record is not.
    return isinstance(error, ResponseDecodeError) and error.index is None


def is_throttling(error: RequestError) -> bool:
    """Whether the server says that it is too busy."""
    return isinstance(error, RateLimited) or (
        isinstance(error, ServerError) and error.facts.status == HTTPStatus.SERVICE_UNAVAILABLE
    )


def next_attempt(
    error: RequestError, attempts: int, policy: RetryPolicy, jitter: float, *, replayable: bool = True
) -> RetryDecision | None:
    """What to do after a failed attempt; ``None`` to give up.

    :param attempts: how many have been made.
    :param jitter: a random number in [0, 1): waits have full jitter, so that many callers spread out.
    :param replayable: whether the request may be sent again although the server may have received it.
    """
    if not replayable and not _never_sent(error):
        return None
    if attempts >= policy.attempts or not is_transient(error):
        return None
    throttled = is_throttling(error)
    base_s = policy.throttled_base_delay_s if throttled else policy.base_delay_s
    wait_s = jitter * min(policy.max_delay_s, base_s * 2.0 ** min(attempts - 1, _MAX_EXPONENT))
    asked_s = error.retry_after_s if isinstance(error, ApiError) else None
    if asked_s is not None:
        if asked_s > policy.max_retry_after_s:
            return None
        wait_s = max(wait_s, min(policy.max_retry_after_s, asked_s * (1 + 0.1 * jitter)))
    if throttled and asked_s is not None:
        # The shared pause and its single probe limit the load already, so it costs nothing of the budget.
        return RetryDecision(wait_s=wait_s, pause=True, cost=0)
    if throttled:
        return RetryDecision(wait_s=wait_s, pause=isinstance(error, RateLimited), cost=THROTTLED_RETRY_COST)
    return RetryDecision(wait_s=wait_s, pause=False, cost=RETRY_COST)


def _never_sent(error: RequestError) -> bool:
    return isinstance(error, TransportError) and not error.sent
