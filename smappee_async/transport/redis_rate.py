"""A rate that processes on many machines share: slots are handed out by Redis, on its clock."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

from aiolimiter import AsyncLimiter
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError

from smappee_async import defaults
from smappee_async.errors import RateLimiterError, unwrap
from smappee_async.limits import check_rate
from smappee_async.redis_link.failures import RedisUse
from smappee_async.redis_link.link import evaluate, link_to
from smappee_async.transport.rate import LocalRateLimiter

# Times are whole microseconds since 1970 on the clock of Redis, because the clocks of the processes may differ. They
# are written with all their digits; Lua would round them.

#: KEYS rate. ARGV the time, or empty for that of Redis; then what each script adds.
_STATE: Final = f"""
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local stored = redis.call('HMGET', KEYS[1], 'free_at', 'paused_until', 'share', 'cut_at')
local free_at = tonumber(stored[1] or 0)
local paused_until = tonumber(stored[2] or 0)
local share, cut_at = 1, tonumber(stored[4] or 0)
if stored[3] then
  share = math.min(1, stored[3] + math.max(0, now - cut_at) / {defaults.RATE_GROWTH_S * 1e6:.0f})
end
local function store(...)
  redis.call('HSET', KEYS[1], ...)
  -- When it expires, all that it says is over: the slots, the pause and the cut.
  local ahead = math.max(0, free_at - now, paused_until - now)
  redis.call('PEXPIRE', KEYS[1], math.ceil(ahead / 1000) + {defaults.RATE_GROWTH_S * 1000:.0f})
end
local function digits(time) return string.format('%.0f', time) end
"""

#: ARGV requests a second, 1 if a slot has come and is only to be confirmed. Gives the wait for the slot and the rest of
#: a pause, in microseconds. A slot is later than all that were given before.
_RESERVE: Final = (
    _STATE
    + """
if ARGV[3] == '1' and now >= paused_until then return {0, 0} end
local slot = math.max(now, free_at, paused_until)
free_at = slot + 1000000 / (ARGV[2] * share)
store('free_at', digits(free_at))
return {slot - now, math.max(0, paused_until - now)}
"""
)

#: ARGV the pause in microseconds. Gives 0 and the rest of the pause.
_THROTTLED: Final = (
    _STATE
    + f"""
paused_until = math.max(paused_until, now + ARGV[2])
if now - cut_at >= {defaults.RATE_CUT_INTERVAL_S * 1e6:.0f} then
  store('share', share * {defaults.RATE_CUT}, 'cut_at', digits(now))
end
store('paused_until', digits(paused_until))
return {{0, paused_until - now}}
"""
)

#: No ARGV. A process returns from its fallback. If no slot was used for so long, the other processes are still on their
#: way: slots begin when they have returned, so that no second has both rates. Gives 0 and the rest of a pause.
_RETURN: Final = (
    _STATE
    + f"""
if now - free_at > {defaults.RATE_RETRY_S * 1e6:.0f} then
  paused_until = math.max(paused_until, now + {defaults.RATE_RETRY_S * 1e6:.0f})
  store('paused_until', digits(paused_until))
