"""``smappee-async simulate``: Smappee's cloud in a box, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import sys
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import attrs

from smappee_async.cli.exits import ExitCode
from smappee_async.cli.loop import run_async
from smappee_async.cli.sinks import open_sink
from smappee_async.errors import ConfigurationError
from smappee_async.simulator import Assumptions, Park, SimulatedClock, Simulator, World

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class WorldName(StrEnum):
    """Which world is simulated."""

    DEMO = "demo"
    SMALL = "small"


class AssumptionSet(StrEnum):
    """Which reading of the service is simulated, where its documentation and public clients disagree."""

    DEFAULT = "default"
    DOCUMENTED = "documented"
    SEEN = "seen"


@attrs.frozen(kw_only=True)
class SimulateOptions:
    """What is to be simulated, and where it is served.

    :param now: the instant at which the world stands still; ``None`` for a world that goes with the time of day.
    """

    host: str
    port: int
    allow_remote: bool
    world: WorldName
    seed: int
    parks: int
    sessions: int
    now: str | None
    reading: AssumptionSet

    def simulator(self) -> Simulator:
        """The simulator, not started yet.

        :raises ConfigurationError: it cannot be made.
        """
        if self.host not in _LOOPBACK and not self.allow_remote:
            raise ConfigurationError(
                f"--host {self.host} would let other machines in", advice="Add --allow-remote if that is meant"
            )
        try:
            return Simulator(
                self._world(),
                assumptions=self._assumptions(),
                clock=SimulatedClock.at(self.now or datetime.now(UTC), running=self.now is None),
                host=self.host,
                port=self.port,
                allow_remote=True,
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from None

    def _world(self) -> World:
        if self.world is WorldName.SMALL:
            parks = [Park.home(1001), Park.office(1002, timezone="Europe/London"), Park.hub(1003)]
            return World.of(parks, seed=self.seed)
        return World.demo(seed=self.seed, parks=self.parks, sessions_per_year=self.sessions)

    def _assumptions(self) -> Assumptions:
        match self.reading:
            case AssumptionSet.DEFAULT:
                return Assumptions()
            case AssumptionSet.DOCUMENTED:
                return Assumptions.documented()
            case AssumptionSet.SEEN:
                return Assumptions.seen_in_clients()


def serve(wish: SimulateOptions) -> ExitCode:
    """Serve until Ctrl-C, which is how it is meant to end."""
    with suppress(KeyboardInterrupt):
        run_async(_serve(wish.simulator()))
    print("stopped", file=sys.stderr)
    return ExitCode.OK


async def _serve(simulator: Simulator) -> None:
    async with simulator:
        account = simulator.account
        variables = {
            "SMAPPEE_BASE_URL": simulator.base_url,
            "SMAPPEE_CLIENT_ID": account.client_id,
            "SMAPPEE_CLIENT_SECRET": account.client_secret,
            "SMAPPEE_USERNAME": account.username,
            "SMAPPEE_PASSWORD": account.password,
        }
        lines = [
            f"# Smappee's cloud in a box at {simulator.base_url}",
            f"# {len(simulator.world.parks)} parks, {simulator.clock.now:%Y-%m-%d %H:%M} UTC. In another shell:",
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            "smappee-async parks",
            "# Ctrl-C stops it.",
        ]
        with open_sink(None) as sink:
            await sink.write_soon("\n".join(lines) + "\n")
        await asyncio.Event().wait()
