"""What a client tells its host program while it works: telemetry without secrets.

Everything that takes time is an *operation* and comes as a pair of events with one id: it began, and it ended, how and
after how long. Operations are nested: an attempt belongs to a chunk, a chunk to a stream. What only happens at one
moment comes as a single event.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

import attrs

from smappee_async.errors import CallFacts, SmappeeError

Operation = Literal["stream", "chunk", "attempt", "wait", "token_renewal"]
EventKind = Literal[
    "stream_started",
    "stream_ended",
    "chunk_started",
    "chunk_ended",
    "attempt_started",
    "attempt_ended",
    "wait_started",
    "wait_ended",
    "token_renewal_started",
    "token_renewal_ended",
    "chunk_split",
    "id_conflict",
    "token_adopted",
    "token_not_saved",
    "unknown_status",
]
Outcome = Literal["ok", "failed", "cancelled"]

_log: Final = logging.getLogger("smappee_async")
#: A person may have to act on these; all others are logged at level DEBUG.
_WARNINGS: Final = frozenset({"token_not_saved"})
_STARTED: Final[dict[Operation, EventKind]] = {
    "stream": "stream_started",
    "chunk": "chunk_started",
    "attempt": "attempt_started",
    "wait": "wait_started",
    "token_renewal": "token_renewal_started",
}
_ENDED: Final[dict[Operation, EventKind]] = {
    "stream": "stream_ended",
    "chunk": "chunk_ended",
    "attempt": "attempt_ended",
    "wait": "wait_ended",
    "token_renewal": "token_renewal_ended",
}
# Ids are unique in a process, so that a host may mix the events of several clients.
_next_id: Final = itertools.count(1).__next__


@attrs.frozen(kw_only=True)
class ClientEvent:
    """Something that happened in a client. Holds no secret, so it can be logged or counted as it is.

    :param kind: what happened; ``…_started`` and ``…_ended`` are the two events of one operation.
    :param id: the operation; the same in both of its events. ``None`` for an event that is no operation.
    :param parent_id: the operation that this one, or this event, is part of.
    :param facts: about which call, park and range it is.
    :param outcome: how an operation ended; ``None`` in all other events.
    :param duration_s: how many seconds an operation took; ``None`` in all other events.
    :param wait_s: how many seconds a wait is planned to take; ``None`` in all other events.
    :param sessions: how many sessions a stream handed over, or how many records a chunk has; set when it ends.
    :param error_type: the class of the error that an operation failed with.
    :param detail: one sentence.
    """

    kind: EventKind
    id: int | None = None
    parent_id: int | None = None
    facts: CallFacts = attrs.field(factory=CallFacts)
    outcome: Outcome | None = None
    duration_s: float | None = None
    wait_s: float | None = None
    sessions: int | None = None
    error_type: str | None = None
    detail: str = ""


OnEvent = Callable[[ClientEvent], None]


class EventReporter:
    """Tells the host's hook and the log what happens. One for each client.

    :param on_event: the host's hook, called in the task that the event is about; must not block.
    :param clock: seconds, monotonic; for durations.
    """

    def __init__(self, on_event: OnEvent | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.on_event = on_event
        self.clock = clock

    @property
    def is_listening(self) -> bool:
        """Whether the hook or the log takes events that need no action."""
        return self.on_event is not None or _log.isEnabledFor(logging.DEBUG)

    def tell(self, event: ClientEvent) -> None:
        """Log an event and hand it to the host. A fault of the host's hook is logged, and harms no call."""
        level = logging.WARNING if event.kind in _WARNINGS else logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(level, "%s: %s %s", event.kind, event.facts, event.detail)
        if self.on_event is None:
            return
        try:
            self.on_event(event)
        except Exception:  # noqa: BLE001 - whatever the host does wrong
            _log.exception("the on_event hook failed on %r", event.kind)

    def operation(
        self,
        operation: Operation,
        facts: CallFacts | None = None,
        *,
        parent_id: int | None = None,
        detail: str = "",
        wait_s: float | None = None,
    ) -> RunningOperation:
        """A context manager around an operation. Costs next to nothing if there is no listener."""
        if not self.is_listening:
            return _UNHEARD
        return _ReportedOperation(self, operation, facts or CallFacts(), parent_id, detail, wait_s)


class RunningOperation:
    """An operation between its two events. This class itself tells no one anything.

    :ivar id: what its events carry; ``None`` if there is no listener.
    """

    __slots__ = ()
    id: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def fail(self, error: Exception) -> None:
        """The operation fails with an error, although no exception leaves its block."""

    def note(
        self,
        *,
        status: int | None = None,
        attempts: int | None = None,
        sessions: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Add what is known only later to the event of the end."""


_UNHEARD: Final = RunningOperation()


class _ReportedOperation(RunningOperation):
    __slots__ = (
        "_detail",
        "_error_type",
        "_facts",
        "_operation",
        "_outcome",
        "_parent_id",
        "_reporter",
        "_sessions",
        "_started_at",
        "_wait_s",
        "id",
    )

    def __init__(
        self,
        reporter: EventReporter,
        operation: Operation,
        facts: CallFacts,
        parent_id: int | None,
        detail: str,
        wait_s: float | None,
    ) -> None:
        self.id: int | None = _next_id()
        self._reporter = reporter
        self._operation: Operation = operation
        self._facts = facts
        self._parent_id = parent_id
        self._detail = detail
        self._wait_s = wait_s
        self._outcome: Outcome = "ok"
        self._sessions: int | None = None
        self._error_type: str | None = None
        self._started_at = 0.0

    def __enter__(self) -> Self:
        self._started_at = self._reporter.clock()
        self._tell(_STARTED[self._operation])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        elif error is not None:  # a cancellation, a generator that is closed early, or the end of the process
            self._outcome = "cancelled"
        self._tell(_ENDED[self._operation], self._outcome, self._reporter.clock() - self._started_at)

    def fail(self, error: Exception) -> None:
        self._outcome, self._error_type, self._detail = "failed", type(error).__name__, describe(error)

    def note(
        self,
        *,
        status: int | None = None,
        attempts: int | None = None,
        sessions: int | None = None,
        detail: str | None = None,
    ) -> None:
        if status is not None or attempts is not None:
            self._facts = attrs.evolve(self._facts, status=status, attempts=attempts)
        if sessions is not None:
            self._sessions = sessions
        if detail is not None:
            self._detail = detail

    def _tell(self, kind: EventKind, outcome: Outcome | None = None, duration_s: float | None = None) -> None:
        self._reporter.tell(
            ClientEvent(
                kind=kind,
                id=self.id,
                parent_id=self._parent_id,
                facts=self._facts,
                outcome=outcome,
                duration_s=duration_s,
                wait_s=self._wait_s,
                sessions=self._sessions,
                error_type=self._error_type,
                detail=self._detail,
            )
        )


def describe(error: BaseException) -> str:
    """Text about any exception that is safe to log: only this package's own are known to hold no secret."""
    return error.reason if isinstance(error, SmappeeError) else type(error).__name__
