"""Where tokens are stored, for other processes and for the next start."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from smappee_async.auth.tokens import StoredToken


class Lease(Protocol):
    """A lock while it is held."""

    def remaining_s(self) -> float:
        """For how many seconds it is certain that the lock is held; infinite if it cannot be lost."""
        ...


class EndlessLease:
    """A lock that cannot be lost while its holder lives."""

    def remaining_s(self) -> float:
        """Always infinite."""
        return math.inf


class TokenStore(Protocol):
    """Where tokens are stored. Any place can be used that can replace a small record atomically.

    A renewal takes the lock, reads the record, marks it as refreshing, calls Smappee, and writes the new pair, all
    under this lock. Because of the lock, two processes do not renew at the same time. Because of :meth:`replace`, the
    record stays right even if a lock is lost.
    """

    def lock(self) -> AbstractAsyncContextManager[Lease]:
        """Wait for the lock that all users of this store share. No other one renews while it is held."""
        ...

    async def load(self) -> StoredToken | None:
        """The record; ``None`` if there is none.

        :raises TokenStoreError: the place failed, or is not safe.
        """
        ...

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if the record is of this generation (0 if there is none).

        :return: whether it was written.
        :raises TokenStoreError: the place failed, or is not safe. The old record is still whole.
        """
        ...
