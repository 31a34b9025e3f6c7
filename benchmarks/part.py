"""The parts of the benchmarks by name, and how one of them is run."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Final

from benchmarks.result import PartResult
from benchmarks.scale import Scale

#: In the order in which they run.
PARTS: Final = (
    "structuring",
    "stream",
    "latency",
    "host",
    "endpoint",
    "memory",
    "imports",
    "planner",
    "fanout",
)
#: Those that also count what does not depend on how busy the machine is.
COUNTED: Final = ("structuring", "stream", "planner")


def run(name: str, scale: Scale) -> PartResult:
    """Everything that a part measures and counts."""
    module = import_module(f"benchmarks.{name}")
    began_at = time.perf_counter()
    rows = module.run(scale)
    counts = module.counts() if name in COUNTED else {}
    return PartResult(rows=rows, counts=counts, seconds=time.perf_counter() - began_at)


def count(name: str) -> PartResult:
    """Only what a part counts, which takes seconds."""
    module = import_module(f"benchmarks.{name}")
    began_at = time.perf_counter()
    return PartResult(counts=module.counts(), seconds=time.perf_counter() - began_at)
