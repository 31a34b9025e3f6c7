"""A progress bar on stderr, for people only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

import attrs
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from smappee_async.models import SessionBatch
from smappee_async.query.checkpoint import all_read_ranges
from smappee_async.query.stream import SessionStream
from smappee_async.timerange import TimeRange

_SECONDS_BETWEEN_LOOKS: Final = 0.2


class ProgressCallback(Protocol):
    """Is called with the progress of a command."""

    def __call__(self, share: float, detail: str = "") -> None:
        """``share`` is between 0 and 1; ``detail`` is the text after the bar."""
        ...


@contextmanager
def progress(title: str, *, wanted: bool = True) -> Iterator[ProgressCallback]:
    """A bar that disappears at the end; no bar unless it is ``wanted`` and stderr is a terminal."""
    console = Console(stderr=True)
    # There is no stderr if it was closed, as by 2>&-.
    if not (wanted and sys.stderr and sys.stderr.isatty() and console.is_terminal):
        yield _ignore
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

        def on_progress(share: float, detail: str = "") -> None:
            bar.update(task, completed=min(share, 1.0), detail=detail)

        yield on_progress


@attrs.define
class Coverage:
    """How much of the query's time has been read, measured in seconds of time range.

    :param on_progress: is called after each batch.
    :param total_s: the sum of the time ranges of all targets, in seconds.
    """

    on_progress: ProgressCallback
    total_s: float
    read_s: float = 0.0
    sessions: int = 0

    def add(self, batch: SessionBatch) -> None:
        """Count a batch that has been written."""
        self.sessions += len(batch.sessions)
        if batch.is_last:
            self.read_s += seconds(batch.time_range)
        self.on_progress(self.read_s / self.total_s, f"{self.sessions:,} sessions")


class ReadSoFar:
    """How much of a query's time a stream has handed over, by its checkpoint: for files, whose batches are not seen.

    :param on_progress: is called now and then.
    :param total_s: as for :class:`Coverage`.
    """

    def __init__(self, on_progress: ProgressCallback, stream: SessionStream, total_s: float) -> None:
        self._on_progress = on_progress
        self._stream = stream
        self._total_s = total_s
        self._next_s = 0.0

    def __call__(self, sessions: int) -> None:
        """So many sessions have been written."""
        if time.monotonic() < self._next_s:
            return  # to go through the checkpoint of many parks takes a while
        self._next_s = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        read_s = sum(map(seconds, all_read_ranges(self._stream.checkpoint())))
        self._on_progress(read_s / self._total_s, f"{sessions:,} sessions")


def seconds(time_range: TimeRange) -> float:
    """Length of a range, an open one until now; at least 1, because it is a divisor."""
    end = time_range.end or datetime.now(UTC)
    return max((end - time_range.start).total_seconds(), 1.0)


def _ignore(share: float, detail: str = "") -> None:
    """No bar is shown."""
