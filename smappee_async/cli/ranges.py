"""The time range of a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.timerange import TimeRange

PARK_ZONE: Final = "park"
"""``--tz park``: the zone of each park."""

_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "month": (r"\d{4}-\d{2}", "2026-10"),
    "day": (r"\d{4}-\d{2}-\d{2}", "2026-10-03"),
    "year": (r"\d{4}", "2026"),
}


@attrs.frozen
class RangeText:
    """A time range as a person wrote it; it can be read in several zones.

    :param text: for ``TimeRange.parse``.
    :param now: the current time, the same in all zones.
    """

    text: str
    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, **given: str | None) -> RangeText:
        """From the options ``range``, ``month``, ``day`` and ``year``, of which exactly one is given.

        :raises ConfigurationError: none or several are given, or one cannot be read.
        """
        named = {name: text.strip() for name, text in given.items() if text is not None}
        if len(named) != 1:
            several = f", not {' and '.join(f'--{name}' for name in named)}" if named else ""
            raise ConfigurationError(
                f"give one of --range, --month, --day and --year{several}", advice="For example: --month 2026-10"
            )
        (name, text), *_ = named.items()
        if name in _FORMS:
            form, example = _FORMS[name]
            if not re.fullmatch(form, text, re.ASCII):
                raise ConfigurationError(f"cannot read --{name} {text!r}", advice=f"Write it as {example}")
        return cls(text)

    def in_zone(self, zone: str) -> TimeRange:
        """The range, with days and months that begin at midnight in a time zone.

        :raises ConfigurationError: the range or the zone does not exist.
        """
        return TimeRange.parse(self.text, tz=zone, now=self.now)
