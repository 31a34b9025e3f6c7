"""Looks for secrets wherever an exception, a log record, a warning or a repr may have left them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

TESTS = str(Path(__file__).parent)


def everything_about(error: BaseException | None) -> Iterator[str]:
    """Every text that a traceback, a logger or a crash reporter could print of an exception and of what led to it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield from (str(found), repr(found), repr(found.args), repr(vars(found)))
        yield from getattr(found, "__notes__", ())
        yield "".join(traceback.format_exception(found))
        yield from _locals(found.__traceback__)
        waiting += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


def _locals(step: TracebackType | None) -> Iterator[str]:
    while step is not None:
        frame: FrameType = step.tb_frame
        # The tests themselves know the secrets; everybody else must not show them.
        if not frame.f_code.co_filename.startswith(TESTS):
            for name, value in frame.f_locals.items():
                yield f"{frame.f_code.co_qualname}: {name} = {_repr(value)}"
        step = step.tb_next


def _repr(value: object) -> str:
    try:
        return repr(value)
    except AttributeError:  # half made, as in the middle of copying
        return f"a {type(value).__name__} without a repr"


def shown(secrets: Iterable[str], texts: Iterable[str]) -> list[tuple[str, str]]:
    """Which of the secrets show in which of the texts."""
    wanted = [secret for secret in secrets if secret]
    return [(secret, text) for text in texts for secret in wanted if secret in text]
