"""Choices of the command line, as enumerations: typer shows their values."""

from __future__ import annotations

from enum import StrEnum


class StateChoice(StrEnum):
    """Which sessions."""

    COMPLETED = "completed"
    ACTIVE = "active"
    ALL = "all"


class OrderChoice(StrEnum):
    """In which order."""

    ARRIVAL = "arrival"
    START = "start"


class OnErrorChoice(StrEnum):
    """What to do about a range that stays unreadable."""

    RAISE = "raise"
    COLLECT = "collect"
