"""How large the benchmarks are: as measured for the record, or just large enough to see that they run."""

from __future__ import annotations

from typing import TypeVar

import attrs

SizeT = TypeVar("SizeT", int, float)


@attrs.frozen
class Scale:
    """The size of everything.

    :param quick: tiny; the figures mean nothing then.
    """

    quick: bool = False

    def of(self, full: SizeT, *, quick: SizeT) -> SizeT:
        """The size that is meant."""
        return quick if self.quick else full
