"""For users' tests: a virtual clock, and pytest fixtures on the simulator (see :mod:`smappee_async.testing.plugin`)."""

from smappee_async.testing.clock import VirtualTimeLoop

__all__ = ["VirtualTimeLoop"]
