"""What the commands that keep a copy have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from smappee_async.cli.ending import reason
from smappee_async.cli.ranges import RangeText
from smappee_async.errors import ConfigurationError
from smappee_async.sync import HashedRfid, ParkFailure, RfidChoice

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


def failed(failures: Iterable[ParkFailure]) -> list[str]:
    """A line for each park that could not be read."""
    return [f"park {each.service_location_id}: {reason(each.error)}" for each in failures]
