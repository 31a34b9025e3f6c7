"""One call as the rest of the package sees it: a request goes in, a value comes out, whatever it took."""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Protocol, TypeVar

import attrs

from smappee_async.defaults import PROBE_INTERVAL_S, SMALL_BODY_BYTES
from smappee_async.errors import (
    ApiError,
    AuthenticationError,
    CallFacts,
    DeadlineExceeded,
    RequestError,
    SmappeeError,
)
from smappee_async.events import ClientEvent, EventKind, OnEvent, is_listening, tell
from smappee_async.limits import RetryPolicy
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret
from smappee_async.transport.gate import Gate
from smappee_async.transport.http import HttpTransport
from smappee_async.transport.retry import RetryBudget, RetryDecision, is_transient, next_attempt

ResultT = TypeVar("ResultT")
#: Turns a response into a result, or raises a :class:`RequestError`; yields where the event loop may have its turn.
Read = Callable[[Response], Generator[None, None, ResultT]]


class AccessTokens(Protocol):
    """Where access tokens come from."""

    async def access_token(self, rejected: Secret | None = None) -> Secret:
        """A token that is good now, and is not ``rejected``."""
        ...


@attrs.define
class CallCost:
    """What calls have cost so far."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    slowest_s: float = 0.0
    """The longest that a good response took, without the waits before it."""

    def add(self, other: CallCost) -> None:
        """Count another's cost in."""
        self.requests += other.requests
        self.retries += other.retries
        self.bytes += other.bytes
        self.slowest_s = max(self.slowest_s, other.slowest_s)


