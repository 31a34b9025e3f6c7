"""The processes below another one, with their CPU time, from ``/proc``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Positions in ``/proc/PID/stat`` behind the name of the program.
_PARENT, _USER, _SYSTEM = 1, 11, 12


@attrs.frozen
class Process:
    """A process at a moment."""

    pid: int
    parent: int
    command: str
    cpu_s: float


def processes_below(root: int) -> list[Process]:
    """A process and all that it has started, and that these have started, as far as they live."""
    every = {each.pid: each for each in _every()}
    found: list[Process] = []
    new = {root} & every.keys()
    while new:
        found += [every[pid] for pid in new]
        new = {each.pid for each in every.values() if each.parent in new}
    return found


def _every() -> Iterator[Process]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                stat = (directory / "stat").read_text().rpartition(")")[2].split()
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended
                continue
            cpu_s = (int(stat[_USER]) + int(stat[_SYSTEM])) / _TICKS
            yield Process(int(directory.name), int(stat[_PARENT]), command, cpu_s)
