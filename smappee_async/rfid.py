"""What becomes of an RFID, which names a person: in a copy, and where people see it."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

import attrs

from smappee_async.errors import ConfigurationError

_LEAST_KEY_BYTES: Final = 16
_MOST_KEY_BYTES: Final = 64
_DIGEST_BYTES: Final = 16
_SHOWN_CHARACTERS: Final = 3


@attrs.frozen
class HashedRfid:
    """A keyed hash in place of each RFID: equal cards stay equal, and nobody without the key finds the card.

    The hash is BLAKE2b with a key (RFC 7693), 32 hexadecimal digits.

    :param key: from 16 to 64 bytes that are kept secret, and stay the same for the life of a copy, or for all files
        whose cards shall be compared.
    :raises ConfigurationError: the key is shorter, or longer.
    """

    key: bytes = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not _LEAST_KEY_BYTES <= len(self.key) <= _MOST_KEY_BYTES:
            raise ConfigurationError(
                f"a key for RFIDs has from {_LEAST_KEY_BYTES} to {_MOST_KEY_BYTES} bytes, not {len(self.key)}",
                advice="Make one with secrets.token_bytes(32), and keep it",
            )

    def of(self, rfid: str) -> str:
        """The hash of one RFID."""
        return hashlib.blake2b(rfid.encode(), key=self.key, digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def name(self) -> str:
        """A text that differs when the key differs, and does not tell the key."""
        return f"hash {hashlib.blake2b(b'name', key=self.key, digest_size=4).hexdigest()}"


RfidChoice: TypeAlias = Literal["keep", "drop"] | HashedRfid
"""What a copy has of each RFID: keep it as it is, leave it out, or keep a hash of it."""

ShownRfid: TypeAlias = Literal["show", "mask", "none"] | HashedRfid
"""What people see of each RFID: all of it, its last three characters, nothing, or a hash of it."""


def masked(rfid: str | None) -> str | None:
    """Three stars and the last three characters; only the stars of an RFID that has no more characters."""
    if rfid is None:
        return None
    return f"***{rfid[-_SHOWN_CHARACTERS:]}" if len(rfid) > _SHOWN_CHARACTERS else "***"


def rfid_as(rfid: str | None, choice: RfidChoice | ShownRfid) -> str | None:
    """An RFID as it was chosen; ``None`` for none."""
    if rfid is None or choice in ("none", "drop"):
        return None
    if isinstance(choice, HashedRfid):
        return choice.of(rfid)
    return masked(rfid) if choice == "mask" else rfid


def check_rfid(choice: RfidChoice) -> RfidChoice:
    """The choice for a copy, if it is one.

    :raises ConfigurationError: it is something else.
    """
    if choice in ("keep", "drop") or isinstance(choice, HashedRfid):
        return choice
    raise ConfigurationError(f"rfid is 'keep', 'drop' or HashedRfid(key), not {choice!r}")


def check_shown_rfid(choice: ShownRfid) -> ShownRfid:
    """The choice for what people see, if it is one.

    :raises ConfigurationError: it is something else.
    """
    if choice in ("show", "mask", "none") or isinstance(choice, HashedRfid):
        return choice
    raise ConfigurationError(f"rfid is 'show', 'mask', 'none' or HashedRfid(key), not {choice!r}")


def rfid_name(choice: RfidChoice) -> str:
    """The choice as it is noted in a copy, so that it does not change by mistake."""
    return choice.name if isinstance(choice, HashedRfid) else choice
