"""A cache of JSON texts up to a limit; the least recently used are dropped first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

_ENTRY_OVERHEAD_BYTES: Final = 400
"""Rough cost of an entry besides its bytes, so that the number of empty entries is bounded too."""


class BytesCache:
    """JSON texts by the key that determines them, each with the number of its sessions.

    :param limit_bytes: the most memory that all entries together use, in bytes.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[bytes, int]] = OrderedDict()

    def get(self, key: Hashable) -> tuple[bytes, int] | None:
        """The JSON and its number of sessions; ``None`` if it is not in the cache."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, body: bytes, sessions: int) -> None:
        """Add an entry, unless it would take more than a quarter of the limit."""
        cost = len(body) + _ENTRY_OVERHEAD_BYTES
        if cost * 4 > self._limit_bytes or key in self._entries:
            return
        self._entries[key] = (body, sessions)
        self._size_bytes += cost
        while self._size_bytes > self._limit_bytes:
            _, (dropped, _) = self._entries.popitem(last=False)
            self._size_bytes -= len(dropped) + _ENTRY_OVERHEAD_BYTES

    @property
    def size_bytes(self) -> int:
        """Memory of all entries, in bytes."""
        return self._size_bytes
