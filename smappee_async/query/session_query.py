"""A query: which sessions of which targets are asked for, and how. A value that is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal, Self, TypedDict, TypeVar, Unpack, cast, get_args

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, ServiceLocation, SessionState
from smappee_async.protocol.requests import check_serial_number, check_service_location_id
from smappee_async.query.seen import Seen
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange

Order = Literal["arrival", "start"]
OnError = Literal["raise", "collect"]
OnInvalid = Literal["raise", "collect"]
Park = int | ServiceLocation

ItemT = TypeVar("ItemT")

_SEEN_ADVICE: Final = "Use seen={1001: Seen(sessions=42_000, during=timedelta(days=365))}"


class QueryOptions(TypedDict, total=False):
    """How a query is answered, as keyword arguments; each is described at :class:`SessionQuery`."""

    state: SessionState
    order: Order
    on_error: OnError
    on_invalid: OnInvalid
    deadline: timedelta | None
    resume: Mapping[str, JsonValue] | None
    seen: Mapping[int, Seen] | Mapping[str, Seen] | None


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
    :param seen: what was seen of each park before, by its id, or of each station, by its serial number: an earlier result
        gives it with :func:`seen_in`, and a copy with :meth:`SessionsCopy.seen`. The planner needs fewer requests then, and
        divides also a short range of a busy park. If it is wrong, a few more requests are sent, or a response is larger;
        what is read is the same. Other targets than those of the query may be in it.
    :param at_once: ask for each range in one chunk, because it is known to hold few sessions. It is split only if that
        fails.
    :raises ConfigurationError: the query cannot be answered.
    """

    ranges: Mapping[Target, TimeRange]
    state: SessionState = "completed"
    order: Order = "arrival"
    on_error: OnError = "raise"
    on_invalid: OnInvalid = "raise"
    deadline: timedelta | None = None
    resume: Mapping[str, JsonValue] | None = None
    seen: Mapping[int, Seen] | Mapping[str, Seen] | None = None
    at_once: bool = False

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
        if self.seen is not None:
            _check_seen(self.seen, self.ranges)

    def seen_of(self, target: Target) -> Seen | None:
        """What was seen of a target before; ``None`` if nothing is known."""
        if self.seen is None:
            return None
        return cast(Mapping[int | str | None, Seen], self.seen).get(_id_of(target))

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
        return cls(ranges=_ranges(parks, time_range, int | ServiceLocation, _park_ids, "charging park"), **options)

    @classmethod
    def stations(
        cls,
        serial_numbers: str | int | Iterable[str | int] | Mapping[str, TimeRange],
        time_range: TimeRange | None = None,
        **options: Unpack[QueryOptions],
    ) -> Self:
        """Sessions of charging stations, by serial number (service.md#station-sessions); else like :meth:`parks`."""
        return cls(
            ranges=_ranges(serial_numbers, time_range, str | int, _serial_numbers, "charging station"), **options
        )


@attrs.frozen(eq=False, repr=False)
class _Ranges(Mapping[Target, TimeRange]):
    """Time ranges by the number of a park or the serial number of a station.

    A target is made when it is asked for, because there may be very many.
    """

    _by_id: Mapping[int | str, TimeRange]

    def __getitem__(self, target: object) -> TimeRange:
        match target:
            case Target(int() as number, None):
                return self._by_id[number]
            case Target(None, str() as serial_number):
                return self._by_id[serial_number]
        raise KeyError(target)

    def __iter__(self) -> Iterator[Target]:
        return (Target(each) if isinstance(each, int) else Target(None, each) for each in self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return repr(dict(self))


def _check_seen(seen: object, ranges: Mapping[Target, TimeRange]) -> None:
    """See that it is a mapping of the right types. Its ids need not be those of the query: a hint for others is unused."""
    if not isinstance(seen, Mapping):
        raise ConfigurationError(f"seen must be a mapping, not {type(seen).__name__}", advice=_SEEN_ADVICE)
    for wrong in set(map(type, seen.values())) - {Seen}:
        raise ConfigurationError(f"seen holds Seen for each id, not {wrong.__name__}", advice=_SEEN_ADVICE)
    # An id of another type would never be found, and nobody would notice.
    for kind in set(map(type, seen)):
        if not any(type(_id_of(target)) is kind for target in ranges):
            raise ConfigurationError(
                f"seen has ids of the type {kind.__name__}, as no target of the query has", advice=_SEEN_ADVICE
            )


def _id_of(target: Target) -> int | str | None:
    return target.service_location_id if target.serial_number is None else target.serial_number


def _park_ids(parks: Iterable[object]) -> list[int]:
    numbers = [park.id if isinstance(park, ServiceLocation) else park for park in parks]
    if set(map(type, numbers)) == {int}:
        # A call for each of very many would hold the event loop. If these two are right, all are.
        numbers_given = cast(list[int], numbers)
        for number in (min(numbers_given), max(numbers_given)):
            check_service_location_id(number)
        return numbers_given
    return list(map(check_service_location_id, numbers))


def _serial_numbers(stations: Iterable[object]) -> list[str]:
    return list(map(check_serial_number, stations))


def _ranges(
    given: object,
    time_range: TimeRange | None,
    single: object,
    ids: Callable[[Iterable[object]], Sequence[int | str]],
    what: str,
) -> Mapping[Target, TimeRange]:
    """The time range of each target, each target once."""
    if isinstance(given, Mapping):
        if time_range is not None:
            raise ConfigurationError(f"give one time range for all, or one for each {what}, not both")
        pairs = list(given.items())
        by_id = dict(zip(ids(each for each, _ in pairs), (_checked(own) for _, own in pairs), strict=True))
    else:
        common = _checked(time_range)
        try:
            several = (given,) if isinstance(given, single) else iter(given)  # type: ignore[arg-type, call-overload]
        except TypeError:
            raise ConfigurationError(f"give one {what} or several, not {type(given).__name__}") from None
        by_id = dict.fromkeys(ids(several), common)
    if not by_id:
        # An empty list is far more often a mistake of the program than a query.
        raise ConfigurationError(f"no {what} was given")
    return _Ranges(by_id)


def _checked(time_range: object) -> TimeRange:
    if isinstance(time_range, TimeRange):
        return time_range
    raise ConfigurationError(
        f"time_range must be a TimeRange, not {type(time_range).__name__}",
        advice="Use TimeRange(start, end), or one of TimeRange.day, .month, .year, .since, .last and .parse",
    )