class Caller:
    """Makes calls: gate, token, attempt, and again where that helps."""

    def __init__(
        self, transport: HttpTransport, gate: Gate, tokens: AccessTokens, policy: RetryPolicy, on_event: OnEvent | None
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._tokens = tokens
        self._policy = policy
        self._budget = RetryBudget(policy.budget)
        self._on_event = on_event
        self._clock = asyncio.get_running_loop().time
        self._one_by_one = asyncio.Lock()

    async def call(
        self,
        request: Request,
        read: Read[ResultT],
        *,
        deadline_at: float | None = None,
        add_to: CallCost | None = None,
    ) -> ResultT:
        """Send a request until it succeeds or trying again makes no sense, and read the response.

        :param read: what to make of the response.
        :param deadline_at: loop time at which the call ends, come what may: waiting, tokens and attempts included.
        :raises SmappeeError: with the facts of the call filled in.
        """
        started_at = self._clock()
        cost = CallCost()
        try:
            if deadline_at is None:
                return await self._until_done(request, read, cost)
            return await self._within(deadline_at, request, read, cost)
        except SmappeeError as error:
            elapsed_s = self._clock() - started_at
            error.with_facts(attrs.evolve(request.facts, attempts=cost.requests or None, elapsed_s=elapsed_s))
            raise
        finally:
            if cost.requests > 1:
                cost.retries = cost.requests - 1
            if add_to is not None:
                add_to.add(cost)

    async def _within(self, deadline_at: float, request: Request, read: Read[ResultT], cost: CallCost) -> ResultT:
        timer = asyncio.timeout_at(deadline_at)
        if self._clock() < deadline_at:
            try:
                async with timer:
                    return await self._until_done(request, read, cost)
            except TimeoutError:
                if not timer.expired():
                    raise
        raise DeadlineExceeded("the deadline passed before the call was done")

    async def _until_done(self, request: Request, read: Read[ResultT], cost: CallCost) -> ResultT:
        attempts = 0  # since the call began, or since patience began anew
        rejected: Secret | None = None
        last_cost = 0
        while True:
            attempts += 1
            outcome: ResultT | RequestError
            token: Secret | None = None
            try:
                # Before the permit, so that a renewal holds none; and again if the wait for it may have been long.
                token = await self._tokens.access_token(rejected)
                permit = await self._gate.enter()
                try:
                    if permit.had_to_wait:
                        token = await self._tokens.access_token(rejected)
                    outcome = await self._attempt(request, token, read, cost)
                finally:
                    self._gate.leave(permit)
            except RequestError as error:  # the token call did not get through
                token, outcome = None, error.with_traceback(None)
            if not isinstance(outcome, RequestError):
                self._budget.give(last_cost or 1)
                return outcome
            if token is not None and outcome.facts.status == HTTPStatus.UNAUTHORIZED:
                if rejected is not None:
                    raise AuthenticationError(
                        "Smappee refused a fresh access token", facts=CallFacts(status=outcome.facts.status)
                    )
                rejected = token
                attempts -= 1  # renewing is not failing: the call still has all its attempts
                continue
            again = next_attempt(outcome, attempts, self._policy, random.random())
            if again is not None and not self._budget.take(again.cost):
                again, outcome.retry_budget_exhausted = None, True
            if again is None:
                again = self._with_patience(outcome)
                attempts = 0
            if again is None:
                raise outcome
            last_cost = again.cost
            await self._wait(again, outcome, request)

    async def _attempt(
        self, request: Request, token: Secret, read: Read[ResultT], cost: CallCost
    ) -> ResultT | RequestError:
        """Send once; an error is returned, so that no frame that saw the response is part of its traceback."""
        cost.requests += 1
        began_at = self._clock()
        try:
            response = await self._transport.send(request, token)
            cost.bytes += len(response.body)
            if len(response.body) <= SMALL_BODY_BYTES:
                result = await _in_turns(read(response))
            else:
                # Answers come in bursts; all of them in one turn of the loop would hold up whatever else runs in it.
                async with self._one_by_one:
                    result = await _in_turns(read(response))
        except RequestError as error:
            # Any definite response, a 404 too, shows that the service is up.
            self._gate.failed() if is_transient(error) else self._gate.answered()
            self._tell("failed", request, cost, detail=error.reason)
            return error.with_traceback(None)
        self._gate.answered()
        cost.slowest_s = max(cost.slowest_s, self._clock() - began_at)
        self._tell("answered", request, cost, status=response.status)
        return result

    def _tell(
        self, kind: EventKind, request: Request, cost: CallCost, *, detail: str = "", status: int | None = None
    ) -> None:
        if is_listening(self._on_event):
            facts = attrs.evolve(request.facts, attempts=cost.requests, status=status)
            tell(self._on_event, ClientEvent(kind=kind, facts=facts, detail=detail))

    def _with_patience(self, error: RequestError) -> RetryDecision | None:
        """With patience, an outage is waited out: everybody pauses, and one probe asks now and then."""
        patience, down_since = self._policy.patience, self._gate.down_since
        if patience is None or down_since is None or not is_transient(error):
            return None
        if self._clock() - down_since >= patience.total_seconds():
            return None
        asked_s = error.retry_after_s if isinstance(error, ApiError) else None
        return RetryDecision(wait_s=max(PROBE_INTERVAL_S * (1 + random.random()), asked_s or 0.0), pause=True, cost=0)

    async def _wait(self, again: RetryDecision, error: RequestError, request: Request) -> None:
        if again.pause:
            self._gate.pause(again.wait_s)
        event = ClientEvent(
            kind="paused" if again.pause else "retrying", facts=request.facts, detail=error.reason, wait_s=again.wait_s
        )
        tell(self._on_event, event)
        if not again.pause:  # a pause is waited out at the gate, with everybody else
            await asyncio.sleep(again.wait_s)


def at_once(read: Callable[[Response], ResultT]) -> Read[ResultT]:
    """For what is read in one go."""

    def steps(response: Response) -> Generator[None, None, ResultT]:
        return read(response)
        yield

    return steps


@types.coroutine
def _in_turns(steps: Generator[None, None, ResultT]) -> Generator[None, None, ResultT]:
    """Awaitable: a bare yield gives the event loop its turn, as ``asyncio.sleep(0)`` does."""
    return (yield from steps)
