"""``python -m smappee_async.simulator``: a simulator in a process of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .assumptions import Assumptions
from .clock import SimulatedClock
from .parks import Park
from .server import Simulator
from .world import World

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; the first line printed is JSON with the address and the account."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m smappee_async.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback host (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose (default)")
    parser.add_argument("--world", choices=["demo", "small"], default="demo", help="small is one park of each kind")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same world (default: 1)")
    parser.add_argument("--parks", type=int, default=24, help="parks of the demo world (default: 24)")
    parser.add_argument(
        "--sessions-per-year",
        type=int,
        default=200_000,
        help="at least so many in the demo world (default: 200000)",
    )
    parser.add_argument("--now", default="2026-11-01T00:00:00Z", help="simulated instant (default: %(default)s)")
    parser.add_argument("--running", action="store_true", help="let the simulated clock run")
    parser.add_argument("--latency-s", type=float, default=0.0, help="least time of a data call, in seconds")
    parser.add_argument(
        "--assumptions",
        choices=["default", "documented", "seen"],
        default="default",
        help="reading of the service",
    )
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows; there SIGINT is a KeyboardInterrupt
            loop.add_signal_handler(signum, stop.set)
    simulator = Simulator(
        _world(options.world, options.seed, options.parks, options.sessions_per_year),
        assumptions=_assumptions(options.assumptions),
        clock=SimulatedClock.at(options.now, running=options.running),
        host=options.host,
        port=options.port,
        latency_s=options.latency_s,
    )
    async with simulator:
        account = simulator.account
        sys.stdout.write(
            json.dumps(
                {
                    "base_url": simulator.base_url,
                    "admin_url": f"{simulator.origin}/_admin",
                    "account": {
                        "client_id": account.client_id,
                        "client_secret": account.client_secret,
                        "username": account.username,
                        "password": account.password,
                    },
                    "parks": list(simulator.world.parks),
                }
            )
            + "\n"
        )
        sys.stdout.flush()
        await stop.wait()


def _world(name: str, seed: int, parks: int, sessions_per_year: int) -> World:
    if name == "small":
        return World.of([Park.home(1001), Park.office(1002, timezone="Europe/London"), Park.hub(1003)], seed=seed)
    return World.demo(seed=seed, parks=parks, sessions_per_year=sessions_per_year)


def _assumptions(name: str) -> Assumptions:
    match name:
        case "documented":
            return Assumptions.documented()
        case "seen":
            return Assumptions.seen_in_clients()
        case _:
            return Assumptions()


if __name__ == "__main__":
    main()
