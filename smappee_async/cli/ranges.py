"""The stretch of time that a command line asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.timerange import TimeRange

PARK_ZONE: Final = "park"
"""``--tz park``: each park's own zone."""

_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "month": (r"\d{4}-\d{2}", "2026-10"),
    "day": (r"\d{4}-\d{2}-\d{2}", "2026-10-03"),
    "year": (r"\d{4}", "2026"),
}


@attrs.frozen
class AskedRange:
    """A range as a person wrote it, to be read in one zone or in several.

    :param text: what ``TimeRange.parse`` reads.
    :param now: what "now" is, once for all zones.
    """

    text: str
    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, **given: str | None) -> AskedRange:
        """From the options ``range``, ``month``, ``day`` and ``year``, one of which is given.

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
        """The range, with the days and months of a time zone.

        :raises ConfigurationError: there is no such range, or no such zone.
        """
        return TimeRange.parse(self.text, tz=zone, now=self.now)
