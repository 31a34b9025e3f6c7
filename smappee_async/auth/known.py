"""What this process knows of the pairs, against a store that loses its record or goes back in time."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.secret import Secret

#: So many pairs are remembered. With a renewal every ten hours, this is a month.
_MOST: Final = 64


class KnownPairs:
    """The latest pair that this process used, and those before it, whose refresh tokens are spent.

    A file is restored from a backup, a replica that lags takes over, Redis is flushed, evicts the record or starts
    without data: then the store holds nothing, or a pair whose refresh token is spent. To send a spent refresh token
    can lock the account out. So the pair in memory comes first.

    :ivar latest: the latest pair; ``None`` before there is one.
    """

    def __init__(self) -> None:
        self.latest: Token | None = None
        self._older: deque[Token] = deque(maxlen=_MOST)
        self._generation = 0
        self._maybe_spent: Secret | None = None

    def follow(self, token: Token, replaced: Token | None = None) -> None:
        """Remember a pair that is newer than all others.

        :param replaced: the pair that it comes from.
        """
        for older in (replaced, self.latest):
            if older is not None and older != token and older not in self._older:
                self._older.append(older)
        self.latest, self._maybe_spent = token, None

    def sent_without_response(self, refresh_token: Secret) -> None:
        """Remember that a refresh token may be spent, as the mark in the store says."""
        self._maybe_spent = refresh_token

    def saw(self, stored: StoredToken) -> None:
        """Remember the generation of a record that is not behind, or that was just written."""
        self._generation = stored.generation

    def is_behind(self, stored: StoredToken) -> bool:
        """Whether the store lost its record, or holds a pair that is older than the latest one."""
        latest, token = self.latest, stored.token
        if latest is None or token == latest:
            return False
        if token is None or token in self._older:
            return True
        # A pair that was never seen: older, if it ends earlier and the store counted further before. A record that
        # another process has made anew begins to count anew too, but ends later.
        return (
            stored.generation < self._generation
            and token.expires_at < latest.expires_at
            and token.account == latest.account
        )

    def corrected(self, stored: StoredToken) -> StoredToken:
        """The record with the latest pair, if the store is behind; the generation stays, because it is compared."""
        if not self.is_behind(stored):
            self.saw(stored)
            return stored
        is_marked = self.latest is not None and self._maybe_spent == self.latest.refresh_token is not None
        return attrs.evolve(stored, token=self.latest, refreshing=is_marked)
