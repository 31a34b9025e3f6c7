"""``python -m benchmarks.loss_account``: what is lost, doubled, invented or stale under faults. The goal is nothing.

Every kind of fault that the simulator knows strikes alone, with every other kind, and all kinds at random together;
each time sessions are fetched and compared with the ledger, one by one. What is expected of each kind stands in
``benchmarks.reliability_account``. Ends with 1 on any difference.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import attrs
import msgspec

from benchmarks.reliability_account import Fetch, Row, Scene, faults_of
from benchmarks.reliability_faults import RECIPES
from benchmarks.reliability_service import Setup, serving
from smappee_async.simulator.faults import FAULT_KINDS

_PROCESSES: Final = 2
_MIXES: Final = 5
#: A pair's share of the sessions: all pairs together are fifteen times as many as all kinds alone.
_PAIR_SHARE: Final = 0.05
_ALONE: Final = 0.1
_IN_PAIR: Final = 0.15
_IN_MIX: Final = 0.006
_CAP: Final = 150


@attrs.frozen
class Job:
    """One row to be filled: which faults strike how often, in how many sessions at least."""

    name: str
    kinds: tuple[str, ...]
    probability: float
    sessions: int
    setup: Setup = attrs.field(factory=Setup)


@attrs.frozen
class Report:
    """What a run found.

    :ivar peak_mib: the most memory that any of the processes with a client took.
    """

    python: str
    seconds: float
    peak_mib: float
    rows: list[Row]


def jobs(sessions: int, *, quick: bool) -> list[Job]:
    """Every row of the account."""
    kinds = sorted(RECIPES)
    in_pairs = max(1_000, int(sessions * _PAIR_SHARE))
    pairs = list(itertools.combinations(kinds, 2))
    if quick:
        pairs = random.Random(1).sample(pairs, 12)
    return [
        Job("nothing", (), 0.0, sessions),
        *(Job(kind, (kind,), _ALONE, sessions) for kind in kinds),
        *(Job(f"mix {number}", _mixed(number), _IN_MIX * (number + 1), sessions) for number in range(_MIXES)),
        Job(f"cap of {_CAP}", (), 0.0, sessions, Setup(session_limit=_CAP)),
        Job(f"cap of {_CAP}, mix", tuple(kinds), _IN_MIX, sessions, Setup(session_limit=_CAP)),
        Job("204 for none, mix", tuple(kinds), _IN_MIX, sessions, Setup(empty_response="no_content")),
        *(Job(" + ".join(pair), pair, _IN_PAIR, in_pairs) for pair in pairs),
    ]


def _mixed(number: int) -> tuple[str, ...]:
    """All kinds, in a random order: of two that strike the same request the first decides."""
    kinds = sorted(RECIPES)
    random.Random(number).shuffle(kinds)
    return tuple(kinds)


# --- in processes of their own ----------------------------------------------------------------------------------------


def work(share: Sequence[Job]) -> tuple[list[Row], float]:
    """Fill some rows; also the peak of this process's memory, MiB."""
    rows = asyncio.run(_work(share))
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _work(share: Sequence[Job]) -> list[Row]:
    rows: list[Row] = []
    for setup, alike in itertools.groupby(share, key=lambda job: job.setup):
        scenes: dict[int, Scene] = {}
        async with serving(setup) as service:
            for job in alike:
                if job.sessions not in scenes:
                    scenes[job.sessions] = Scene.of(setup, job.sessions)
                fetch = Fetch(scenes[job.sessions], job.kinds)
                row = await fetch.run(service, job.name, faults_of(job.kinds, job.probability))
                rows.append(row)
                if not row.is_clean:
                    print(_line(_cells(row)), row.errors, file=sys.stderr, flush=True)
    return rows


def run(sessions: int, *, quick: bool = False, processes: int = _PROCESSES) -> Report:
    """Fill every row, in several processes."""
    began_at = time.perf_counter()
    listed = jobs(sessions, quick=quick)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
        shares = list(pool.map(work, (listed[number::processes] for number in range(processes))))
    places = {job.name: place for place, job in enumerate(listed)}
    rows = sorted((row for share, _ in shares for row in share), key=lambda row: places[row.name])
    return Report(
        python=sys.version.split()[0],
        seconds=time.perf_counter() - began_at,
        peak_mib=max(peak for _, peak in shares),
        rows=rows,
    )


# --- what is shown ----------------------------------------------------------------------------------------------------

_COUNTS: Final = (
    "sessions",
    "calls",
    "attempts",
    "hits",
    "struck",
    "failed",
    "raised",
    "invalid",
    "altered",
    "left_out",
    "unnamed",
    "uncounted",
    "lost",
    "doubled",
    "phantom",
    "stale",
)


def lines(report: Report, *, every_pair: bool = False) -> Iterator[str]:
    """The table; pairs as one line per kind unless each is asked for."""
    yield _line(("faults", *_COUNTS, "s"))
    singles = [row for row in report.rows if not _is_pair(row)]
    pairs = [row for row in report.rows if _is_pair(row)]
    yield from (_line(_cells(row)) for row in singles)
    if every_pair:
        yield from (_line(_cells(row)) for row in pairs)
    else:
        yield f"--- all {len(pairs)} pairs, by one of the two ".ljust(60, "-")
        for kind in sorted(RECIPES):
            own = [row for row in pairs if kind in row.kinds]
            if own:
                yield _line(_total(f"{kind} + {len(own)} others", own))
    yield _line(_total("all rows", report.rows))
    wrong = [row.name for row in report.rows if not row.is_clean]
    yield (
        f"{len(report.rows)} rows, {sum(row.sessions for row in report.rows):,} sessions in {report.seconds:.0f} s, "
        f"peak {report.peak_mib:.0f} MiB, Python {report.python}: "
        + (f"NOT CLEAN: {', '.join(wrong)}" if wrong else "nothing lost, doubled, invented, stale or uncounted")
    )


def _is_pair(row: Row) -> bool:
    return len(row.kinds) == 2


def _cells(row: Row) -> tuple[str, ...]:
    return (row.name, *(f"{getattr(row, name):,}" for name in _COUNTS), f"{row.seconds:.1f}")


def _total(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    totals = (sum(getattr(row, count) for row in rows) for count in _COUNTS)
    return (name, *(f"{total:,}" for total in totals), f"{sum(row.seconds for row in rows):.1f}")


def _line(cells: Sequence[str]) -> str:
    return cells[0].ljust(32) + "".join(
        cell.rjust(max(9, len(name) + 1)) for cell, name in zip(cells[1:], (*_COUNTS, "s"), strict=True)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 on any difference."""
    assert {recipe["kind"] for recipe in RECIPES.values()} == FAULT_KINDS
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss_account", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="at least so many a row (default: 100000)")
    parser.add_argument("--quick", action="store_true", help="a few pairs, and 3000 sessions unless told otherwise")
    parser.add_argument("--every-pair", action="store_true", help="print a line for each pair")
    parser.add_argument("--json", type=Path, help="write all rows")
    options = parser.parse_args(arguments)
    sessions = 3_000 if options.quick and options.sessions == 100_000 else options.sessions
    report = run(sessions, quick=options.quick)
    print(*lines(report, every_pair=options.every_pair), sep="\n", flush=True)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.encode(report))
    return 0 if all(row.is_clean for row in report.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
