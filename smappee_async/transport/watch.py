"""One timer for all attempts: it ends those that take too long, and those whose server is silent.

Two timers for each attempt would cost more than all that is decided about it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Watch:
    """Ends attempts that are overdue. Its timer is set for the one that is due first, and not at all for none.

    :param longest_s: how many seconds an attempt may take.
    :param silence_s: how many seconds the server may be silent, once the request was sent.
    """

    def __init__(self, longest_s: float, silence_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._longest_s = longest_s
        self._silence_s = silence_s
        #: No attempt is due earlier after its begin, so the timer need not be set anew for one that begins.
        self._soonest_s = min(longest_s, silence_s)
        self._attempts: set[Attempt] = set()
        self._timer: asyncio.TimerHandle | None = None

    def attempt(self) -> Attempt:
        """A context manager around one attempt, which takes its time from now on."""
        return Attempt(self, self._clock, self._clock() + self._longest_s)

    def add(self, attempt: Attempt) -> None:
        """Watch an attempt that begins."""
        self._attempts.add(attempt)
        if self._timer is None:
            self._timer = self._loop.call_at(self._clock() + self._soonest_s, self._look)

    def remove(self, attempt: Attempt) -> None:
        """Watch an attempt no longer. The timer stays: to set it for each attempt would cost more than to look."""
        self._attempts.discard(attempt)

    def _look(self) -> None:
        now_s = self._clock()
        next_s = math.inf
        for attempt in tuple(self._attempts):
            silent_at = self._silence_s + (now_s if attempt.heard_at is None else attempt.heard_at)
            if attempt.ends_at <= now_s or silent_at <= now_s:
                self._attempts.discard(attempt)
                attempt.end(took_too_long=attempt.ends_at <= now_s)
            else:
                next_s = min(next_s, attempt.ends_at, silent_at)
        self._timer = self._loop.call_at(next_s, self._look) if self._attempts else None

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Attempt:
    """One attempt. Its block raises ``TimeoutError`` if it was ended, and a cancellation of its task as it came.

    :ivar ends_at: loop time at which it took too long.
    :ivar heard_at: loop time since which the server is silent; ``None`` before the request is sent.
    :ivar took_too_long: whether it was ended because it took too long, and not because the server was silent.
    """

    __slots__ = ("_cancelling", "_clock", "_is_ended", "_task", "_watch", "ends_at", "heard_at", "took_too_long")

    def __init__(self, watch: Watch, clock: Callable[[], float], ends_at: float) -> None:
        self._watch = watch
        self._clock = clock
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_ended = False
        self.ends_at = ends_at
        self.heard_at: float | None = None
        self.took_too_long = False

    def hear(self) -> None:
        """The request was sent, or a part of its response came."""
        self.heard_at = self._clock()

    def end(self, *, took_too_long: bool) -> None:
        """Cancel what the attempt is waiting for."""
        if self._task is not None:
            self.took_too_long = took_too_long
            self._is_ended = True
            self._task.cancel()

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        self._watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watch.remove(self)
        task, self._task = self._task, None
        # As asyncio's own time-outs do: if others have cancelled the task too, it stays cancelled.
        if (
            self._is_ended
            and task is not None
            and task.uncancel() <= self._cancelling
            and isinstance(error, asyncio.CancelledError)
        ):
            raise TimeoutError from error
