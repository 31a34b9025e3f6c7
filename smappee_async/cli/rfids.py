"""What becomes of RFIDs, as the command line says it."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

from smappee_async.errors import ConfigurationError
from smappee_async.rfid import HashedRfid, RfidChoice, ShownRfid

_KEY: Final = "SMAPPEE_RFID_KEY"


class Rfid(StrEnum):
    """What is shown of an RFID, which identifies a person."""

    MASK = "mask"
    SHOW = "show"
    HASH = "hash"
    NONE = "none"


class KeepRfid(StrEnum):
    """What a copy keeps of RFIDs."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


def shown_rfid(show: Rfid) -> ShownRfid:
    """The choice of the command line.

    :raises ConfigurationError: there is no key for a hash, or it cannot be one.
    """
    match show:
        case Rfid.MASK:
            return "mask"
        case Rfid.SHOW:
            return "show"
        case Rfid.NONE:
            return "none"
        case Rfid.HASH:
            return _hashed()


def rfid_choice(keep: KeepRfid) -> RfidChoice:
    """The choice of the command line for a copy.

    :raises ConfigurationError: there is no key for a hash, or it cannot be one.
    """
    match keep:
        case KeepRfid.KEEP:
            return "keep"
        case KeepRfid.DROP:
            return "drop"
        case KeepRfid.HASH:
            return _hashed()


def _hashed() -> HashedRfid:
    # From the environment, because other users of the machine can see a command line.
    key = os.environ.get(_KEY)
    if not key:
        raise ConfigurationError(
            f"not set in the environment: {_KEY}", advice="Set it to a random text of 16 to 64 bytes, and keep it"
        )
    return HashedRfid(key.encode())
