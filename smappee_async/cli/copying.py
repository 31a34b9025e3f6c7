"""What the commands that keep or read a copy have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from smappee_async.cli.ending import reason
from smappee_async.cli.progress import progress
from smappee_async.cli.ranges import RangeText
from smappee_async.sync import CopiedPark, ParkFailure, SyncProgress
from smappee_async.timerange import TimeRange


def begin_of(since: str, zone: str) -> datetime:
    """The first instant of a date in a zone."""
    return RangeText.of(range=f"{since}..", month=None, day=None, year=None).in_zone(zone).start


@contextmanager
def sync_progress(title: str) -> Iterator[Callable[[SyncProgress], None]]:
    """A progress bar over parks; see :func:`smappee_async.cli.progress.progress`."""
    with progress(title) as on_progress:

        def show(done: SyncProgress) -> None:
            on_progress(done.parks / done.of_parks, f"{done.sessions:,} sessions")

        yield show


def counts_line(counts: Mapping[str, int]) -> str:
    """An account in one line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def failed(failures: Iterable[ParkFailure]) -> list[str]:
    """A line for each park that could not be read."""
    return [f"park {each.service_location_id}: {reason(each.error)}" for each in failures]


def missing_of_copy(parks: Iterable[CopiedPark], time_range: TimeRange, now: datetime) -> list[str]:
    """What the copy lacks of a range. What is still to come is not missing."""
    is_over = time_range.end is not None and time_range.end <= now
    missing: list[str] = []
    for park in parks:
        where = f"park {park.service_location_id}"
        if park.synced_until is None:
            missing.append(f"{where}: its first sync is not complete")
            continue
        if park.since > time_range.start:
            missing.append(f"{where}: the copy begins at {_text(park.since)}")
        if is_over and time_range.end is not None and park.synced_until < time_range.end:
            missing.append(f"{where}: what started after the last sync, {_text(park.synced_until)}")
    return missing


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
