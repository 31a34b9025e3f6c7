"""Runs one command from its arguments to its exit code; whatever happens in between ends in at most one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, cast

import typer

from smappee_async.cli.app import app
from smappee_async.cli.exits import PROGRAM, ExitCode, OutputClosed, exit_code, explain, tell
from smappee_async.cli.loop import ENDING_SIGNALS

# What every refusal of a command line derives from: click's UsageError, which typer has under its own roof since 0.26.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__bases__[0])
_SIGNAL_BASE: Final = 128


def run_command(arguments: Sequence[str] | None) -> int:
    """Run the command; returns its exit code."""
    with _ending_on_signals() as received:
        try:
            # Not "standalone", so that typer neither prints boxes for errors nor exits by itself.
            result = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
            code = result if isinstance(result, int) else ExitCode.OK
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        except _UsageError as error:
            code = _say(_usage(error), ExitCode.USAGE)
        except (typer.Abort, EOFError):
            code = _say("no response was given", ExitCode.USAGE)
        except OutputClosed as error:
            code = exit_code(error)
        except Exception as error:  # noqa: BLE001 - a traceback helps nobody at a shell
            code = _say(explain(error), exit_code(error))
        if code == ExitCode.INTERRUPTED:  # typer makes an exit code of a KeyboardInterrupt
            _say("interrupted", code)
            code = _SIGNAL_BASE + received[-1] if received else code
        _leave_quietly(code)
        return code


def _usage(error: Exception) -> str:
    message = error.format_message()  # type: ignore[attr-defined]  # of click's exceptions
    context = getattr(error, "ctx", None)
    return f"{message.rstrip('.')}. Try: {context.command_path if context else PROGRAM} --help"


def _say(line: str, code: int) -> int:
    tell(line)
    return code


@contextmanager
def _ending_on_signals() -> Iterator[list[int]]:
    """Let other requests to end take the way of Ctrl-C, so that files and child processes are cleared away."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # Python allows handlers in the main thread only
        return

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(signal.SIGINT, frame)

    # A signal that is ignored, as SIGHUP under nohup, stays ignored.
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield received
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _leave_quietly(code: int) -> None:
    """Make sure that nothing speaks up, or hangs, after the last line."""
    if code >= _SIGNAL_BASE:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(timeout=0.5)
                if thread.is_alive():
                    # It writes to a pipe that nobody empties; Python would wait for it for ever.
                    os._exit(code)
    try:
        if sys.stdout:  # there is none where it was closed, as by >&-
            sys.stdout.flush()
    except (OSError, ValueError):
        # Python flushes once more when it ends, and would complain: let that go nowhere.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
