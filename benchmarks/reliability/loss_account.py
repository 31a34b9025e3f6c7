"""``python -m benchmarks.reliability.loss_account``: which sessions are lost, doubled, invented or stale under faults.

Each kind of fault of the simulator strikes alone, together with each other kind, and at random with all kinds. Each
time sessions are fetched and compared with the ledger one by one. See :mod:`benchmarks.reliability.fetch` for what is
expected of each kind. The exit code is 1 if there is any difference.
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

from benchmarks.reliability.faults import RECIPES
from benchmarks.reliability.fetch import Fetch, Row, Scene, faults_of
from benchmarks.reliability.service import Setup, serving
from benchmarks.reliability.showing import show
from smappee_async.simulator.faults import FAULT_KINDS

_PROCESSES: Final = 2
_MIXES: Final = 5
#: A pair's share of the sessions: all pairs together are fifteen times as many as all kinds alone.
_PAIR_SHARE: Final = 0.05
_ALONE: Final = 0.1
_IN_PAIR: Final = 0.15
_IN_MIX: Final = 0.006
_LIMIT: Final = 150
_LIMIT_BYTES: Final = 300_000


@attrs.frozen
class Job:
    """One row of the table: which faults strike, how often, and in how many sessions at least."""

    name: str
    kinds: tuple[str, ...]
    probability: float
    sessions: int
    setup: Setup = attrs.field(factory=Setup)


@attrs.frozen
class LossResult:
    """The result of a run.

    :ivar peak_mib: the most memory that one of the processes with a client used.
    """

    python: str
    seconds: float
    peak_mib: float
    rows: list[Row]


def jobs(sessions: int, *, quick: bool) -> list[Job]:
    """Every row of the table."""
    kinds = sorted(RECIPES)
    in_pairs = max(1_000, int(sessions * _PAIR_SHARE))
    pairs = list(itertools.combinations(kinds, 2))
    if quick:
        pairs = random.Random(1).sample(pairs, 12)
    return [
        Job("nothing", (), 0.0, sessions),
        *(Job(kind, (kind,), _ALONE, sessions) for kind in kinds),
        *(Job(f"mix {number}", _mixed(number), _IN_MIX * (number + 1), sessions) for number in range(_MIXES)),
        Job(f"limit of {_LIMIT}", (), 0.0, sessions, Setup(session_limit=_LIMIT)),
        Job(f"limit of {_LIMIT}, mix", tuple(kinds), _IN_MIX, sessions, Setup(session_limit=_LIMIT)),
        Job("limit of 300 kB", (), 0.0, sessions, Setup(size_limit_bytes=_LIMIT_BYTES)),
        Job("204 for none, mix", tuple(kinds), _IN_MIX, sessions, Setup(empty_response="no_content")),
        *(Job(" + ".join(pair), pair, _IN_PAIR, in_pairs) for pair in pairs),
    ]


def _mixed(number: int) -> tuple[str, ...]:
    """All kinds in a random order, because of two that strike the same request the first decides."""
    kinds = sorted(RECIPES)
    random.Random(number).shuffle(kinds)
    return tuple(kinds)


# --- in processes of their own ----------------------------------------------------------------------------------------


def work(share: Sequence[Job]) -> tuple[list[Row], float]:
    """Run some jobs; returns their rows, and the peak memory of this process in MiB."""
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


def run(sessions: int, *, quick: bool = False, processes: int = _PROCESSES) -> LossResult:
    """Run every job, in several processes."""
    began_at = time.perf_counter()
    listed = jobs(sessions, quick=quick)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
        shares = list(pool.map(work, (listed[number::processes] for number in range(processes))))
    places = {job.name: place for place, job in enumerate(listed)}
    rows = sorted((row for share, _ in shares for row in share), key=lambda row: places[row.name])
    return LossResult(
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


def lines(result: LossResult, *, every_pair: bool = False) -> Iterator[str]:
    """The table. Pairs are one line for each kind, unless a line for each pair is wanted."""
    yield _line(("faults", *_COUNTS, "s"))
    singles = [row for row in result.rows if not _is_pair(row)]
    pairs = [row for row in result.rows if _is_pair(row)]
    yield from (_line(_cells(row)) for row in singles)
    if every_pair:
        yield from (_line(_cells(row)) for row in pairs)
    else:
        yield f"--- all {len(pairs)} pairs, by one of the two ".ljust(60, "-")
        for kind in sorted(RECIPES):
            own = [row for row in pairs if kind in row.kinds]
            if own:
                yield _line(_total(f"{kind} + {len(own)} others", own))
    yield _line(_total("all rows", result.rows))
    wrong = [row.name for row in result.rows if not row.is_clean]
    yield (
        f"{len(result.rows)} rows, {sum(row.sessions for row in result.rows):,} sessions in {result.seconds:.0f} s, "
        f"peak {result.peak_mib:.0f} MiB, Python {result.python}: "
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
    """Run all jobs, print the table and save it; returns 1 if there is any difference."""
    assert {recipe["kind"] for recipe in RECIPES.values()} == FAULT_KINDS
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.loss_account", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="at least so many a row (default: 100000)")
    parser.add_argument("--quick", action="store_true", help="a few pairs, and 3000 sessions unless told otherwise")
    parser.add_argument("--every-pair", action="store_true", help="print a line for each pair")
    parser.add_argument("--json", type=Path, help="save all rows")
    options = parser.parse_args(arguments)
    sessions = 3_000 if options.quick and options.sessions == 100_000 else options.sessions
    result = run(sessions, quick=options.quick)
    show(lines(result, every_pair=options.every_pair), result, options.json)
    return 0 if all(row.is_clean for row in result.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
