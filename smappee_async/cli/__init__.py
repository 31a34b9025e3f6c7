"""The command ``smappee-async``.

Typer and rich come with the extra ``cli``; nothing else in the package imports them, or this package.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit; see :class:`smappee_async.cli.ending.ExitCode`."""
    try:
        from smappee_async.cli.ending import ExitCode, run  # noqa: PLC0415 - so that the imports can be interrupted
    except KeyboardInterrupt:
        print("smappee-async: interrupted", file=sys.stderr)
        sys.exit(130)

    def command() -> int:
        try:
            from smappee_async.cli.app import run_app  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("typer", "rich"):
                raise
            print("smappee-async needs: pip install 'smappee-async[cli]'", file=sys.stderr)
            return ExitCode.USAGE
        return run_app(arguments)

    sys.exit(run(command))