end
return {{0, math.max(0, paused_until - now)}}
"""
)

_DIGESTS: Final = {script: hashlib.sha1(script.encode()).hexdigest() for script in (_RESERVE, _THROTTLED, _RETURN)}  # noqa: S324 - the name that Redis gives it


class _Reply(NamedTuple):
    """What a script says, in seconds from now.

    :param wait_s: until the slot.
    :param pause_s: until the end of the pause.
    """

    wait_s: float
    pause_s: float


def _error(reason: str, *, advice: str | None, transient: bool) -> RateLimiterError:
    error = RateLimiterError(reason, advice=advice)
    error.transient = transient
    return error


_USE: Final = RedisUse(
    error=_error,
    owner="the rate limiter",
    keeps="the shared rate",
    needs="EVAL, EVALSHA, TIME, HMGET, HSET and PEXPIRE on the key",
    value="a rate",
    instead="Make one RedisRateLimiter for each event loop and each process, with the same key",
)


class RedisRateLimiter:
    """One rate for all processes that use the same key, for ``Limits.rate``.

    Each request reserves the next free slot in Redis, with one call, and waits for it. Slots are evenly spaced, on the
    clock of Redis: no second has more requests than the rate, wherever they come from. A slot that was waited for is
    spent, also if the wait is cancelled or its deadline passes. At most four tasks of a process hold a slot that is
    still to come; the others wait in the process, and spend nothing when they are cancelled.

    After a 429 all processes pause: for as long as the service asked, at most two minutes; for one second if it did not
    say. The shared rate is cut to 0.7 of what it was, at most every two seconds, and grows back within two minutes.

    While Redis is gone, calls fail with :class:`RateLimiterError`, or go on at the rate ``fallback``. Redis is tried
    again every second. Refusals that do not pass, such as of a wrong password, are always an error.

    The value in Redis has no secret, is small, and expires two minutes after its last use. It may be lost at any time:
    slots then begin anew.

    A limiter may be used by several clients. It belongs to one event loop of one process, as the connections of the
    Redis client do.

    :param client_or_url: a ``redis.asyncio`` client, which the host closes: ``Redis``, ``RedisCluster``, or what
        ``Sentinel.master_for`` gives. Or a URL such as ``rediss://user:password@host:6379/0``; then the limiter opens
        connections, and ``aclose`` or ``async with`` closes them.
    :param key: the key of the rate. Use one key for each account, and no secret in it: errors show it.
    :param rate: at most this many requests a second, of all processes together. Give all processes the same.
    :param fallback: at most this many requests a second of this process while Redis is gone: the rate divided by the
        number of processes. ``None`` fails instead.
    :raises ConfigurationError: the URL cannot be used, or a rate is not above 0.
    """

    def __init__(
        self,
        client_or_url: Redis | RedisCluster | str,
        key: str = "smappee-async:rate",
        *,
        rate: float,
        fallback: float | None = None,
    ) -> None:
        outcome = link_to(client_or_url, _USE, key, defaults.RATE_TIMEOUT_S)
        del client_or_url  # a URL may contain a password, and an error would show this frame
        self._link = unwrap(outcome)
        check_rate("RedisRateLimiter.rate", rate)
        self._key = key
        self._rate = rate
        self._fallback: LocalRateLimiter | None = None
        if fallback is not None:
            check_rate("RedisRateLimiter.fallback", fallback)
            self._fallback = LocalRateLimiter(AsyncLimiter, fallback)
        self._ahead = asyncio.Semaphore(defaults.SLOTS_AHEAD)
        self._paused_until = 0.0  # on the clock of the event loop
        self._retry: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"RedisRateLimiter(key={self._key!r}, rate={self._rate:g})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let commands end, and close the connections that the limiter opened. Closing twice does nothing."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.wait([self._retry])
            self._retry = None
        await self._link.aclose()

    @property
    def uses_fallback(self) -> bool:
        """Whether Redis is gone, and requests keep to the rate ``fallback`` of this process."""
        return self._retry is not None

    async def acquire(self) -> None:
        """Wait for a slot.

        :raises RateLimiterError: Redis failed, and there is no fallback for it; or the limiter belongs to another event
            loop or process.
        """
        self._link.check()
        async with self._ahead:
            if self._retry is None:
                try:
                    await self._wait_for_slot()
                    return
                except RateLimiterError as error:
                    self._fall_back(error)
        assert self._fallback is not None
        await self._fallback.acquire()

    async def throttled(self, retry_after_s: float | None) -> None:
        """Make all processes pause, and cut the rate. If Redis fails, only the client that was told pauses."""
        self._link.check()
        if self._retry is not None:
            return
        pause_s = defaults.RATE_PAUSE_S if retry_after_s is None else min(retry_after_s, defaults.MAX_RETRY_AFTER_S)
        try:
            await self._run(_THROTTLED, f"{pause_s * 1e6:.0f}")
        except RateLimiterError:
            return  # the next slot is asked for soon, and tells the caller

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _wait_for_slot(self) -> None:
        clock = asyncio.get_running_loop().time
        confirm = "0"
        while True:
            wait_s = (await self._run(_RESERVE, repr(self._rate), confirm)).wait_s
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if clock() < self._paused_until:  # another task was told of the pause during the wait
                confirm = "0"
            elif wait_s < defaults.CONFIRM_SLOT_S:
                return
            else:
                confirm = "1"

    async def _run(self, script: str, *arguments: str) -> _Reply:
        wait_us, pause_us = await self._link.run(self._evaluate(script, "", *arguments))
        reply = _Reply(wait_us / 1e6, pause_us / 1e6)
        if reply.pause_s > 0:
            self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + reply.pause_s)
        return reply

    async def _evaluate(self, script: str, *arguments: str) -> tuple[int, int]:
        client = self._link.client
        try:
            reply = await cast("Awaitable[object]", client.evalsha(_DIGESTS[script], 1, self._key, *arguments))
        except NoScriptError:  # Redis has not seen it since it was started
            reply = await evaluate(client, script, self._key, *arguments)
        wait_us, pause_us = cast("list[int]", reply)
        return wait_us, pause_us

    def _fall_back(self, error: RateLimiterError) -> None:
        if self._fallback is None:
            if error.transient:
                error.advice += "; with RedisRateLimiter(..., fallback=...) requests go on while Redis is gone"
            raise error
        if not error.transient:
            raise error
        if self._retry is None:
            self._retry = asyncio.create_task(self._return_to_redis(), name="smappee rate limiter")

    async def _return_to_redis(self) -> None:
        """Try until Redis answers. A refusal that does not pass ends it, too: the next call tells it to its caller."""
        while True:
            await asyncio.sleep(defaults.RATE_RETRY_S)
            try:
                await self._run(_RETURN)
            except RateLimiterError as error:
                if error.transient:
                    continue
            self._retry = None
            return
