"""Where tokens are kept between renewals, and between processes."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from smappee_async.auth.tokens import StoredToken


class Lease(Protocol):
    """A lock that is held."""

    def remaining_s(self) -> float:
        """Seconds for which the lock is sure to be held still; infinite where it cannot be lost."""
        ...


class EndlessLease:
    """A lock that nobody takes away while its holder lives."""

    def remaining_s(self) -> float:
        """Always infinite."""
        return math.inf


class TokenStore(Protocol):
    """Where tokens are kept. Anything that can replace a small record atomically will do.

    A renewal takes the lock, reads, marks the record as refreshing, calls Smappee, and writes the new pair, all under
    that lock. The lock keeps processes from renewing twice; :meth:`replace` keeps the outcome right even where a lock
    can be lost.
    """

    def lock(self) -> AbstractAsyncContextManager[Lease]:
        """Wait for the lock that all users of this store share; nobody else renews while it is held."""
        ...

    async def load(self) -> StoredToken | None:
        """What is kept now; ``None`` if nothing is.

        :raises TokenStoreError: the place failed or is not safe.
        """
        ...

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write ``new`` if what is kept is of that generation (0 if nothing is); false, and nothing written, otherwise.

        :raises TokenStoreError: the place failed or is not safe. Then the old record is still whole.
        """
        ...
