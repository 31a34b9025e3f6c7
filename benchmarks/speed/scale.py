"""The sizes of the benchmarks: full, or just large enough to see that they run."""

from __future__ import annotations

from typing import TypeVar

import attrs

SizeT = TypeVar("SizeT", int, float)


@attrs.frozen
class Scale:
    """Which sizes are meant.

    :param quick: tiny ones; the figures mean nothing then.
    """

    quick: bool = False

    def of(self, full: SizeT, *, quick: SizeT) -> SizeT:
        """The full size, or the quick one."""
        return quick if self.quick else full
