"""One call as the rest of the package sees it: a request goes in, and a value comes out after enough attempts."""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import attrs
import msgspec

from smappee_async.defaults import PROBE_INTERVAL_S, PROBE_INTERVAL_SHARE, SMALL_BODY_BYTES
from smappee_async.errors import (
    ApiError,
    AuthenticationError,
    CallFacts,
    DeadlineExceeded,
    RateLimited,
    RequestError,
    SmappeeError,
    without_frames,
)
from smappee_async.events import EventReporter
from smappee_async.limits import RetryPolicy
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response, raise_for_status
from smappee_async.secret import Opaque, Secret
from smappee_async.transport.gate import Gate, Permit
from smappee_async.transport.http import HttpTransport
from smappee_async.transport.refusals import Refusals, refused_although_accepted
from smappee_async.transport.retry import RetryBudget, RetryDecision, is_transient, next_attempt

ResultT = TypeVar("ResultT")
#: Makes a value of a response, or raises a :class:`RequestError`. For a large response it may be a generator function
#: that yields wherever the event loop may run other tasks, or a coroutine that may give such a generator.
Steps = Generator[None, None, ResultT]
ReadResponse = Callable[[Response], ResultT | Steps[ResultT] | Coroutine[Any, Any, ResultT | Steps[ResultT]]]


class AccessTokens(Protocol):
    """Where access tokens come from."""

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """A token that is good now and is not ``rejected``."""
        ...


class CallCost(Opaque, msgspec.Struct, eq=False):
    """What calls have cost so far.

    :ivar requests: requests sent, repeated ones included.
    :ivar retries: requests sent again after a failure.
    :ivar bytes: size of the response bodies, decompressed.
    """

    requests: int = 0
    retries: int = 0
    bytes: int = 0

    def add(self, other: CallCost) -> None:
        """Add the cost of other calls."""
        self.requests += other.requests
        self.retries += other.retries
        self.bytes += other.bytes


class CallResult(NamedTuple, Generic[ResultT]):
    """The value that a call brought.

    :param value: what was read from the response.
    :param elapsed_s: seconds that the successful attempt took, without the waits before it.
    :param status: the HTTP status.
    :param headers: the headers of the response, found by names in lower case.
    """

    value: ResultT
    elapsed_s: float
    status: int
    headers: Mapping[str, str]


