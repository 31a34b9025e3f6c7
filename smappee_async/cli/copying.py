"""What the commands that keep a copy have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Final

from smappee_async.cli.ending import reason
from smappee_async.cli.progress import progress
from smappee_async.cli.ranges import RangeText
from smappee_async.errors import ConfigurationError
from smappee_async.sync import HashedRfid, ParkFailure, RfidChoice, SyncProgress

_KEY: Final = "SMAPPEE_RFID_KEY"


class KeepRfid(StrEnum):
    """What a copy keeps of RFIDs."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


def rfid_choice(keep: KeepRfid) -> RfidChoice:
    """The choice of the command line; the key is read from the environment, because others can see a command line.

    :raises ConfigurationError: there is no key, or it cannot be.
    """
    match keep:
        case KeepRfid.KEEP:
            return "keep"
        case KeepRfid.DROP:
            return "drop"
        case KeepRfid.HASH:
            key = os.environ.get(_KEY)
            if not key:
                raise ConfigurationError(
                    f"not set in the environment: {_KEY}",
                    advice="Set it to a random text of 16 to 64 bytes, and keep it",
                )
            return HashedRfid(key.encode())


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
