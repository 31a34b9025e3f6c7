"""``smappee-async simulate``: serve a simulated Smappee service until Ctrl-C, and print lines for a shell."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

import attrs
import typer

from smappee_async.cli.ending import ExitCode, run_async
from smappee_async.cli.sinks import open_sink
from smappee_async.errors import ConfigurationError
from smappee_async.simulator import Simulator
from smappee_async.simulator.options import OPTION_FIELDS, SimulateOptions

_METAVARS: Final[Mapping[object, str]] = {int: "N", float: "SECONDS", str: "HOST", str | None: "INSTANT"}


def _parameter(field: attrs.Attribute[Any]) -> Parameter:
    """An option for typer; the simulator defines its name, type, default and help."""
    option = typer.Option(
        f"--{field.name.replace('_', '-')}",
        help=field.metadata["help"],
        metavar=_METAVARS.get(field.type),
        show_default=field.metadata.get("default", field.type is not bool),
    )
    return Parameter(
        field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[field.type, option]
    )


def simulate(**options: Any) -> Callable[[], ExitCode]:
    """Serve a simulated Smappee service with invented parks on this machine, until Ctrl-C.

    Prints its address and an invented account, as lines for a shell.

    Examples:
      smappee-async simulate
      smappee-async simulate --port 8080 --world small --now 2026-11-01T00:00Z
    """
    return partial(_simulate, options)


# Typer reads this in place of the parameters of the function.
simulate.__signature__ = Signature([_parameter(field) for field in OPTION_FIELDS])  # type: ignore[attr-defined]


def _simulate(options: Mapping[str, Any]) -> ExitCode:
    try:
        simulator = SimulateOptions(**options).simulator()
    except ValueError as error:
        raise ConfigurationError(error.args[0]) from None
    with suppress(KeyboardInterrupt):  # the normal end
        run_async(_serve(simulator))
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
            f"# A simulated Smappee service at {simulator.base_url}",
            f"# {len(simulator.world.parks)} parks, {simulator.clock.now:%Y-%m-%d %H:%M} UTC. In another shell:",
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            "smappee-async parks",
            "# Ctrl-C stops it.",
        ]
        with open_sink(None) as sink:
            await sink.write_soon("\n".join(lines) + "\n")
        await asyncio.Event().wait()
