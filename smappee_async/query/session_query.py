"""A query: which sessions of which targets are asked for, and how. A value that is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Literal, Self, TypedDict, TypeVar, Unpack, get_args

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, ServiceLocation, SessionState
from smappee_async.protocol.requests import check_serial_number, check_service_location_id
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

Order = Literal["arrival", "start"]
OnError = Literal["raise", "collect"]
OnInvalid = Literal["raise", "collect"]
Park = int | ServiceLocation

ItemT = TypeVar("ItemT")


class QueryOptions(TypedDict, total=False):
    """How a query is answered, as keyword arguments; each is described at :class:`SessionQuery`."""

    state: SessionState
    order: Order
    on_error: OnError
    on_invalid: OnInvalid
    deadline: timedelta | None
    resume: Mapping[str, JsonValue] | None


@attrs.frozen(kw_only=True)
class SessionQuery:
    """Charging sessions of parks or stations, each in a time range of its own.

    Made by :meth:`parks` or :meth:`stations`, and given to :meth:`SmappeeClient.stream`.

    :param ranges: for each target, the time range in which its sessions start.
    :param state: ``"completed"``, ``"active"``, or ``"all"``: both, each session once, as completed if it is.
    :param order: ``"arrival"`` is the fastest; ``"start"`` sorts by start over all targets, and holds one chunk of each
        target in memory.
    :param on_error: ``"raise"`` ends the stream at the first chunk that cannot be read; ``"collect"`` goes on and lists
        the chunk in ``stream.failures``.
    :param on_invalid: the same for single records, in ``stream.invalid``.
    :param deadline: how long the stream may take from its first read: queueing, tokens and retries included.
    :param resume: what ``stream.checkpoint()`` gave: chunks that were handed over are not asked for again.
    :raises ConfigurationError: the query cannot be answered.
    """

    ranges: Mapping[Target, TimeRange]
    state: SessionState = "completed"
    order: Order = "arrival"
    on_error: OnError = "raise"
    on_invalid: OnInvalid = "raise"
    deadline: timedelta | None = None
    resume: Mapping[str, JsonValue] | None = None

    def __attrs_post_init__(self) -> None:
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

    @classmethod
    def parks(
        cls,
        parks: Park | Iterable[Park] | Mapping[int, TimeRange],
        time_range: TimeRange | None = None,
        **options: Unpack[QueryOptions],
    ) -> Self:
        """Sessions of charging parks ("Get charging sessions at a charging park", service.md#park-sessions).

        :param parks: service location ids, or service locations; or a time range for each id.
        :param time_range: the time range of all parks; left out where each has its own.
        """
        return cls(ranges=_ranges(parks, time_range, int | ServiceLocation, _park, "charging park"), **options)

    @classmethod
    def stations(
        cls,
        serial_numbers: str | int | Iterable[str | int] | Mapping[str, TimeRange],
        time_range: TimeRange | None = None,
        **options: Unpack[QueryOptions],
    ) -> Self:
        """Sessions of charging stations, by serial number (service.md#station-sessions); else like :meth:`parks`."""
        return cls(ranges=_ranges(serial_numbers, time_range, str | int, _station, "charging station"), **options)


def _park(park: object) -> Target:
    number = park.id if isinstance(park, ServiceLocation) else park
    return Target(service_location_id=check_service_location_id(number))


def _station(serial_number: object) -> Target:
    return Target(serial_number=check_serial_number(serial_number))


def _ranges(
    given: object, time_range: TimeRange | None, single: object, target: Callable[[object], Target], what: str
) -> dict[Target, TimeRange]:
    """The time range of each target, each target once."""
    if isinstance(given, Mapping):
        if time_range is not None:
            raise ConfigurationError(f"give one time range for all, or one for each {what}, not both")
        ranges = {target(each): _checked(own) for each, own in given.items()}
    else:
        common = _checked(time_range)
        try:
            several = (given,) if isinstance(given, single) else iter(given)  # type: ignore[arg-type, call-overload]
        except TypeError:
            raise ConfigurationError(f"give one {what} or several, not {type(given).__name__}") from None
        ranges = {target(each): common for each in several}
    if not ranges:
        # An empty list is far more often a mistake of the program than a query.
        raise ConfigurationError(f"no {what} was given")
    return ranges


def _checked(time_range: object) -> TimeRange:
    if isinstance(time_range, TimeRange):
        return time_range
    raise ConfigurationError(
        f"time_range must be a TimeRange, not {type(time_range).__name__}",
        advice="Use TimeRange(start, end), or one of TimeRange.day, .month, .year, .since, .last and .parse",
    )
