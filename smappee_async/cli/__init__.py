"""The command ``smappee-async``: the one floor that talks to people.

Typer and rich come with the extra ``cli``; nothing else in the package imports them, or this room.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code; see :class:`smappee_async.cli.exits.ExitCode`."""
    # Before the imports, for they take long enough for a person to press Ctrl-C.
    try:
        if any(find_spec(name) is None for name in ("typer", "rich")):
            print("smappee-async needs: pip install 'smappee-async[cli]'", file=sys.stderr)
            sys.exit(2)
        from smappee_async.cli.running import run_command  # noqa: PLC0415 - needs what was checked

        code = run_command(arguments)
    except KeyboardInterrupt:
        print("smappee-async: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
