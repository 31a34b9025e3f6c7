"""How a command ends: signals, errors, exit codes, and output that is closed or stuck. Nothing else decides that.

:func:`run` runs a command to its exit code. :func:`run_async` runs its asynchronous part. Both end a command on SIGINT,
SIGTERM and SIGHUP in one way: files and child processes are cleaned up, and one line says that it was interrupted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from smappee_async.errors import AuthenticationError, CallFacts, ConfigurationError, SmappeeError

ResultT = TypeVar("ResultT")

PROGRAM: Final = "smappee-async"
ENDING_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_SIGNAL_BASE: Final = 128


class ExitCode(IntEnum):
    """What the shell is told.

    A signal ends the command with 128 plus its number, as in shells: 130 after Ctrl-C, 143 after SIGTERM. The code is
    141 if the reader of the output went away.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    """The command line or the configuration cannot work."""
    INCOMPLETE = 3
    """Some of the data could not be read. The rest was written, and stderr lists what is missing."""
    AUTHENTICATION = 4
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


HELP: Final = (
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 incomplete, 4 authentication, 130 interrupted, "
    "141 output closed by its reader."
)


class Failure(Exception):
    """A command cannot do its work; the text says why, in one line."""


# --- running a command ------------------------------------------------------------------------------------------------


def run(command: Callable[[], int]) -> int:
    """Run a command; print one line on stderr if it did not succeed.

    :returns: the exit code.
    """
    with ending_on_signals() as received:
        try:
            code = command()
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        except BrokenPipeError:
            code = ExitCode.OUTPUT_CLOSED  # as after '| head': no error, and nothing to say
        except Exception as error:  # noqa: BLE001 - a traceback does not help a person at a shell
            tell(explain(error))
            code = _exit_code(error)
        if code == ExitCode.INTERRUPTED:
            tell("interrupted")
            code = _SIGNAL_BASE + received[-1] if received else code
        _release_output(code)
    return code


def _exit_code(error: Exception) -> ExitCode:
    match error:
        case ConfigurationError() | EOFError():
            return ExitCode.USAGE
        case AuthenticationError():
            return ExitCode.AUTHENTICATION
        case _:
            return ExitCode.FAILED


def _release_output(code: int) -> None:
    """Make sure that Python neither prints an error nor waits when it exits."""
    try:
        for thread in threading.enumerate() if code >= _SIGNAL_BASE else ():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(timeout=0.5)
                if thread.is_alive():
                    # It writes to a pipe that nobody reads, and Python would wait for it without end.
                    os._exit(code)
        if sys.stdout:  # there is none if it was closed, as by >&-
            sys.stdout.flush()
    except KeyboardInterrupt:
        os._exit(code)  # a second signal, while output was stuck
    except (OSError, ValueError):
        # Python flushes once more when it exits, and would print the error.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- signals ----------------------------------------------------------------------------------------------------------

#: Cancels what :func:`run_async` runs now; returns whether it did. One for the process, as signal handlers are.
_cancel_running: Callable[[], bool] | None = None


@contextmanager
def ending_on_signals() -> Iterator[list[int]]:
    """Handle the ending signals inside the block; gives the list of those that were received.

    A handler raises :class:`KeyboardInterrupt`, but not while an event loop runs: there an exception from a handler can
    come up in any callback and get lost. The first signal cancels the main task instead; only the second one raises.
    """
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if _cancel_running is None or not _cancel_running():
            raise KeyboardInterrupt

    # A signal that is ignored stays ignored: SIGINT in the background of a script, SIGHUP under nohup.
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    is_main = threading.current_thread() is threading.main_thread()  # Python allows handlers in this thread only
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS if is_main}
    taken = {number: handler for number, handler in before.items() if handler in defaults}
    for number in taken:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def run_async(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """:func:`asyncio.run`, which an ending signal ends by cancelling ``main``.

    :raises KeyboardInterrupt: a signal ended it.
    """
    was_cancelled = False

    async def cancelled_by_signals() -> ResultT:
        global _cancel_running  # noqa: PLW0603 - signal handlers belong to the process too
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def cancel() -> bool:
            nonlocal was_cancelled
            if was_cancelled or task.done():
                return False
            was_cancelled = True
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # wakes the loop if it waits for I/O
            return True

        _cancel_running = cancel
        try:
            return await main
        finally:
            _cancel_running = None

    try:
        return asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        if not was_cancelled:
            raise
    raise KeyboardInterrupt


# --- what is printed --------------------------------------------------------------------------------------------------


def explain(error: BaseException) -> str:
    """An error in words for a person."""
    match error:
        case SmappeeError():
            attempts = error.facts.attempts
            return _with_facts(
                error,
                CallFacts(
                    service_location_id=error.facts.service_location_id,
                    serial_number=error.facts.serial_number,
                    time_range=error.facts.time_range,
                    attempts=attempts if attempts is not None and attempts > 1 else None,
                ),
            )
        case Failure():
            return str(error)
        case EOFError():
            return "no input was given"
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror or type(error).__name__}"
        case _:
            # A fault in this program. The text of the error may hold a secret, so only its type and place are shown.
            frames = traceback.extract_tb(error.__traceback__)
            place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            return f"unexpected {type(error).__name__}{place}; please report this"


def reason(error: SmappeeError) -> str:
    """What happened, without where it happened and without advice: for lists, which say where themselves."""
    return _with_facts(error, CallFacts(), advice="")


def _with_facts(error: SmappeeError, facts: CallFacts, *, advice: str | None = None) -> str:
    shown = copy(error)
    shown.facts = facts
    if advice is not None:
        shown.advice = advice
    return str(shown)


def tell(line: str) -> None:
    """Print a line on stderr that is not part of the output."""
    with suppress(OSError, ValueError):  # stderr may be closed
        print(f"{PROGRAM}: {one_line(line)}", file=sys.stderr, flush=True)


def tell_missing(problems: Sequence[str], *, listed: int = 20) -> ExitCode:
    """List what is missing from the output, at most ``listed`` lines, and give the exit code for it."""
    for problem in problems[:listed]:
        tell(f"missing: {problem}")
    if (hidden := len(problems) - listed) > 0:
        tell(f"missing: {hidden:,} more")
    return ExitCode.INCOMPLETE if problems else ExitCode.OK


def one_line(text: str) -> str:
    """Text from anywhere, safe on a terminal: one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)
