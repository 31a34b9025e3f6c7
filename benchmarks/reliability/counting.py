"""Which events of the client the programs count."""

from __future__ import annotations

from typing import Final

from smappee_async.events import ClientEvent

# "answered", "failed" and "token_renewed" go away with the last module that emits them.
_ATTEMPTS: Final[frozenset[str]] = frozenset({"attempt_ended", "answered", "failed"})
_RENEWALS: Final[frozenset[str]] = frozenset({"token_renewal_ended", "token_renewed"})


def is_attempt(event: ClientEvent) -> bool:
    """Whether an attempt at a call has ended; a cancelled one does not count, because it may not have arrived."""
    return event.kind in _ATTEMPTS and event.outcome != "cancelled"


def is_renewal(event: ClientEvent) -> bool:
    """Whether there is a new token."""
    return event.kind in _RENEWALS and event.outcome in {None, "ok"}
