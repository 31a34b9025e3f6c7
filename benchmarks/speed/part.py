"""The parts of the benchmarks by name, and the functions that run one of them."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Final

from benchmarks.speed.result import PartResult
from benchmarks.speed.scale import Scale

#: In the order in which they run.
PARTS: Final = (
    "structuring",
    "stream",
    "latency",
    "host",
    "backend",
    "endpoint",
    "memory",
    "imports",
    "planner",
    "ordered",
    "opening",
    "fanout",
    "copies",
    "columns",
)
#: The parts that also have counts, which do not depend on how busy the machine is.
COUNTED: Final = ("structuring", "stream", "planner", "opening")


def run(name: str, scale: Scale) -> PartResult:
    """Everything that a part measures and counts."""
    module = import_module(f"benchmarks.speed.{name}")
    began_at = time.perf_counter()
    rows = module.run(scale)
    counts = module.counts() if name in COUNTED else {}
    return PartResult(rows=rows, counts=counts, seconds=time.perf_counter() - began_at)


def count(name: str) -> PartResult:
    """Only the counts of a part, which takes seconds."""
    module = import_module(f"benchmarks.speed.{name}")
    began_at = time.perf_counter()
    return PartResult(counts=module.counts(), seconds=time.perf_counter() - began_at)
