"""Settings that cannot work are refused when they are made, not when they first matter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from smappee_async.errors import ConfigurationError
from smappee_async.limits import Limits, RetryPolicy

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("concurrency", -1),
        ("rate", 0),
        ("rate", -1.0),
        ("rate", NAN),
        ("rate", INF),
        ("max_body_bytes", 1023),
        *[
            (name, value)
            for name in ("connect_timeout_s", "read_timeout_s", "attempt_timeout_s")
            for value in (0, -1.0, NAN, INF)
        ],
    ],
)
def test_limits_that_cannot_work_are_refused_by_name(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"Limits.{name}"):
        Limits(**settings)


@pytest.mark.parametrize("rate", ["5", object()])
def test_a_rate_that_is_neither_a_number_nor_a_limiter_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Limits\.rate must be a number or a RateLimiter, not "):
        Limits(rate=rate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 0),
        ("budget", -1),
        ("patience", timedelta(0)),
        ("patience", timedelta(seconds=-1)),
        *[
            (name, value)
            for name in ("base_delay_s", "throttled_base_delay_s", "max_delay_s", "max_retry_after_s")
            for value in (-0.1, NAN, INF)
        ],
    ],
)
def test_retry_policies_that_cannot_work_are_refused_by_name(name: str, value: object) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"RetryPolicy.{name}"):
        RetryPolicy(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 1},
        {"rate": 0.01},
        {"rate": None},
        {"max_body_bytes": 1024},
        {"connect_timeout_s": 0.001},
    ],
)
def test_the_smallest_limits_that_work_are_taken(settings: dict[str, Any]) -> None:
    made = Limits(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize(
    "settings",
    [
        {"attempts": 1, "budget": 0, "base_delay_s": 0.0, "throttled_base_delay_s": 0.0},
        {"max_delay_s": 0.0, "max_retry_after_s": 0.0, "patience": timedelta(microseconds=1)},
    ],
)
def test_the_smallest_retry_policy_that_works_is_taken(settings: dict[str, Any]) -> None:
    made = RetryPolicy(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


def test_no_retrying_sends_every_call_once() -> None:
    assert RetryPolicy.none().attempts == 1


@pytest.mark.parametrize("settings", [Limits(), RetryPolicy()], ids=["limits", "retry"])
def test_settings_cannot_be_changed(settings: Limits | RetryPolicy) -> None:
    for field in attrs.fields(type(settings)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(settings, field.name, 5)
