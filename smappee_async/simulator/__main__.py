"""``python -m smappee_async.simulator``: a simulator in a process of its own, until SIGINT or SIGTERM.

For programs: the first line on stdout is JSON with the address and the account. For people there is
``smappee-async simulate``, which has the same options and prints lines for a shell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs

from .options import OPTION_FIELDS, SimulateOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .server import Simulator


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argument_parser()
    with suppress(KeyboardInterrupt):
        try:
            simulator = SimulateOptions(**vars(parser.parse_args(argv))).simulator()
        except ValueError as error:
            parser.error(error.args[0])
        asyncio.run(_serve(simulator))


def argument_parser() -> argparse.ArgumentParser:
    """The options, made of the fields of :class:`SimulateOptions`."""
    parser = argparse.ArgumentParser(
        prog="python -m smappee_async.simulator",
        description="Serve a simulated Smappee service until SIGINT or SIGTERM. The first line of output is JSON.",
    )
    for field in OPTION_FIELDS:
        parser.add_argument(f"--{field.name.replace('_', '-')}", **_argument(field))
    return parser


def _argument(field: attrs.Attribute[Any]) -> dict[str, Any]:
    """The settings of an option for argparse."""
    if field.type is bool:
        return {"action": "store_true", "help": field.metadata["help"]}
    shown = field.metadata.get("default", field.default)
    settings = {"default": field.default, "help": f"{field.metadata['help']} Default: {shown}"}
    if get_origin(field.type) is Literal:
        return {"choices": get_args(field.type), **settings}
    return {"type": field.type if field.type in (int, float) else str, **settings}


async def _serve(simulator: Simulator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows; there SIGINT is a KeyboardInterrupt
            loop.add_signal_handler(signum, stop.set)
    async with simulator:
        greeting = {
            "base_url": simulator.base_url,
            "admin_url": f"{simulator.origin}/_admin",
            "account": {
                name: getattr(simulator.account, name)
                for name in ("client_id", "client_secret", "username", "password")
            },
            "parks": list(simulator.world.parks),
        }
        sys.stdout.write(f"{json.dumps(greeting)}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
