"""How a command ends: exit codes, and the one line that says why."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from enum import IntEnum
from pathlib import Path

from smappee_async.errors import AuthenticationError, CallFacts, ConfigurationError, SmappeeError

PROGRAM = "smappee-async"


class ExitCode(IntEnum):
    """What the shell is told.

    A signal ends the command with 128 and its number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM, and 141
    when whoever read the output went away.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    """The command line or the configuration cannot work."""
    INCOMPLETE = 3
    """With ``--on-error collect``: all that could be read was, and what is missing stands on stderr."""
    AUTHENTICATION = 4
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


HELP = (
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 incomplete, 4 authentication, 130 interrupted, "
    "141 output closed by its reader."
)


class OutputClosed(Exception):
    """Whoever read the output has gone, as ``| head`` does. Not an OSError, which typer would take for itself."""


class Failure(Exception):
    """A command cannot do its work; the text says why, in one line."""


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an error."""
    match error:
        case ConfigurationError():
            return ExitCode.USAGE
        case AuthenticationError():
            return ExitCode.AUTHENTICATION
        case OutputClosed():
            return ExitCode.OUTPUT_CLOSED
        case _:
            return ExitCode.FAILED


def explain(error: BaseException) -> str:
    """An error in words for a person."""
    match error:
        case SmappeeError():
            return _for_people(error)
        case Failure():
            return str(error)
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror or type(error).__name__}"
        case _:
            # A fault of ours. Its text might hold anything, a secret too, so only its kind and its place are shown.
            frames = traceback.extract_tb(error.__traceback__)
            place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            return f"unexpected {type(error).__name__}{place}; please report this"


def _for_people(error: SmappeeError) -> str:
    """The error's own text without what only programmers ask for."""
    shown = copy(error)
    attempts = error.facts.attempts
    shown.facts = CallFacts(
        service_location_id=error.facts.service_location_id,
        serial_number=error.facts.serial_number,
        time_range=error.facts.time_range,
        attempts=attempts if attempts is not None and attempts > 1 else None,
    )
    return str(shown)


def reason(error: SmappeeError) -> str:
    """What happened, for a list that says itself where it happened, and for which advice would be too much."""
    shown = copy(error)
    shown.facts, shown.advice = CallFacts(), ""
    return str(shown)


def tell(line: str) -> None:
    """Say something on stderr that is no part of the output."""
    with suppress(OSError, ValueError):  # stderr may be closed
        print(f"{PROGRAM}: {one_line(line)}", file=sys.stderr, flush=True)


def tell_missing(problems: Sequence[str], *, listed: int = 20) -> None:
    """List what is missing from the output: a service that is down for a while makes thousands of one sort."""
    for problem in problems[:listed]:
        tell(f"missing: {problem}")
    if (hidden := len(problems) - listed) > 0:
        tell(f"missing: {hidden:,} more")


def one_line(text: str) -> str:
    """Text from anywhere, safe on a terminal: one line, and no control characters that would act on it."""
    return "".join(char if char.isprintable() else " " for char in text)
