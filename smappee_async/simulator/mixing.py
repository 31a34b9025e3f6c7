"""Pseudo-random numbers that are computed from a position, so that no state is kept."""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1


def mix(value: int) -> int:
    """64 mixed bits of an integer: the output function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def mix_all(*values: int) -> int:
    """64 bits that depend on every one of several integers and on their order."""
    state = 0
    for value in values:
        state = mix(state ^ (value & _MASK))
    return state
