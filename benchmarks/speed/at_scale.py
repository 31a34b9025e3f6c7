"""The command ``python -m benchmarks.speed.at_scale``: 100,000 parks and a billion sessions, without making them.

The planner, the chunk sizes, the check of truncation and the parts are the client's own; the service is a function that
says how many sessions start in a range. What a process takes in memory is measured, with parts of the simulator.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from benchmarks.speed import at_scale_report as report
from benchmarks.speed.mixture import DAYS, FIVE_YEARS, Mixture
from benchmarks.speed.part_memory import PartMemory, measure_partition, measure_parts
from benchmarks.speed.scale import Scale
from benchmarks.speed.simulation import RESPONSE_S, RequestCount, adaptive, least_requests
from benchmarks.speed.workers import Work, last_end_s
from smappee_async.defaults import TARGET_SESSIONS, VERIFY_FROM_SESSIONS
from smappee_async.distributed import Part, partition
from smappee_async.query.truncation import TruncationCheck
from smappee_async.timerange import CalendarUnit

#: So many processes read the parts. Each has one client, which learns for itself which responses are whole.
_PROCESSES: Final = 10
#: How long a response is assumed to take where workers are compared.
_ASSUMED_RESPONSE_S: Final = 0.2
_WORKERS: Final = (4, 16, 64)
_SHARED_RATES: Final = (100, 500)
_HINTS: Final = ("none", "of the last run", "a year old")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, simulate, print, and save the figures."""
    options = _parser().parse_args(arguments)
    measured = None
    if options.measured is not None:
        measured = msgspec.json.decode(options.measured.read_bytes(), type=report.Figures).memory
    figures = run(Scale(options.quick), measured)
    print(*report.lines(figures), sep="\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    return 0


def run(scale: Scale, measured: Sequence[PartMemory] | None = None) -> report.Figures:
    """All figures.

    :param measured: parts that were measured before; ``None`` measures them.
    """
    began_at = time.perf_counter()
    sizes = [4_000] if scale.quick else [100_000, 300_000, 900_000]
    _tell("parts of the simulator")
    memory = measured or measure_parts(scale.of(100, quick=5), sizes)
    mixture = Mixture.of(scale.of(100_000, quick=5_000))
    seen = dict(zip(_HINTS, (None, mixture.seen(), mixture.seen_a_year_ago()), strict=True))
    parks = list(mixture.demands)
    simulation = _Simulation(mixture, round(memory[-1].record_bytes))
    read: dict[str, _Read] = {}
    for name, known in seen.items():
        _tell(f"hints: {name}")
        read[name] = simulation.read(partition(parks, FIVE_YEARS, seen=known))
    by_time: dict[str, report.ByTime] = {}
    units: tuple[CalendarUnit, ...] = ("year", "month")
    for unit in units:
        _tell(f"parts of a {unit} each")
        ratios = [simulation.read_by(unit, each).requests / each.requests for each in map(read.__getitem__, _HINTS[:2])]
        by_time[unit] = report.ByTime(*ratios)
    _tell("parts in other orders, and their memory")
    known = seen["of the last run"] or {}
    neighbours = [
        attrs.evolve(part, seen={park: known[park] for park in part.parks}) for part in partition(parks, FIVE_YEARS)
    ]
    return report.Figures(
        quick=scale.quick,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        python=platform.python_version(),
        days=DAYS,
        parks=len(parks),
        sorts=mixture.sorts,
        opened_later=mixture.opened_later,
        sessions=sum(mixture.sessions.values()),
        processes=_PROCESSES,
        record_bytes=memory[-1].record_bytes,
        least_requests=simulation.least,
        runs={name: simulation.figures(each) for name, each in read.items()},
        by_time=by_time,
        response_s=_ASSUMED_RESPONSE_S,
        last_ends=list(_last_ends(read["of the last run"], simulation.read(neighbours))),
        partition={name: measure_partition(parks, seen[name]) for name in _HINTS[:2]},
        memory=memory,
        seconds=time.perf_counter() - began_at,
    )


@attrs.frozen
class _Read:
    """Parts that were read, in their order."""

    parts: Sequence[Part]
    counts: Sequence[RequestCount]
    cpu_s: float

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.counts)

    @property
    def works(self) -> list[Work]:
        """How long each part takes at least follows from its virtual time."""
        longer = _ASSUMED_RESPONSE_S / RESPONSE_S
        return [Work(each.requests, each.requests / (each.wall_s * longer)) for each in self.counts]


