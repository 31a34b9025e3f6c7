"""The options of a read: what Spark passes as texts, checked before anything is asked of the service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final, Literal, Self, TypeVar, get_args

import attrs

from smappee_async.distributed import Part, partition
from smappee_async.errors import ConfigurationError
from smappee_async.models import SessionState
from smappee_async.spark.filters import Condition, narrow
from smappee_async.timerange import TimeRange, time_zone

Failures = Literal["raise", "omit", "table"]
Choice = TypeVar("Choice", bound=str)

OPTIONS: Final[Mapping[str, str | None]] = {
    "parks": None,
    "start": None,
    "end": None,
    "month": None,
    "tz": None,
    "state": "completed",
    "parks_per_part": "100",
    "failures": "raise",
    "push_filters": "false",
}
"""The options with their defaults."""

_FILE_MARK: Final = "@"
_COMMENT: Final = r"#.*"
_CREDENTIAL: Final = r"secret|passw|token|user|client|credential|auth|login|key"
#: Of a value that cannot be read, this much is shown.
_SHOWN_CHARACTERS: Final = 40
_LARGEST_DIGITS: Final = 19


@attrs.frozen(kw_only=True)
class ReadOptions:
    """What is to be read.

    :param parks: service location ids.
    :param parks_per_part: how many parks a task reads at most.
    :param failures: what becomes of sessions that cannot be read for good: ``"raise"`` is an error of the task,
        ``"omit"`` leaves them out, and ``"table"`` lists them, in place of the sessions.
    :param push_filters: whether filters on park and start narrow what is asked of the service.
    :raises ConfigurationError: it cannot be read.
    """

    parks: tuple[int, ...]
    time_range: TimeRange
    state: SessionState
    parks_per_part: int
    failures: Failures
    push_filters: bool

    def __attrs_post_init__(self) -> None:
        self.parts()

    @classmethod
    def parse(cls, given: Mapping[str, str], *, now: datetime | None = None) -> Self:
        """From what stands in ``spark.read.option(…)``. A file of parks is read here.

        :param now: the current time; by default, of this machine.
        :raises ConfigurationError: an option is unknown, is missing, or cannot be read.
        """
        _check_names(given)
        time_range = _time_range(given)
        assert time_range.end is not None
        if time_range.end > (datetime.now(UTC) if now is None else now):
            raise ConfigurationError(
                f"the time range {time_range} ends in the future",
                advice="Let it end now at the latest; otherwise a task that Spark repeats would read something else",
            )
        return cls(
            parks=_parks(_required(given, "parks")),
            time_range=time_range,
            state=_one_of(given, "state", get_args(SessionState)),
            parks_per_part=_whole_number(given, "parks_per_part"),
            failures=_one_of(given, "failures", get_args(Failures)),
            push_filters=_one_of(given, "push_filters", ("true", "false")) == "true",
        )

    def parts(self, conditions: Iterable[Condition] = ()) -> list[Part]:
        """What the tasks read, so that no session that meets all conditions is missing."""
        wanted = narrow(self.parks, self.time_range, conditions)
        if wanted is None:
            return []
        parks, time_range = wanted
        return partition(parks, time_range, parks_per_part=self.parks_per_part, state=self.state)


def _check_names(given: Mapping[str, str]) -> None:
    unknown = sorted(name for name in given if name.lower() not in OPTIONS)
    secret = [name for name in unknown if re.search(_CREDENTIAL, name, re.IGNORECASE)]
    if secret:
        raise ConfigurationError(
            f"credentials are no options, because Spark shows options to others: {', '.join(secret)}",
            advice="Set SMAPPEE_CLIENT_ID, SMAPPEE_CLIENT_SECRET, SMAPPEE_USERNAME and SMAPPEE_PASSWORD in the "
            "environment of the executors",
        )
    if unknown:
        advice = "Call load() without a path" if unknown == ["path"] else f"There are {', '.join(OPTIONS)}"
        raise ConfigurationError(f"unknown options: {', '.join(unknown)}", advice=advice)


def _required(given: Mapping[str, str], name: str) -> str:
    value = given.get(name)
    if value is None or not value.strip():
        raise ConfigurationError(f"the option {name} is missing", advice=f'Add .option("{name}", …)')
    return value.strip()


def _one_of(given: Mapping[str, str], name: str, choices: tuple[Choice, ...]) -> Choice:
    value = given.get(name, OPTIONS[name])
    for choice in choices:
        if value == choice:
            return choice
    raise ConfigurationError(f"{name} is one of {', '.join(map(repr, choices))}, not {_shown(value)}")


def _whole_number(given: Mapping[str, str], name: str) -> int:
    value = str(given.get(name, OPTIONS[name])).strip()
    if not _is_number(value):
        raise ConfigurationError(f"{name} must be a whole number from 1 on, not {_shown(value)}")
    return int(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LARGEST_DIGITS


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


# --- parks ------------------------------------------------------------------------------------------------------------


def _parks(text: str) -> tuple[int, ...]:
    """Ids between commas or white space, or those of a file, in which ``#`` begins a comment."""
    place = "the option parks"
    if text.startswith(_FILE_MARK):
        place = text
        text = re.sub(_COMMENT, "", _file(text))
    words = re.split(r"[\s,]+", text.strip(" \t\r\n,"))
    wrong = next((word for word in words if not _is_number(word)), None)
    if words == [""]:
        raise ConfigurationError(f"{place} names no charging park", advice="Give one id on each line")
    if wrong is not None:
        raise ConfigurationError(
            f"{place}: the id of a charging park is a whole number, its service location id, not {_shown(wrong)}",
            advice='Write .option("parks", "1001,1002"), or .option("parks", "@parks.txt") for a file of ids',
        )
    return tuple(dict.fromkeys(map(int, words)))


def _file(mark_and_path: str) -> str:
    path = Path(mark_and_path.removeprefix(_FILE_MARK)).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
    raise ConfigurationError(
        f"{mark_and_path} cannot be read: {why}", advice="The driver reads it: name a file that is there"
    )


# --- the time range ---------------------------------------------------------------------------------------------------


def _time_range(given: Mapping[str, str]) -> TimeRange:
    tz = given.get("tz")
    zone = None if tz is None else time_zone(tz)
    month = given.get("month")
    if month is None:
        return TimeRange(_instant(given, "start", zone), _instant(given, "end", zone))
    if "start" in given or "end" in given:
        raise ConfigurationError("give start and end, or month, not both")
    if not re.fullmatch(r"\d{4}-\d{2}", month, re.ASCII):
        raise ConfigurationError(f"cannot read month {_shown(month)}", advice="Write it as 2026-10")
    if zone is None:
        raise ConfigurationError(
            "month needs the time zone in which it begins", advice='Add .option("tz", "Europe/Brussels")'
        )
    return TimeRange.parse(month, tz=zone)


def _instant(given: Mapping[str, str], name: str, zone: tzinfo | None) -> datetime:
    text = _required(given, name)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ConfigurationError(f"cannot read {name} {_shown(text)}", advice="Write it as 2026-10-01T06:30Z")
    if moment.tzinfo is None and zone is None:
        raise ConfigurationError(
            f"{name} has no time zone: {_shown(text)}",
            advice='Write it as 2026-10-01T06:30Z, or add .option("tz", "Europe/Brussels")',
        )
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
