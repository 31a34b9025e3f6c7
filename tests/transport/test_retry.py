"""Whether a call is tried again, after how long, and at whose cost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smappee_async.defaults import RETRY_COST, THROTTLED_RETRY_COST
from smappee_async.errors import (
    ApiError,
    CallFacts,
    RequestError,
    ResponseDecodeError,
    ResponseTooLarge,
    TransportError,
    error_class,
)
from smappee_async.limits import RetryPolicy
from smappee_async.transport.retry import RetryBudget, RetryDecision, is_throttling, is_transient, next_attempt

PATIENT = RetryPolicy(attempts=10_000)
RESET = TransportError("the connection was lost")
chances = st.floats(0, 1, exclude_max=True)


def status(code: int, retry_after_s: float | None = None) -> ApiError:
    return error_class(code)("no", facts=CallFacts(status=code), retry_after_s=retry_after_s)


def again(error: RequestError, attempts: int = 1, policy: RetryPolicy = PATIENT, jitter: float = 0.5) -> RetryDecision:
    found = next_attempt(error, attempts, policy, jitter)
    assert found is not None
    return found


# --- what passes by itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RESET,
        TransportError("no name", sent=False),
        TransportError("too slow", timed_out=True),
        *[status(code) for code in (408, 429, 500, 502, 503, 504)],
        ResponseDecodeError("the response is empty"),
    ],
    ids=str,
)
def test_a_fault_that_may_pass_is_tried_again(error: RequestError) -> None:
    assert is_transient(error)
    assert next_attempt(error, 1, PATIENT, 0.5) is not None


@pytest.mark.parametrize(
    "error",
    [
        TransportError("the server's certificate is not trusted", sent=False, untrusted=True),
        *[status(code) for code in (201, 302, 400, 401, 403, 404, 409, 422, 501, 505)],
        ResponseDecodeError("a record cannot be read", index=0),
        ResponseTooLarge("too large"),
    ],
    ids=str,
)
def test_a_fault_that_stays_is_not(error: RequestError) -> None:
    assert not is_transient(error)
    assert next_attempt(error, 1, PATIENT, 0.5) is None


@pytest.mark.parametrize(
    ("error", "throttling"),
    [(status(429), True), (status(503), True), (status(500), False), (status(502), False), (RESET, False)],
    ids=str,
)
def test_429_and_503_speak_of_load(error: RequestError, *, throttling: bool) -> None:
    assert is_throttling(error) is throttling


# --- how often --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 30), chances)
def test_a_call_is_sent_as_often_as_the_policy_allows(allowed: int, attempts: int, jitter: float) -> None:
    found = next_attempt(RESET, attempts, RetryPolicy(attempts=allowed), jitter)
    assert (found is not None) is (attempts < allowed)


def test_no_retrying_means_none() -> None:
    assert next_attempt(RESET, 1, RetryPolicy.none(), 0.5) is None


# --- how long ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "attempts", "longest_s"),
    [
        (RESET, 1, 0.1),
        (RESET, 2, 0.2),
        (RESET, 3, 0.4),
        (RESET, 8, 12.8),
        (RESET, 9, 20.0),
        (RESET, 5000, 20.0),
        (status(502), 1, 0.1),
        (status(429), 1, 1.0),
        (status(503), 1, 1.0),
        (status(503), 3, 4.0),
        (status(429), 6, 20.0),
    ],
    ids=str,
)
def test_the_window_doubles_up_to_the_cap(error: RequestError, attempts: int, longest_s: float) -> None:
    assert again(error, attempts, jitter=0.0).wait_s == 0.0
    assert again(error, attempts, jitter=0.5).wait_s == pytest.approx(longest_s / 2)
    assert again(error, attempts, jitter=1.0).wait_s == pytest.approx(longest_s)


@given(st.sampled_from([RESET, status(500), status(429), status(503)]), st.integers(1, 9_999), chances)
def test_no_random_wait_is_longer_than_the_cap(error: RequestError, attempts: int, jitter: float) -> None:
    assert 0 <= again(error, attempts, jitter=jitter).wait_s <= PATIENT.max_delay_s


@given(st.sampled_from([429, 500, 503]), st.floats(0.1, 120), st.integers(1, 20), chances)
@example(429, 120.0, 1, 0.9)
def test_the_servers_wait_is_kept_with_a_little_jitter_and_never_beyond_its_cap(
    code: int, asked_s: float, attempts: int, jitter: float
) -> None:
    wait_s = again(status(code, asked_s), attempts, jitter=jitter).wait_s
    assert asked_s <= wait_s <= PATIENT.max_retry_after_s
    assert wait_s <= max(PATIENT.max_delay_s, asked_s * 1.1)


@pytest.mark.parametrize(("asked_s", "tried"), [(120.0, True), (120.001, False), (121.0, False), (1e9, False)])
@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_wait_beyond_the_cap_is_for_the_caller_to_decide(code: int, asked_s: float, *, tried: bool) -> None:
    assert (next_attempt(status(code, asked_s), 1, PATIENT, 0.5) is not None) is tried


# --- who waits and who pays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "pause", "cost"),
    [
        (RESET, False, RETRY_COST),
        (status(500), False, RETRY_COST),
        (status(500, 5.0), False, RETRY_COST),
        (ResponseDecodeError("the response is empty"), False, RETRY_COST),
        (status(503), False, THROTTLED_RETRY_COST),
        (status(503, 5.0), True, 0),
        (status(429), True, THROTTLED_RETRY_COST),
        (status(429, 5.0), True, 0),
    ],
    ids=str,
)
def test_load_pauses_everybody_and_only_a_wait_that_was_asked_for_is_free(
    error: RequestError, cost: int, *, pause: bool
) -> None:
    found = again(error)
    assert (found.pause, found.cost) == (pause, cost)


def test_the_budget_is_spent_until_there_is_not_enough_left() -> None:
    budget = RetryBudget(25)
    assert [budget.take(10) for _ in range(4)] == [True, True, False, False]
    assert budget.left == 5
    assert budget.take(5)
    assert not budget.take(1)


def test_what_costs_nothing_is_paid_from_an_empty_budget() -> None:
    assert RetryBudget(0).take(0)


def test_success_refills_the_budget_but_not_beyond_its_size() -> None:
    budget = RetryBudget(20)
    budget.take(10)
    budget.give(4)
    assert budget.left == 14
    budget.give(10)
    assert budget.left == 20


@given(st.integers(0, 50), st.lists(st.tuples(st.booleans(), st.integers(0, 20))))
def test_the_budget_stays_between_nothing_and_its_size(size: int, moves: list[tuple[bool, int]]) -> None:
    budget = RetryBudget(size)
    for is_retry, amount in moves:
        before = budget.left
        if not is_retry:
            budget.give(amount)
        elif budget.take(amount):
            assert budget.left == before - amount
        else:
            assert amount > before == budget.left
        assert 0 <= budget.left <= size


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TransportError("no connection", sent=False), True),
        (TransportError("no response", sent=True), False),
        (error_class(503)("down", facts=CallFacts(status=503)), False),
    ],
)
def test_a_request_that_may_not_be_replayed_is_sent_again_only_if_it_was_never_sent(
    error: RequestError, again: bool
) -> None:
    decision = next_attempt(error, 1, RetryPolicy(), 0.5, replayable=False)
    assert (decision is not None) == again