class _Simulation:
    """Reads parts of a mixture without a service."""

    def __init__(self, mixture: Mixture, record_bytes: int) -> None:
        self.least = least_requests(mixture.demands, FIVE_YEARS, TARGET_SESSIONS)
        self._mixture = mixture
        self._record_bytes = record_bytes

    def read(self, parts: Sequence[Part]) -> _Read:
        """Parts are taken in turn by the processes."""
        clients = [TruncationCheck(VERIFY_FROM_SESSIONS) for _ in range(_PROCESSES)]
        began_at = time.process_time()
        counts = [self._read_one(part, clients[number % _PROCESSES]) for number, part in enumerate(parts)]
        return _Read(parts, counts, time.process_time() - began_at)

    def read_by(self, unit: CalendarUnit, whole: _Read) -> _Read:
        """The same parks and hints, with a part for each year, or month, of each part."""
        ranges = list(FIVE_YEARS.split(unit, tz="UTC"))
        return self.read([attrs.evolve(part, time_range=each) for part in whole.parts for each in ranges])

    def _read_one(self, part: Part, truncation: TruncationCheck) -> RequestCount:
        return adaptive(
            {park: self._mixture.demands[park] for park in part.parks},
            part.time_range,
            TARGET_SESSIONS,
            seen=part.seen,
            truncation=truncation,
            record_bytes=self._record_bytes,
        )

    def figures(self, read: _Read) -> report.RunFigures:
        """What is printed of a run."""
        by_sort: dict[int, list[int]] = {}
        for count in read.counts:
            for park, requests in count.by_park.items():
                by_sort.setdefault(self._mixture.per_day[park], []).append(requests)
        sizes = [
            report.PartFigures(sum(map(self._mixture.sessions.__getitem__, part.parks)), count.requests)
            for part, count in zip(read.parts, read.counts, strict=True)
        ]
        return report.RunFigures(
            parts=len(read.parts),
            requests=read.requests,
            verified=sum(each.verified for each in read.counts),
            beyond_least=read.requests / self.least,
            largest_of_target=max(each.largest for each in read.counts) / TARGET_SESSIONS,
            received_bytes=sum(each.received for each in read.counts) * self._record_bytes,
            hours={str(rate): read.requests / rate / 3600 for rate in report.RATES},
            requests_a_park={str(per_day): sum(each) / len(each) for per_day, each in sorted(by_sort.items())},
            heaviest=max(sizes, key=lambda each: each.sessions),
            lightest=min(sizes, key=lambda each: each.sessions),
            cpu_s=read.cpu_s,
        )


def _last_ends(heaviest_first: _Read, neighbours: _Read) -> Iterable[report.LastEnd]:
    shuffled = heaviest_first.works
    random.Random(1).shuffle(shuffled)
    for rate in _SHARED_RATES:
        for workers in _WORKERS:
            yield report.LastEnd(
                workers=workers,
                rate=rate,
                ideal_h=heaviest_first.requests / rate / 3600,
                heaviest_first_h=last_end_s(heaviest_first.works, workers, rate) / 3600,
                shuffled_h=last_end_s(shuffled, workers, rate) / 3600,
                neighbours_h=last_end_s(neighbours.works, workers, rate) / 3600,
            )


def _tell(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.at_scale", description="100,000 parks and a billion sessions, simulated."
    )
    parser.add_argument("--quick", action="store_true", help="5,000 parks, and one small part measured")
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("build/at_scale.json"),
        metavar="PATH",
        help="where to write the figures (%(default)s)",
    )
    parser.add_argument(
        "--measured", type=Path, metavar="PATH", help="take the memory of parts from figures that were saved before"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
