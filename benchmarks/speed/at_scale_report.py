"""The figures of the simulation at scale, and how they are printed: what is simulated, measured and extrapolated.

``python -m benchmarks.speed.at_scale_report at_scale.json`` prints the table that the docs show.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from benchmarks.speed.part_memory import PartitionCost, PartMemory
from smappee_async.defaults import TARGET_SESSIONS

#: Requests a second.
RATES: Final = (1, 10, 40, 60, 100, 500)
_MIB: Final = 2**20
_GB: Final = 1e9


@attrs.frozen
class PartFigures:
    """The size of a part."""

    sessions: int
    requests: int


@attrs.frozen(kw_only=True)
class RunFigures:
    """All parts, read once.

    :param verified: how many of the requests verified that a response was whole.
    :param beyond_least: requests ÷ the fewest that are possible with responses of the target size.
    :param largest_of_target: sessions of the largest response ÷ the target.
    :param hours: by requests a second.
    :param requests_a_park: without those that verify, by the sessions a day.
    :param heaviest: the part with the most sessions.
    :param cpu_s: of the simulation.
    """

    parts: int
    requests: int
    verified: int
    beyond_least: float
    largest_of_target: float
    received_bytes: int
    hours: Mapping[str, float]
    requests_a_park: Mapping[str, float]
    heaviest: PartFigures
    lightest: PartFigures
    cpu_s: float


@attrs.frozen
class ByTime:
    """The requests of parts that are cut by time ÷ those of parts with the whole range."""

    without_hints: float
    with_hints: float


@attrs.frozen(kw_only=True)
class LastEnd:
    """When the last part ends, with the hints of the last run, in hours.

    :param ideal_h: all requests ÷ the rate.
    :param shuffled_h: the same parts as with the heaviest first, in any order.
    :param neighbours_h: parts of neighbouring ids, as without hints.
    """

    workers: int
    rate: int
    ideal_h: float
    heaviest_first_h: float
    shuffled_h: float
    neighbours_h: float


@attrs.frozen(kw_only=True)
class Figures:
    """Everything.

    :param sorts: how many parks have so many sessions a day.
    :param runs: by what was known of the parks.
    :param by_time: by the unit of time that the parts were cut into.
    :param partition: by what was known of the parks.
    """

    quick: bool
    machine: str
    python: str
    days: int
    parks: int
    sorts: Mapping[int, int]
    opened_later: int
    sessions: int
    processes: int
    record_bytes: float
    least_requests: int
    runs: Mapping[str, RunFigures]
    by_time: Mapping[str, ByTime]
    response_s: float
    last_ends: Sequence[LastEnd]
    partition: Mapping[str, PartitionCost]
    memory: Sequence[PartMemory]
    seconds: float

    @property
    def saved(self) -> float:
        """The share of the requests that hints of the last run save."""
        return 1 - self.runs["of the last run"].requests / self.runs["none"].requests


# --- memory of larger parts -------------------------------------------------------------------------------------------


def bytes_a_session(memory: Sequence[PartMemory]) -> float:
    """How much the peak of writing grows with each session, between the smallest and the largest part."""
    first, last = memory[0], memory[-1]
    return (last.written_peak - first.written_peak) / (last.sessions - first.sessions)


def expected_peak(memory: Sequence[PartMemory], sessions: float) -> float:
    """The peak of a process that writes a part of so many sessions, on the straight line through those measured."""
    return memory[-1].written_peak + (sessions - memory[-1].sessions) * bytes_a_session(memory)


def _larger_parts(figures: Figures) -> list[tuple[str, float]]:
    run = figures.runs["of the last run"]
    return [("the mean part", figures.sessions / run.parts), ("the heaviest part", run.heaviest.sessions)]


# --- the printed report -----------------------------------------------------------------------------------------------


def lines(figures: Figures) -> Iterator[str]:
    """The report, line by line."""
    quick = ", quick: the figures mean little" if figures.quick else ""
    yield f"{figures.machine}, Python {figures.python}, {figures.seconds:,.0f} s{quick}"
    sorts = ", ".join(f"{count:,} with {per_day:,}" for per_day, count in figures.sorts.items())
    yield f"{figures.parks:,} parks, {figures.days:,} days, {figures.sessions:,} sessions"
    yield f"parks by sessions a day: {sorts}; {figures.opened_later:,} opened within that time"
    yield from _heading("simulated: the client's planner; sessions are counted, not made; no parks are sampled")
    yield from _columns(_run_rows(figures))
    yield f"hints of the last run save {figures.saved:.1%} of the requests"
    yield from _heading("simulated: the same parks, with a part for each year or month ÷ the whole range in one part")
    yield from _columns(
        [
            ("", "without hints", "with hints"),
            *(
                (f"a part for each {unit}", f"{each.without_hints:.2f} x", f"{each.with_hints:.2f} x")
                for unit, each in figures.by_time.items()
            ),
        ]
    )
    yield from _heading(
        f"simulated: hours until the last part ends, with one shared rate; {figures.response_s:g} s a response, assumed"
    )
    yield from _columns(
        [
            ("workers, requests a second", "requests ÷ rate", "heaviest first", "shuffled", "neighbours"),
            *(
                (
                    f"{each.workers}, {each.rate}",
                    *map(_hours, (each.ideal_h, each.heaviest_first_h, each.shuffled_h, each.neighbours_h)),
                )
                for each in figures.last_ends
            ),
        ]
    )
    yield from _heading(f"measured: partition() of {figures.parks:,} parks, in a process of its own")
    yield from _columns(
        [
            ("hints", "parts", "CPU", "memory", "pickled"),
            *(
                (name, f"{each.parts:,}", f"{each.cpu_s:.2f} s", _mib(each.peak), _mib(each.pickled))
                for name, each in figures.partition.items()
            ),
        ]
    )
    yield from _heading(
        "measured: one part in a process of its own, read from the simulator on loopback; resident memory"
    )
    yield from _columns(_memory_rows(figures))
    yield f"a session has {figures.record_bytes:.0f} bytes in a response"
    if len(figures.memory) == 1:
        return
    yield from _heading(
        f"extrapolated from these, {bytes_a_session(figures.memory):,.0f} bytes a session: the peak of write_part()"
    )
    for name, sessions in _larger_parts(figures):
        yield f"{name}, {sessions:,.0f} sessions: {_mib(expected_peak(figures.memory, sessions))}"


def _run_rows(figures: Figures) -> list[tuple[str, ...]]:
    runs = figures.runs.values()
    return [
        ("hints", *figures.runs),
        ("parts", *(f"{run.parts:,}" for run in runs)),
        ("requests", *(f"{run.requests:,}" for run in runs)),
        ("requests a park", *(f"{run.requests / figures.parks:.2f}" for run in runs)),
        ("requests ÷ least possible", *(f"{run.beyond_least:.2f}" for run in runs)),
        (f"of these to verify, {figures.processes} processes", *(f"{run.verified:,}" for run in runs)),
        *(
            (
                f"requests of a park with {int(per_day):,} a day",
                *(f"{run.requests_a_park[per_day]:,.1f}" for run in runs),
            )
            for per_day in figures.runs["none"].requests_a_park
        ),
        ("largest response ÷ target", *(f"{run.largest_of_target:.2f}" for run in runs)),
        ("JSON, uncompressed", *(f"{run.received_bytes / _GB:,.1f} GB" for run in runs)),
        *((f"hours at {rate} requests a second", *(_hours(run.hours[str(rate)]) for run in runs)) for rate in RATES),
        ("heaviest part, sessions", *(f"{run.heaviest.sessions:,}" for run in runs)),
        ("heaviest part, requests", *(f"{run.heaviest.requests:,}" for run in runs)),
        ("lightest part, sessions", *(f"{run.lightest.sessions:,}" for run in runs)),
        ("lightest part, requests", *(f"{run.lightest.requests:,}" for run in runs)),
        ("CPU of the simulation", *(f"{run.cpu_s:,.1f} s" for run in runs)),
    ]


def _memory_rows(figures: Figures) -> list[tuple[str, ...]]:
    return [
        ("sessions", "requests", "before", "peak of read_part()", "table", "peak of write_part()"),
        *(
            (
                f"{each.parks} parks, {each.sessions:,}",
                f"{each.requests:,}",
                *map(_mib, (each.idle, each.read_peak, each.table, each.written_peak)),
            )
            for each in figures.memory
        ),
    ]


def _heading(text: str) -> tuple[str, str]:
    return "", f"--- {text}"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()


def _hours(hours: float) -> str:
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"


def _mib(size: float) -> str:
    return f"{size / _MIB:,.0f} MiB" if size >= 10 * _MIB else f"{size / _MIB:.1f} MiB"


# --- the table of the docs --------------------------------------------------------------------------------------------


def table(figures: Figures) -> Iterator[str]:
    """Requests, hours and memory, as tables in Markdown."""
    runs = [figures.runs[name] for name in ("none", "of the last run", "a year old")]
    what = f"{figures.parks:,} parks, {figures.sessions / 1e9:.2g} billion sessions: simulated"
    yield _row(what, "without hints", "with hints", "hints a year old")
    yield "|---|---|---|---|"
    yield _row("requests", *(f"{run.requests:,}" for run in runs))
    yield _row("largest response, sessions", *(f"{run.largest_of_target * TARGET_SESSIONS:,.0f}" for run in runs))
    for unit, each in figures.by_time.items():
        ratios = f"{each.without_hints:.1f} times as many", f"{each.with_hints:.1f} times as many", ""
        yield _row(f"requests, if each {unit} is a part", *ratios)
    for rate in RATES:
        name = f"at {rate} request{'' if rate == 1 else 's'} a second"
        yield _row(name, *(_hours(run.hours[str(rate)]) for run in runs))
    yield ""
    yield _row("one part of 100 parks", "peak of `write_part()`")
    yield "|---|---|"
    for part in figures.memory:
        yield _row(f"{part.sessions:,} sessions, measured", _mib(part.written_peak))
    for name, sessions in _larger_parts(figures):
        yield _row(f"{sessions:,.0f} sessions, {name}, extrapolated", _mib(expected_peak(figures.memory, sessions)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(*table(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Figures)), sep="\n")
