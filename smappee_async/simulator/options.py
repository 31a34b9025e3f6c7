"""What is simulated, and where it is served: one set of options and defaults.

Every program that starts a simulator takes its options from here: ``python -m smappee_async.simulator`` and
``smappee-async simulate`` make one option of each field, with the same name, default and help text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal

import attrs
from attrs.validators import and_, ge, le

from .assumptions import Assumptions
from .changes import Changes
from .clock import SimulatedClock
from .parks import Park
from .server import Simulator
from .world import World

WorldName = Literal["demo", "small"]
AssumptionSet = Literal["default", "documented", "seen"]


@attrs.frozen(kw_only=True)
class SimulateOptions:
    """The options of a command that serves a simulator.

    :raises ValueError: a value is out of range.
    """

    host: str = attrs.field(default="127.0.0.1", metadata={"help": "The address to listen on."})
    port: int = attrs.field(
        default=0,
        validator=and_(ge(0), le(65_535)),
        metadata={"help": "The port to listen on; 0 lets the system choose."},
    )
    allow_remote: bool = attrs.field(default=False, metadata={"help": "Allow a host that other machines can reach."})
    world: WorldName = attrs.field(
        default="demo", metadata={"help": "demo: many parks of all kinds; small: one park of each kind."}
    )
    seed: int = attrs.field(default=1, metadata={"help": "The same seed gives the same sessions."})
    parks: int = attrs.field(
        default=24, validator=and_(ge(1), le(5000)), metadata={"help": "Number of parks in the demo world."}
    )
    sessions: int = attrs.field(
        default=200_000,
        validator=and_(ge(1), le(20_000_000)),
        metadata={"help": "Least number of sessions in a year of the demo world, all parks together."},
    )
    changes: bool = attrs.field(
        default=False,
        metadata={"help": "Let some sessions come late, or be corrected, moved, removed or opened again."},
    )
    now: str | None = attrs.field(
        default=None,
        metadata={
            "help": "Stop the simulated clock at an instant, such as 2026-11-01T00:00Z.",
            "default": "the current time, and the clock runs",
        },
    )
    running: bool = attrs.field(default=False, metadata={"help": "Let the simulated clock run on from --now."})
    latency_s: float = attrs.field(
        default=0.0, validator=ge(0), metadata={"help": "Least duration of a data call, in seconds."}
    )
    assumptions: AssumptionSet = attrs.field(
        default="default",
        metadata={"help": "Which behaviour to simulate where the documentation and public clients disagree."},
    )

    def simulator(self) -> Simulator:
        """The simulator, not started yet.

        :raises ValueError: the host is not on this machine, or the instant cannot be read.
        """
        try:
            return Simulator(
                self._world(),
                assumptions=_ASSUMPTIONS[self.assumptions],
                clock=SimulatedClock.at(self.now or datetime.now(UTC), running=self.running or self.now is None),
                host=self.host,
                port=self.port,
                latency_s=self.latency_s,
                allow_remote=self.allow_remote,
            )
        except ValueError as error:
            # The text names a parameter of Python; here it is an option.
            raise ValueError(str(error).replace("pass allow_remote=True", "add --allow-remote")) from None

    def _world(self) -> World:
        changes = Changes.mixture() if self.changes else Changes()
        if self.world == "small":
            parks = [Park.home(1001), Park.office(1002, timezone="Europe/London"), Park.hub(1003)]
            return World.of(parks, seed=self.seed, changes=changes)
        return World.demo(seed=self.seed, parks=self.parks, sessions_per_year=self.sessions, changes=changes)


_ASSUMPTIONS: Final[dict[AssumptionSet, Assumptions]] = {
    "default": Assumptions(),
    "documented": Assumptions.documented(),
    "seen": Assumptions.seen_in_clients(),
}

#: The fields of :class:`SimulateOptions`, with their types, as the command lines read them.
OPTION_FIELDS: Final[tuple[attrs.Attribute[Any], ...]] = tuple(attrs.fields(attrs.resolve_types(SimulateOptions)))
