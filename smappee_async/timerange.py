"""Half-open ranges of time in whole milliseconds, and the calendar ranges that people ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal, Self, get_args

import attrs

from smappee_async.errors import ConfigurationError

CalendarUnit = Literal["day", "month", "year"]

_UNITS: Final = get_args(CalendarUnit)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last millisecond that a datetime can say
_SPAN: Final = r"(?P<count>\d{1,6})\s*(?P<unit>m|h|d|w)"
_SPAN_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CALENDAR: Final = r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?)?"


@attrs.frozen(init=False, repr=False, order=False)
class TimeRange:
    """The instants from ``start`` up to, and without, ``end``; without an ``end``, all from ``start`` on.

    Smappee selects sessions by their start in the same way, in whole milliseconds since 1970
    (service.md#park-sessions). A
    bound between two milliseconds is moved up to the next one, which changes no response: sessions start on whole ones.

    :param start: an aware datetime.
    :param end: an aware datetime later than ``start``, or ``None`` for "and everything after".
    :raises ConfigurationError: for a naive datetime, an empty or reversed range, or one outside the years 1970 to 9999.
    """

    start_ms: int
    end_ms: int | None

    def __init__(self, start: datetime, end: datetime | None = None) -> None:
        self._set(_to_ms(start, "start"), None if end is None else _to_ms(end, "end"))

    def _set(self, start_ms: int, end_ms: int | None) -> None:
        if not (_is_instant(start_ms) and (end_ms is None or _is_instant(end_ms))):
            raise ConfigurationError("a range starts and ends on whole milliseconds from 1970 to 9999")
        if end_ms is not None and end_ms <= start_ms:
            raise ConfigurationError(
                f"the range is empty: its end ({_text(end_ms)}) is not after its start ({_text(start_ms)})",
                advice="Ranges are half-open: for one whole day, end at the midnight after it, or use TimeRange.day()",
            )
        self.__attrs_init__(start_ms, end_ms)  # pyright: ignore[reportAttributeAccessIssue] - made by attrs

    # --- ways to make one ---------------------------------------------------------------------------------------------

    @classmethod
    def from_ms(cls, start_ms: int, end_ms: int | None = None) -> Self:
        """From whole milliseconds since 1970, as the wire has them."""
        made = cls.__new__(cls)
        made._set(start_ms, end_ms)  # noqa: SLF001 - of this class
        return made

    @classmethod
    def day(cls, year: int, month: int, day: int, *, tz: str | tzinfo) -> Self:
        """One calendar day in a time zone; 23 or 25 hours long where the clocks change.

        :param tz: an IANA name such as ``"Europe/Brussels"``, or a ``tzinfo``.
        """
        return cls._calendar(_date(year, month, day), "day", tz)

    @classmethod
    def month(cls, year: int, month: int, *, tz: str | tzinfo) -> Self:
        """One calendar month in a time zone: October 2026 in Brussels is 745 hours long."""
        return cls._calendar(_date(year, month, 1), "month", tz)

    @classmethod
    def year(cls, year: int, *, tz: str | tzinfo) -> Self:
        """One calendar year in a time zone."""
        return cls._calendar(_date(year, 1, 1), "year", tz)

    @classmethod
    def since(cls, start: datetime) -> Self:
        """Everything from ``start`` on. The end stays open on the wire, so that no wrong clock cuts anything off."""
        return cls(start)

    @classmethod
    def last(cls, *, days: float = 0, hours: float = 0, now: datetime | None = None) -> Self:
        """The latest days and hours, with an open end.

        :param now: what "now" is; the computer's clock by default.
        """
        now_ms = _to_ms(now if now is not None else datetime.now(UTC), "now")
        try:
            # In milliseconds: a datetime in a zone would subtract what its wall clock shows.
            span_ms = timedelta(days=days, hours=hours) // _MILLISECOND
        except (OverflowError, ValueError):
            span_ms = 0
        if span_ms <= 0:
            raise ConfigurationError("last() needs a positive number of days or hours, such as TimeRange.last(days=7)")
        return cls.from_ms(now_ms - span_ms)

    @classmethod
    def parse(cls, text: str, *, tz: str | tzinfo = UTC, now: datetime | None = None) -> Self:
        """Read a range from a text, as a command line or a configuration has it.

        ======================================  =============================================
        ``2026``, ``2026-10``, ``2026-10-03``   that year, month or day in ``tz``
        ``2026-10-01..2026-11-01``              from the first up to, and without, the second
        ``2026-10-01T06:00Z..``                 open end; times may carry an offset
        ``7d``, ``36h``, ``2w``, ``90m``        the latest days, hours, weeks or minutes
        ======================================  =============================================

        :param tz: the zone of dates, and of times that carry no offset.
        """
        text = text.strip()
        zone = time_zone(tz)
        if span := re.fullmatch(_SPAN, text, re.ASCII):
            length = timedelta(**{_SPAN_UNITS[span["unit"]]: int(span["count"])})
            return cls.last(hours=length / timedelta(hours=1), now=now)
        if found := re.fullmatch(_CALENDAR, text, re.ASCII):
            unit: CalendarUnit = "day" if found["day"] else "month" if found["month"] else "year"
            first = _date(int(found["year"]), int(found["month"] or 1), int(found["day"] or 1))
            return cls._calendar(first, unit, zone)
        start, dots, end = text.partition("..")
        if not dots:
            raise ConfigurationError(
                f"cannot read the range {text!r}",
                advice="Write a year, month or day (2026-10), two instants (2026-10-01..2026-11-01), or a span (7d)",
            )
        return cls(_instant(start, zone), _instant(end, zone) if end.strip() else None)

    @classmethod
    def _calendar(cls, first: date, unit: CalendarUnit, tz: str | tzinfo) -> Self:
        zone = time_zone(tz)
        after = _next(first, unit)
        if after is None:
            raise ConfigurationError("ranges end before the year 10000")
        return cls(_midnight(first, zone), _midnight(after, zone))

    # --- what it says -------------------------------------------------------------------------------------------------

    @property
    def start(self) -> datetime:
        """The first instant, in UTC."""
        return from_ms(self.start_ms)

    @property
    def end(self) -> datetime | None:
        """The first instant after the range, in UTC; ``None`` where the end is open."""
        return None if self.end_ms is None else from_ms(self.end_ms)

    @property
    def duration(self) -> timedelta | None:
        """How long it is; ``None`` where the end is open."""
        return None if self.end_ms is None else timedelta(milliseconds=self.end_ms - self.start_ms)

    def contains_ms(self, instant_ms: int) -> bool:
        """Whether an instant, in milliseconds since 1970, lies in the range."""
        return self.start_ms <= instant_ms and (self.end_ms is None or instant_ms < self.end_ms)

    def __contains__(self, instant: datetime) -> bool:
        return self.contains_ms(_to_ms(instant, "instant"))

    def __str__(self) -> str:
        return f"{_text(self.start_ms)}..{'' if self.end_ms is None else _text(self.end_ms)}"

    def __repr__(self) -> str:
        return f"TimeRange.parse({str(self)!r})"

    # --- cutting ------------------------------------------------------------------------------------------------------

    def split(
        self, step: timedelta | CalendarUnit, *, tz: str | tzinfo = UTC, until: datetime | None = None
    ) -> Iterator[TimeRange]:
        """Cut into chunks that tile the range exactly: every instant lies in just one of them.

        :param step: a length, counted from the start; or a calendar unit, cut at its borders in ``tz``.
        :param until: for an open end only: cut up to here, and leave the last chunk open; now by default.
        :raises ConfigurationError: at once, for a step, a zone or an instant that cannot be.
        """
        if isinstance(step, timedelta):
            if step < _MILLISECOND:
                raise ConfigurationError("a range is cut into steps of at least one millisecond")
        elif step not in _UNITS:
            raise ConfigurationError(f"a range is cut by a timedelta, 'day', 'month' or 'year', not {step!r}")
        if self.end_ms is not None:
            last_ms = self.end_ms
        else:
            last_ms = max(_to_ms(until if until is not None else datetime.now(UTC), "until"), self.start_ms)
        return self._tiles(self._edges(step, time_zone(tz)), last_ms)

    def _tiles(self, edges_ms: Iterator[int], last_ms: int) -> Iterator[TimeRange]:
        edge_ms = self.start_ms
        for next_ms in edges_ms:
            if next_ms >= last_ms:
                break
            # Where a zone skips a day (Samoa, 2011-12-30), two midnights are one instant.
            if next_ms <= edge_ms:
                continue
            yield TimeRange.from_ms(edge_ms, next_ms)
            edge_ms = next_ms
        yield TimeRange.from_ms(edge_ms, self.end_ms)

    def _edges(self, step: timedelta | CalendarUnit, zone: tzinfo) -> Iterator[int]:
        if isinstance(step, timedelta):
            step_ms = step // _MILLISECOND
            edge_ms = self.start_ms
            while True:
                edge_ms += step_ms
                yield edge_ms
        unit = step
        try:
            local = self.start.astimezone(zone).date()
        except OverflowError:  # in the year 10000 over there: no border follows
            return
        first = local.replace(day=1) if unit == "month" else local.replace(month=1, day=1) if unit == "year" else local
        while (following := _next(first, unit)) is not None:
            yield _to_ms(_midnight(following, zone), "edge")
            first = following


# --- the algebra of several ranges ------------------------------------------------------------------------------------


def merge(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """The same instants in as few ranges as possible, without overlap, earliest first."""
    merged: list[TimeRange] = []
    for each in sorted(ranges, key=lambda each: each.start_ms):
        last = merged[-1] if merged else None
        if last is None or (last.end_ms is not None and each.start_ms > last.end_ms):
            merged.append(each)
        elif last.end_ms is not None and (each.end_ms is None or each.end_ms > last.end_ms):
            merged[-1] = TimeRange.from_ms(last.start_ms, each.end_ms)
    return merged


def remaining(whole: TimeRange, covered_by: Iterable[TimeRange]) -> list[TimeRange]:
    """The parts of a range that the other ranges do not cover, earliest first."""
    covered = merge(covered_by)
    return list(_gaps(whole, covered)) if covered else [whole]


def _gaps(whole: TimeRange, covered: Iterable[TimeRange]) -> Iterator[TimeRange]:
    start_ms, end_ms = whole.start_ms, whole.end_ms
    for each in covered:
        if end_ms is not None and each.start_ms >= end_ms:
            break
        if each.start_ms > start_ms:
            yield TimeRange.from_ms(start_ms, each.start_ms)
        if each.end_ms is None:
            return
        start_ms = max(start_ms, each.end_ms)
    if end_ms is None or start_ms < end_ms:
        yield TimeRange.from_ms(start_ms, end_ms)


# --- instants ---------------------------------------------------------------------------------------------------------


def from_ms(instant_ms: int) -> datetime:
    """Milliseconds since 1970 as an aware datetime in UTC, by whole-number arithmetic."""
    return _EPOCH + timedelta(milliseconds=instant_ms)


def _to_ms(instant: datetime, what: str) -> int:
    """Whole milliseconds since 1970, rounded up."""
    if not isinstance(instant, datetime):
        raise ConfigurationError(f"{what} must be a datetime, not {type(instant).__name__}")
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise ConfigurationError(
            f"{what} has no time zone: {instant.isoformat()}",
            advice="Use datetime(..., tzinfo=ZoneInfo('Europe/Brussels')), or instant.replace(tzinfo=UTC) if it is UTC",
        )
    return -((_EPOCH - instant) // _MILLISECOND)


def _is_instant(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_MS


def _text(instant_ms: int) -> str:
    moment = from_ms(instant_ms).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if instant_ms % 1000 else "seconds") + "Z"


def time_zone(tz: str | tzinfo) -> tzinfo:
    """A time zone by its IANA name.

    :raises ConfigurationError: there is none of this name.
    """
    if isinstance(tz, tzinfo):
        return tz
    try:
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - it takes as long to load as this whole module, and few need it

        return ZoneInfo(tz)
    except (KeyError, ValueError, TypeError, OSError):
        pass
    raise ConfigurationError(
        f"there is no time zone {tz!r}",
        advice="Use an IANA name such as Europe/Brussels; on Windows, 'pip install tzdata' brings them",
    )


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        pass
    raise ConfigurationError(f"there is no such date: {year:04d}-{month:02d}-{day:02d}")


def _midnight(day: date, zone: tzinfo) -> datetime:
    # fold=0: where midnight comes twice the day begins at the first, where it is skipped at the change itself.
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _next(first: date, unit: CalendarUnit) -> date | None:
    """The first day of the following day, month or year; ``None`` past the last date there is."""
    try:
        if unit == "day":
            return first + timedelta(days=1)
        if unit == "month":
            return date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return date(first.year + 1, 1, 1)
    except (ValueError, OverflowError):
        return None


def _instant(text: str, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None:
        raise ConfigurationError(
            f"cannot read the instant {text.strip()!r}",
            advice="Write 2026-10-01, 2026-10-01T06:30 or 2026-10-01T06:30Z",
        )
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
