"""A progress bar on stderr, for people only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import attrs
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from smappee_async.models import SessionBatch
from smappee_async.timerange import TimeRange


class Report(Protocol):
    """Takes the news of how far something is."""

    def __call__(self, share: float, detail: str = "") -> None:
        """``share`` is between 0 and 1, ``detail`` what stands behind the bar."""
        ...


@contextmanager
def progress(title: str, *, wanted: bool = True) -> Iterator[Report]:
    """A bar that goes away when it is done; nothing at all unless it is ``wanted`` and stderr is a terminal."""
    console = Console(stderr=True)
    # There is no stderr at all where it was closed, as by 2>&-.
    if not (wanted and sys.stderr and sys.stderr.isatty() and console.is_terminal):
        yield _report_nothing
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task(title, total=1.0, detail="")

        def report(share: float, detail: str = "") -> None:
            bar.update(task, completed=min(share, 1.0), detail=detail)

        yield report


@attrs.define
class Coverage:
    """How much of the time that was asked for has been read, whatever chunks it comes in.

    :param report: is told after each batch.
    :param total_s: all that is asked for, in seconds: the stretch of each park, added up.
    """

    report: Report
    total_s: float
    read_s: float = 0.0
    sessions: int = 0

    def add(self, batch: SessionBatch) -> None:
        """A batch was dealt with."""
        self.sessions += len(batch.sessions)
        if batch.is_last:
            self.read_s += seconds(batch.time_range)
        self.report(self.read_s / self.total_s, f"{self.sessions:,} sessions")


def seconds(time_range: TimeRange) -> float:
    """How long a range is, an open one until now; never nothing, for it is divided by."""
    end = time_range.end or datetime.now(UTC)
    return max((end - time_range.start).total_seconds(), 1.0)


def _report_nothing(share: float, detail: str = "") -> None:
    """Nobody is watching."""
