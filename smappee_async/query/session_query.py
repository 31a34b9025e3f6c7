"""What is asked of the service: a value that is checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal, TypeVar, get_args

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, ServiceLocation, SessionState
from smappee_async.protocol.requests import check_serial_number, check_service_location_id
from smappee_async.query.plan import Target
from smappee_async.timerange import TimeRange

Order = Literal["arrival", "start"]
OnError = Literal["raise", "collect"]
OnInvalid = Literal["raise", "collect"]

ItemT = TypeVar("ItemT")


@attrs.frozen(kw_only=True)
class SessionQuery:
    """Sessions of which targets, when, in which state, and how to go about it. See :meth:`SmappeeClient.sessions`.

    :raises ConfigurationError: it cannot be asked.
    """

    targets: tuple[Target, ...]
    time_range: TimeRange
    state: SessionState
    order: Order
    on_error: OnError
    on_invalid: OnInvalid
    deadline: timedelta | None
    resume: Mapping[str, JsonValue] | None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.time_range, TimeRange):
            raise ConfigurationError(
                f"time_range must be a TimeRange, not {type(self.time_range).__name__}",
                advice="Use TimeRange(start, end), or one of TimeRange.day, .month, .year, .since, .last and .parse",
            )
        for name, choices in (
            ("state", SessionState),
            ("order", Order),
            ("on_error", OnError),
            ("on_invalid", OnInvalid),
        ):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ConfigurationError(f"{name} is one of {', '.join(map(repr, get_args(choices)))}, not {value!r}")
        if self.deadline is not None and (type(self.deadline) is not timedelta or self.deadline <= timedelta(0)):
            raise ConfigurationError("deadline must be a positive timedelta", advice="Use timedelta(seconds=30)")


def parks(ids: Iterable[int | ServiceLocation]) -> tuple[Target, ...]:
    """Charging parks as targets, each once."""
    numbers = [each.id if isinstance(each, ServiceLocation) else each for each in _several(ids, "charging park")]
    return tuple(dict.fromkeys(Target(service_location_id=check_service_location_id(number)) for number in numbers))


def stations(serial_numbers: Iterable[str | int]) -> tuple[Target, ...]:
    """Charging stations as targets, each once."""
    numbers = _several(serial_numbers, "charging station")
    return tuple(dict.fromkeys(Target(serial_number=check_serial_number(number)) for number in numbers))


def _several(values: Iterable[ItemT], what: str) -> list[ItemT]:
    try:
        listed = list(values)
    except TypeError:
        raise ConfigurationError(f"give one {what} or several, not {type(values).__name__}") from None
    if not listed:
        # An empty list is far more often a mistake upstream than a query.
        raise ConfigurationError(f"no {what} was given")
    return listed
