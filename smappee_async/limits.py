"""How much at once and how often again: the settings that a user may change, and what may limit the rate."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Protocol

import attrs

from smappee_async import defaults
from smappee_async.errors import ConfigurationError


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise ConfigurationError(sentence)


class RateLimiter(Protocol):
    """Limits how many requests are sent in a second: for ``Limits.rate``, where a number is not enough."""

    async def acquire(self) -> None:
        """Wait until one more request may be sent. It is sent at once then: the client has a free place for it.

        :raises SmappeeError: it cannot be known when. The call that waits fails with this error.
        """
        ...

    async def throttled(self, retry_after_s: float | None) -> None:
        """Take note of a response with the status 429. The client that received it pauses its own calls already.

        :param retry_after_s: the wait that the response asked for, in seconds, if any.
        """
        ...


@attrs.frozen(kw_only=True)
class Limits:
    """How much a client asks for at once. The reasons of the defaults are in ``smappee_async.defaults``.

    :param concurrency: calls in flight at once, over all streams of the client. In each stream as many responses again
        may wait for the consumer, before a slow consumer delays the calls.
    :param rate: at most this many requests a second, retries included; ``None`` for no limit. A number limits this
        client alone; a :class:`RateLimiter` may be shared, such as :class:`RedisRateLimiter` by several processes.
    :param target_sessions: chunks are planned so that a response has about this many sessions.
    :param verify_from_sessions: a response with this many sessions that is larger than what is known to be whole is
        verified: it is asked for again in two parts, because a service may stop at some number or size silently.
        ``None`` trusts all.
    :param max_body_bytes: the chunk of a larger response, as sent or decompressed, is split.
    :param connect_timeout_s: DNS, TCP and TLS together.
    :param read_timeout_s: the longest silence within a response.
    :param attempt_timeout_s: one attempt as a whole; waiting for a permit does not count.
    :raises ConfigurationError: a value that cannot work.
    """

    concurrency: int = defaults.CONCURRENCY
    rate: float | RateLimiter | None = None
    target_sessions: int = defaults.TARGET_SESSIONS
    verify_from_sessions: int | None = defaults.VERIFY_FROM_SESSIONS
    max_body_bytes: int = defaults.MAX_BODY_BYTES
    connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S
    read_timeout_s: float = defaults.READ_TIMEOUT_S
    attempt_timeout_s: float = defaults.ATTEMPT_TIMEOUT_S

    def __attrs_post_init__(self) -> None:
        _check(self.concurrency >= 1, f"Limits.concurrency must be at least 1, not {self.concurrency}")
        _check(self.target_sessions >= 1, f"Limits.target_sessions must be at least 1, not {self.target_sessions}")
        doubt = self.verify_from_sessions
        _check(doubt is None or doubt >= 2, f"Limits.verify_from_sessions must be at least 2, not {doubt}")
        if isinstance(self.rate, int | float):
            check_rate("Limits.rate", self.rate)
        elif self.rate is not None:
            is_limiter = callable(getattr(self.rate, "acquire", None)) and callable(
                getattr(self.rate, "throttled", None)
            )
            _check(is_limiter, f"Limits.rate must be a number or a RateLimiter, not {type(self.rate).__name__}")
        _check(self.max_body_bytes >= 1024, f"Limits.max_body_bytes must be at least 1024, not {self.max_body_bytes}")
        for name in ("connect_timeout_s", "read_timeout_s", "attempt_timeout_s"):
            seconds = getattr(self, name)
            _check(seconds > 0 and math.isfinite(seconds), f"Limits.{name} must be above 0 seconds, not {seconds}")


def check_rate(name: str, requests_per_second: float) -> None:
    """Refuse what is no rate.

    :raises ConfigurationError: it is not above 0, or not finite.
    """
    holds = requests_per_second > 0 and math.isfinite(requests_per_second)
    _check(holds, f"{name} must be above 0 requests a second, not {requests_per_second}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a call is tried, and the waits in between. The reasons are in ``smappee_async.defaults``.

    :param attempts: how many times a call is sent at most; 1 never sends it again.
    :param base_delay_s: upper end of the first random wait after a transient fault; it doubles with each attempt.
    :param throttled_base_delay_s: the same after 429 and 503.
    :param max_delay_s: no random wait is longer.
    :param max_retry_after_s: a longer ``Retry-After`` is raised as an error at once.
    :param budget: size of the budget that the retries of all calls share; successes refill it.
    :param patience: how long calls wait for the end of an outage of the whole service, with one probe at times, after
        their attempts or the budget are used up; ``None`` does not wait. For a backfill, allow an hour or more.
    :raises ConfigurationError: a value that cannot work.
    """

    attempts: int = defaults.ATTEMPTS
    base_delay_s: float = defaults.BASE_DELAY_S
    throttled_base_delay_s: float = defaults.THROTTLED_BASE_DELAY_S
    max_delay_s: float = defaults.MAX_DELAY_S
    max_retry_after_s: float = defaults.MAX_RETRY_AFTER_S
    budget: int = defaults.RETRY_BUDGET
    patience: timedelta | None = defaults.PATIENCE

    def __attrs_post_init__(self) -> None:
        _check(self.attempts >= 1, f"RetryPolicy.attempts must be at least 1, not {self.attempts}")
        _check(self.budget >= 0, f"RetryPolicy.budget must not be negative, not {self.budget}")
        for name in ("base_delay_s", "throttled_base_delay_s", "max_delay_s", "max_retry_after_s"):
            seconds = getattr(self, name)
            _check(
                seconds >= 0 and math.isfinite(seconds), f"RetryPolicy.{name} must be 0 seconds or more, not {seconds}"
            )
        _check(self.patience is None or self.patience > timedelta(0), "RetryPolicy.patience must be a positive time")

    @classmethod
    def none(cls) -> RetryPolicy:
        """Send every call once: for hosts that retry by themselves."""
        return cls(attempts=1, patience=None)
