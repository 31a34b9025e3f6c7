"""What a client tells its host program while it works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import attrs

from smappee_async.errors import CallFacts

EventKind = Literal[
    "answered",
    "failed",
    "retrying",
    "paused",
    "range_cut",
    "token_renewed",
    "token_adopted",
    "token_not_saved",
    "unknown_status",
]

_log = logging.getLogger("smappee_async")
#: Only what a person may have to act on is more than a detail.
_WARNINGS = frozenset({"token_not_saved"})


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened. Holds no secret, so that it can be logged or counted as it is.

    :param kind: ``answered`` and ``failed`` end each attempt; ``retrying`` and ``paused`` say how long it waits now.
    :param facts: about which call, park and range.
    :param detail: one sentence.
    :param wait_s: seconds that are waited, where something waits.
    """

    kind: EventKind
    facts: CallFacts = attrs.field(factory=CallFacts)
    detail: str = ""
    wait_s: float | None = None


OnEvent = Callable[[Event], None]


def is_listening(on_event: OnEvent | None) -> bool:
    """Whether anybody would hear of an event that is only a detail."""
    return on_event is not None or _log.isEnabledFor(logging.DEBUG)


def tell(on_event: OnEvent | None, event: Event) -> None:
    """Log an event and hand it to the host; a fault in the host's hook is logged, and harms no call."""
    level = logging.WARNING if event.kind in _WARNINGS else logging.DEBUG
    if _log.isEnabledFor(level):
        _log.log(level, "%s: %s %s", event.kind, event.facts, event.detail)
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:  # noqa: BLE001 - whatever the host does wrong
        _log.exception("the on_event hook failed on %r", event.kind)
