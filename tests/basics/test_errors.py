"""The error tree: as it is drawn, complete with its facts, and able to cross process borders."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async import errors
from smappee_async.errors import (
    ApiError,
    BadRequest,
    CallFacts,
    ConfigurationError,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    ResponseDecodeError,
    ServerError,
    SmappeeError,
    TransportError,
    error_class,
)
from smappee_async.timerange import TimeRange

CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, SmappeeError)]
OCTOBER = TimeRange.month(2026, 10, tz="Europe/Brussels")
FACTS = CallFacts(
    method="GET",
    route="/chargingparks/{service_location_id}/sessions",
    service_location_id=12345,
    serial_number="6120009999",
    time_range=OCTOBER,
    status=503,
    attempts=4,
    elapsed_s=7.25,
)
every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def filled(kind: type[SmappeeError]) -> SmappeeError:
    """An error of a class, with something in everything that it can carry."""
    more: dict[str, Any] = {}
    if issubclass(kind, ApiError):
        more = {"retry_after_s": 30.0}
    elif issubclass(kind, TransportError):
        more = {"sent": False, "timed_out": True}
    elif issubclass(kind, ResponseDecodeError):
        more = {"index": 7, "json_path": "$.from"}
    return kind("it went wrong", facts=FACTS, advice="Try again", **more)


def drawn_tree() -> dict[str, str | None]:
    """Each class in the module's drawing, with the one that it hangs from."""
    assert errors.__doc__ is not None
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    (?:[│ ├└─]*)(?P<name>[A-Z]\w+)(?:  |$)", line):
            depth = found.start("name")
            path = [step for step in path if step[0] < depth]
            parents[found["name"]] = path[-1][1] if path else None
            path.append((depth, found["name"]))
    return parents


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_the_classes_hang_together_as_the_docstring_draws_them() -> None:
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}
    assert drawn_tree() == {**real, "SmappeeError": None}


@every_class
def test_every_error_is_documented(kind: type[SmappeeError]) -> None:
    assert kind.__doc__ is not None


def test_a_configuration_error_is_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)


def test_an_exceeded_deadline_is_a_timeout_error() -> None:
    assert issubclass(DeadlineExceeded, TimeoutError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (199, ApiError),
        (201, ApiError),
        (302, ApiError),
        (400, BadRequest),
        (401, BadRequest),
        (403, PermissionDenied),
        (404, NotFound),
        (418, BadRequest),
        (429, RateLimited),
        (499, BadRequest),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (599, ServerError),
        (999, ServerError),
    ],
)
def test_each_status_has_its_class(status: int, kind: type[ApiError]) -> None:
    assert error_class(status) is kind


# --- crossing process borders -----------------------------------------------------------------------------------------


@every_class
def test_an_error_and_its_pickle_are_equal_in_all_they_say(kind: type[SmappeeError]) -> None:
    error = filled(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again == error
    assert hash(again) == hash(error)
    assert vars(again) == vars(error)
    assert (again.args, str(again), repr(again)) == (error.args, str(error), repr(error))


@every_class
def test_a_bare_error_pickles_too(kind: type[SmappeeError]) -> None:
    assert pickle.loads(pickle.dumps(kind("it went wrong"))) == kind("it went wrong")


@every_class
def test_an_error_of_another_class_is_not_equal(kind: type[SmappeeError]) -> None:
    class Other(kind):  # type: ignore[misc, valid-type]
        pass

    assert Other("it went wrong") != kind("it went wrong")


@pytest.mark.parametrize(
    "other",
    [
        RateLimited("slower", retry_after_s=5.0, facts=FACTS),
        RateLimited("slow", retry_after_s=6.0, facts=FACTS),
        RateLimited("slow", retry_after_s=5.0),
        RateLimited("slow", retry_after_s=5.0, facts=FACTS, advice="Wait"),
        "slow",
    ],
)
def test_errors_that_say_something_else_are_unequal(other: object) -> None:
    assert RateLimited("slow", retry_after_s=5.0, facts=FACTS) != other


@given(st.sampled_from(CLASSES), st.text(), st.none() | st.integers(), st.none() | st.integers(100, 599))
def test_equal_errors_hash_alike(kind: type[SmappeeError], reason: str, park: int | None, status: int | None) -> None:
    one, two = (kind(reason, facts=CallFacts(service_location_id=park, status=status)) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


# --- what it says -----------------------------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize(
    "fact",
    [
        "it went wrong",
        "GET",
        "/chargingparks/{service_location_id}/sessions",
        "service location 12345",
        "charging station 6120009999",
        str(OCTOBER),
        "status 503",
        "4 attempts",
        "7.2 s",
        "Try again",
    ],
)
def test_the_text_names_every_fact(kind: type[SmappeeError], fact: str) -> None:
    assert fact in str(filled(kind))


def test_unknown_facts_are_left_out_of_the_text() -> None:
    assert str(SmappeeError("it went wrong")) == "it went wrong"
    assert str(SmappeeError("it went wrong", facts=CallFacts(attempts=1))) == "it went wrong (1 attempt)"


def test_an_unreadable_record_names_its_place() -> None:
    assert str(ResponseDecodeError("no", index=0, json_path="$.from")) == "no [record 0, $.from]"
    assert str(ResponseDecodeError("no", json_path="$.from")) == "no [$.from]"


def test_a_class_has_advice_that_one_error_can_replace() -> None:
    assert "smappee-async parks" in str(NotFound("gone"))
    assert str(NotFound("gone", advice="Look elsewhere")) == "gone. Look elsewhere"
    assert str(NotFound("gone", advice="")) == "gone"


def test_facts_are_filled_in_later_without_replacing_what_is_known() -> None:
    error = SmappeeError("no", facts=CallFacts(status=500, attempts=2))
    assert error.with_facts(FACTS) is error
    assert error.facts == CallFacts(
        method=FACTS.method,
        route=FACTS.route,
        service_location_id=12345,
        serial_number="6120009999",
        time_range=OCTOBER,
        status=500,
        attempts=2,
        elapsed_s=7.25,
    )


def test_a_fact_of_zero_is_known() -> None:
    error = SmappeeError("no", facts=CallFacts(attempts=0, elapsed_s=0.0))
    assert error.with_facts(FACTS).facts.attempts == 0
    assert error.facts.elapsed_s == 0.0
