"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import part, table
from benchmarks.process import in_fresh_process
from benchmarks.result import Baseline, PartResult, Report, regressions
from benchmarks.scale import Scale

_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print the table, and write it down; 1 if something has become worse."""
    asked = _parser().parse_args(arguments)
    names = asked.parts or (part.COUNTED if asked.counts else part.PARTS)
    found: dict[str, PartResult] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        # Each in a process of its own, so that what one part imports and leaves behind is no burden to the next.
        found[name] = (
            in_fresh_process(part.count, name) if asked.counts else in_fresh_process(part.run, name, Scale(asked.quick))
        )
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    report = Report(python=_PYTHON, machine=machine, quick=asked.quick, parts=found)
    print(*table.lines(report), sep="\n")
    report.save(asked.json)
    if asked.update is not None:
        _update(report, asked.update)
    return 0 if asked.check is None else _check(report, asked.check)


def _update(report: Report, path: Path) -> None:
    """Put what was counted in the baseline, beside what other Pythons and parts have there."""
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline) if path.exists() else {}
    counted = {name: found.counts for name, found in report.parts.items() if found.counts}
    baseline[report.python] = baseline.get(report.python, {}) | counted
    path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=2) + b"\n")


def _check(report: Report, path: Path) -> int:
    baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    if report.python not in baseline:
        print(f"{path} holds no counts of Python {report.python}; nothing to compare with")
        return 0
    worse = regressions(report, baseline)
    print(*worse, sep="\n") if worse else print(f"no count is worse than in {path}")
    return 1 if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast and how light the client is.")
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*part.PARTS, []], help=", ".join(part.PARTS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs; the figures mean nothing")
    parser.add_argument("--counts", action="store_true", help="only what does not depend on how busy the machine is")
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
    parser.add_argument("--update", type=Path, metavar="BASELINE", help="put what was counted in this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
