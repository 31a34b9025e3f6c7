"""The results of a benchmark: rows of the table, and counts that do not depend on how busy the machine is."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import attrs
import msgspec

#: A count that has grown by more than this share is a regression.
TOLERANCE: Final = 0.15

Unit = Literal["x", "µs", "ms", "s", "MiB", "requests", "sessions", ""]


@attrs.frozen
class Goal:
    """The bound that a value should keep."""

    at_most: float | None = None
    at_least: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"


@attrs.frozen
class Row:
    """One line of the table.

    :param value: the median, where it was measured more than once.
    :param low: the lower quartile.
    :param high: the upper quartile.
    """

    name: str
    value: float
    unit: Unit = "x"
    low: float | None = None
    high: float | None = None
    goal: Goal | None = None

    @classmethod
    def of(cls, name: str, values: Iterable[float], unit: Unit = "x", goal: Goal | None = None) -> Row:
        """A row of values that were measured several times."""
        found = sorted(values)
        if len(found) < 3:
            return cls(name, statistics.median(found), unit, found[0], found[-1], goal)
        low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(name, middle, unit, low, high, goal)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; ``None`` where there is none."""
        return None if self.goal is None else self.goal.is_met_by(self.value)


@attrs.frozen(kw_only=True)
class PartResult:
    """The result of one part.

    :param seconds: how long it took.
    """

    rows: list[Row] = attrs.field(factory=list)
    counts: dict[str, float] = attrs.field(factory=dict)
    seconds: float = 0.0


@attrs.frozen(kw_only=True)
class RunResult:
    """The result of a whole run, part by part.

    :param python: the first two numbers of its version; counts of different versions are not comparable.
    """

    python: str
    machine: str
    quick: bool
    parts: dict[str, PartResult]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def load(cls, path: Path) -> RunResult:
        """Read what :meth:`save` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)


Baseline = dict[str, dict[str, dict[str, float]]]
"""The counts so far, by the version of Python, part and name."""


def regressions(found: RunResult, baseline: Baseline) -> list[str]:
    """One sentence for each count that has become worse than the tolerance allows, or that is missing."""
    worse: list[str] = []
    for part, counts in baseline.get(found.python, {}).items():
        if part not in found.parts:
            continue
        for name, before in counts.items():
            now = found.parts[part].counts.get(name)
            if now is None:
                worse.append(f"{part}: {name} is no longer counted")
            elif now > before * (1 + TOLERANCE):
                worse.append(f"{part}: {name} is {now:,.6g}, was {before:,.6g} ({now / before - 1:+.0%})")
    return worse
