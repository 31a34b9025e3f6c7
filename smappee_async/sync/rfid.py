"""What a copy keeps of the card that was held to the station."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import ChargingSession

_LEAST_KEY_BYTES: Final = 16
_MOST_KEY_BYTES: Final = 64
_DIGEST_BYTES: Final = 16


@attrs.frozen
class HashedRfid:
    """Keep a keyed hash in place of each RFID: equal cards stay equal, and nobody without the key finds the card.

    The hash is BLAKE2b with a key (RFC 7693), 32 hexadecimal digits.

    :param key: from 16 to 64 bytes that are kept secret, and stay the same for the life of the copy.
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
"""Keep each RFID as it is, leave it out, or keep a hash of it."""


def with_rfid(session: ChargingSession, choice: RfidChoice) -> ChargingSession:
    """The session as the copy holds it."""
    if choice == "keep" or session.rfid is None:
        return session
    return attrs.evolve(session, rfid=choice.of(session.rfid) if isinstance(choice, HashedRfid) else None)


def check_rfid(choice: RfidChoice) -> RfidChoice:
    """The choice, if it is one.

    :raises ConfigurationError: it is something else.
    """
    if choice in ("keep", "drop") or isinstance(choice, HashedRfid):
        return choice
    raise ConfigurationError(f"rfid is 'keep', 'drop' or HashedRfid(key), not {choice!r}")


def rfid_name(choice: RfidChoice) -> str:
    """The choice as it is noted in a copy, so that it does not change by mistake."""
    return choice.name if isinstance(choice, HashedRfid) else choice
