"""For the tests of users: a virtual clock, and pytest fixtures (see :mod:`smappee_async.testing.plugin`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smappee_async.testing.clock import VirtualTimeLoop as VirtualTimeLoop

__all__ = ["VirtualTimeLoop"]


def _load(name: str) -> object:
    # Loaded when it is first used, because pytest imports this package in every run, for the plugin in it.
    if name != "VirtualTimeLoop":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smappee_async.testing.clock import VirtualTimeLoop  # noqa: PLC0415

    globals()[name] = VirtualTimeLoop
    return VirtualTimeLoop


if not TYPE_CHECKING:  # type checkers must find a name that does not exist
    __getattr__ = _load
