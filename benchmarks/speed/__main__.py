"""The command ``python -m benchmarks.speed``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.speed import part, table
from benchmarks.speed.process import in_fresh_process
from benchmarks.speed.result import Baseline, PartResult, RunResult, regressions
from benchmarks.speed.scale import Scale

_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts, print the table and save the figures; returns 1 if a count has become worse."""
    options = _parser().parse_args(arguments)
    names = options.parts or (part.COUNTED if options.counts else part.PARTS)
    found: dict[str, PartResult] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        # Each part has a process of its own, because what it imports and leaves behind would slow the next one.
        found[name] = (
            in_fresh_process(part.count, name)
            if options.counts
            else in_fresh_process(part.run, name, Scale(options.quick))
        )
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    result = RunResult(python=_PYTHON, machine=machine, quick=options.quick, parts=found)
    print(*table.lines(result), sep="\n")
    result.save(options.json)
    if options.update is not None:
        _update(result, options.update)
    return 0 if options.check is None else _check(result, options.check)


def _update(result: RunResult, path: Path) -> None:
    """Save the counts in the baseline; those of other Pythons and other parts stay."""
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline) if path.exists() else {}
    counted = {name: found.counts for name, found in result.parts.items() if found.counts}
    baseline[result.python] = baseline.get(result.python, {}) | counted
    path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=2) + b"\n")


def _check(result: RunResult, path: Path) -> int:
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    if result.python not in baseline:
        print(f"{path} holds no counts of Python {result.python}; nothing to compare with")
        return 0
    worse = regressions(result, baseline)
    print(*worse, sep="\n") if worse else print(f"no count is worse than in {path}")
    return 1 if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="How fast and how light the client is."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*part.PARTS, []], help=", ".join(part.PARTS))
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to show that it runs; the figures mean nothing"
    )
    parser.add_argument(
        "--counts", action="store_true", help="only the counts, which do not depend on how busy the machine is"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("build/benchmarks.json"),
        metavar="PATH",
        help="where to write the figures (%(default)s)",
    )
    parser.add_argument(
        "--check", type=Path, metavar="BASELINE", help="fail if a count is more than 15 %% above this file's"
    )
    parser.add_argument("--update", type=Path, metavar="BASELINE", help="save the counts in this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