class Caller:
    """Makes calls: permit, token, attempt, and another attempt where that helps.

    :param probe: a call that any account may make; it shows whether a token is accepted.
    :param jitter: gives random numbers in [0, 1) for the waits between attempts.
    """

    def __init__(
        self,
        transport: HttpTransport,
        gate: Gate,
        tokens: AccessTokens,
        policy: RetryPolicy,
        reporter: EventReporter,
        *,
        probe: Request,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._tokens = tokens
        self._policy = policy
        self._budget = RetryBudget(policy.budget)
        self._reporter = reporter
        self._probe = probe
        self._jitter = jitter
        self._clock = asyncio.get_running_loop().time
        self._large_body = asyncio.Lock()
        self._refusals = Refusals(self._clock)

    async def call(
        self,
        request: Request,
        read: ReadResponse[ResultT],
        *,
        deadline_at: float | None = None,
        add_cost_to: CallCost | None = None,
        parent_id: int | None = None,
    ) -> CallResult[ResultT]:
        """Send a request until it succeeds or another attempt makes no sense, and read the response.

        :param read: makes the value of the response.
        :param deadline_at: loop time at which the call ends in any case: waits, tokens and attempts included.
        :param add_cost_to: takes the cost of the call, also of one that fails.
        :param parent_id: the operation that the call is part of, see :class:`ClientEvent`.
        :raises SmappeeError: with the facts of the call filled in.
        """
        started_at = self._clock()
        cost = CallCost()
        try:
            if deadline_at is None:
                return await self._until_done(request, read, cost, parent_id)
            return await within(
                deadline_at, lambda: self._until_done(request, read, cost, parent_id), "the call was done"
            )
        except SmappeeError as error:
            elapsed_s = self._clock() - started_at
            error.with_facts(attrs.evolve(request.facts, attempts=cost.requests or None, elapsed_s=elapsed_s))
            raise
        finally:
            if cost.requests > 1:
                cost.retries = cost.requests - 1
            if add_cost_to is not None:
                add_cost_to.add(cost)

    async def _until_done(
        self, request: Request, read: ReadResponse[ResultT], cost: CallCost, parent_id: int | None
    ) -> CallResult[ResultT]:
        attempts = 0  # since the call began, or since the last wait that ``patience`` allowed
        rejected: Secret | None = None
        last_cost = 0
        failing_since: float | None = None
        while True:
            attempts += 1
            outcome: CallResult[ResultT] | RequestError
            token: Secret | None = None
            try:
                # Before the permit, so that no permit is held during a renewal. Again after a wait, because the token
                # may have expired meanwhile.
                token = await self._tokens.access_token(rejected)
                permit = await (
                    self._wait_for_permit(request, parent_id) if self._gate.is_paused else self._gate.enter()
                )
                try:
                    if permit.had_to_wait:
                        token = await self._tokens.access_token(rejected)
                    outcome = await self._attempt(request, token, read, cost, parent_id)
                finally:
                    self._gate.leave(permit)
            except RequestError as error:  # the token call failed
                token, outcome = None, without_frames(error)
                if is_transient(error):
                    self._gate.failed()
            if not isinstance(outcome, RequestError):
                self._budget.give(last_cost or 1)
                return outcome
            if isinstance(outcome, RateLimited):
                await self._gate.throttled(outcome.retry_after_s)
            if token is not None and outcome.facts.status == HTTPStatus.UNAUTHORIZED:
                # A fresh token, or a park that was refused before: is it about the token, or about the park?
                is_known = self._refusals.holds(request)
                if (rejected is not None or is_known) and await self._accepts(token, request, cost, parent_id):
                    self._refusals.add(request)
                    raise refused_although_accepted()
                if rejected is not None:
                    raise AuthenticationError(
                        "Smappee refused a fresh access token", facts=CallFacts(status=outcome.facts.status)
                    )
                rejected = token
                attempts -= 1  # an expired token is no failure: the call keeps all its attempts
                continue
            decision = next_attempt(outcome, attempts, self._policy, self._jitter(), replayable=request.replayable)
            if decision is not None and not self._budget.take(decision.cost):
                decision, outcome.retry_budget_exhausted = None, True
            if failing_since is None:
                failing_since = self._clock()
            if decision is None:
                decision = self._with_patience(outcome, failing_since)
                attempts = 0
            if decision is None:
                raise outcome
            last_cost = decision.cost
            await self._wait(decision, outcome, request, parent_id, at_gate=token is not None)

    async def _accepts(self, token: Secret, refused: Request, cost: CallCost, parent_id: int | None) -> bool:
        """Whether the service accepts a token for another call than the refused one."""
        if refused.route == self._probe.route:
            return False
        permit = await self._gate.enter()
        try:
            outcome = await self._attempt(self._probe, token, raise_for_status, cost, parent_id)
        finally:
            self._gate.leave(permit)
        return not isinstance(outcome, RequestError)

    async def _wait_for_permit(self, request: Request, parent_id: int | None) -> Permit:
        """Wait for the end of a pause, and tell the host so."""
        with self._reporter.operation(
            "wait", request.facts, parent_id=parent_id, detail=self._gate.pause_reason, wait_s=self._gate.pause_s
        ):
            return await self._gate.enter()

    def _attempt(
        self, request: Request, token: Secret, read: ReadResponse[ResultT], cost: CallCost, parent_id: int | None
    ) -> Awaitable[CallResult[ResultT] | RequestError]:
        cost.requests += 1
        if self._reporter.is_listening:
            return self._reported(request, token, read, cost, parent_id)
        return self._send(request, token, read, cost)

    async def _reported(
        self, request: Request, token: Secret, read: ReadResponse[ResultT], cost: CallCost, parent_id: int | None
    ) -> CallResult[ResultT] | RequestError:
        with self._reporter.operation("attempt", request.facts, parent_id=parent_id) as attempt:
            outcome = await self._send(request, token, read, cost)
            if isinstance(outcome, RequestError):
                attempt.note(status=outcome.facts.status, attempts=cost.requests)
                attempt.fail(outcome)
            else:
                attempt.note(status=outcome.status, attempts=cost.requests)
            return outcome

    async def _send(
        self, request: Request, token: Secret, read: ReadResponse[ResultT], cost: CallCost
    ) -> CallResult[ResultT] | RequestError:
        """Send once. An error is returned, see :func:`smappee_async.errors.unwrap`: the frames here hold the body."""
        started_at = self._clock()
        try:
            response = await self._transport.send(request, token)
            cost.bytes += len(response.body)
            if len(response.body) <= SMALL_BODY_BYTES:
                value = read(response)
                if isinstance(value, types.CoroutineType):
                    value = await value
                if isinstance(value, types.GeneratorType):
                    value = await in_turns(value)
            else:
                value = await self._read_large(response, read)
        except RequestError as error:
            # Any definite response, a 404 too, shows that the service is up.
            self._gate.failed() if is_transient(error) else self._gate.succeeded()
            return without_frames(error)
        self._gate.succeeded()
        return CallResult(cast(ResultT, value), self._clock() - started_at, response.status, response.headers)

    async def _read_large(self, response: Response, read: ReadResponse[ResultT]) -> ResultT:
        # Responses come in bursts. To read several large ones in one turn would hold the event loop long.
        async with self._large_body:
            value = read(response)
            if isinstance(value, types.GeneratorType):
                value = await in_turns(value)
        if isinstance(value, types.CoroutineType):
            value = await value
            if isinstance(value, types.GeneratorType):
                async with self._large_body:
                    value = await in_turns(value)
        return cast(ResultT, value)

    def _with_patience(self, error: RequestError, failing_since: float) -> RetryDecision | None:
        """Wait for the end of an outage: all calls pause, and one probe is sent at times.

        :param failing_since: loop time of the first failure of this call. If another call succeeded since, then the
            service is not down, and this call fails for a reason of its own.
        """
        patience, down_since = self._policy.patience, self._gate.down_since
        if patience is None or down_since is None or down_since > failing_since or not is_transient(error):
            return None
        left_s = patience.total_seconds() - (self._clock() - down_since)
        asked_s = error.retry_after_s if isinstance(error, ApiError) else None
        if left_s <= 0 or (asked_s is not None and asked_s > left_s):
            return None
        interval_s = min(PROBE_INTERVAL_S, PROBE_INTERVAL_SHARE * patience.total_seconds())
        return RetryDecision(wait_s=max(interval_s * (1 + self._jitter()), asked_s or 0.0), pause=True, cost=0)

    async def _wait(
        self, decision: RetryDecision, error: RequestError, request: Request, parent_id: int | None, *, at_gate: bool
    ) -> None:
        """Wait before another attempt.

        :param at_gate: whether a pause is waited for at the gate. A call without a token does not get there.
        """
        if decision.pause:
            self._gate.pause(decision.wait_s, error.reason)  # all calls wait at the gate, this one too
            if at_gate:
                return
        with self._reporter.operation(
            "wait", request.facts, parent_id=parent_id, detail=error.reason, wait_s=decision.wait_s
        ):
            await asyncio.sleep(decision.wait_s)


async def within(deadline_at: float, step: Callable[[], Awaitable[ResultT]], what: str) -> ResultT:
    """Await a step, but not beyond a deadline.

    :param deadline_at: loop time.
    :param what: what the deadline passed before, for the text of the error.
    :raises DeadlineExceeded: the deadline passed first.
    """
    timer = asyncio.timeout_at(deadline_at)
    if asyncio.get_running_loop().time() < deadline_at:
        try:
            async with timer:
                return await step()
        except TimeoutError:
            if not timer.expired():
                raise
    # Raised out here, because the frames of the time-out may hold secrets.
    raise DeadlineExceeded(f"the deadline passed before {what}")


@types.coroutine
def in_turns(steps: Generator[None, None, ResultT]) -> Generator[None, None, ResultT]:
    """Awaitable: each yield lets the event loop run other tasks, as ``asyncio.sleep(0)`` does."""
    return (yield from steps)
