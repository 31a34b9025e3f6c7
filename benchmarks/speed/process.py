"""Runs functions in fresh interpreters, so that no memory, import or garbage of another benchmark counts."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_KIB = 1024


def in_fresh_process(work: Callable[ParamsT, ResultT], /, *args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
    """Call a function of a module in a new interpreter; returns what it returned, or raises what it raised."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *args, **kwargs).result()


def resident_bytes() -> int:
    """Memory that this process uses now, in bytes."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most memory that this process used since its start or since :func:`forget_peak`, in bytes."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Start to count the peak again (proc(5), ``clear_refs``)."""
    _CLEAR_REFS.write_text("5")


def _status(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIB
    raise RuntimeError(f"this system does not show {name} of process {os.getpid()}; the benchmark needs Linux")
