"""Costs that come out the same on a busy machine: steps of the interpreter, and memory."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any


def bytecodes(work: Callable[[], object]) -> int:
    """How many bytecode instructions run; what C does inside one of them is not seen."""
    work()  # whatever is made once is made now
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "opcode":
            count += 1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def blocks_kept(work: Callable[[], object]) -> int:
    """How many blocks of memory the result holds."""
    work()
    gc.collect()
    before = sys.getallocatedblocks()
    result = work()
    gc.collect()
    kept = sys.getallocatedblocks() - before
    del result
    return kept


def peak_traced(work: Callable[[], object]) -> int:
    """The most memory in bytes that Python held at once for it, beyond what it held before."""
    work()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
