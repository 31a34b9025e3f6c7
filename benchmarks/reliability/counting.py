"""Which events of the client the programs count."""

from __future__ import annotations

from smappee_async.events import ClientEvent


def is_attempt(event: ClientEvent) -> bool:
    """Whether an attempt at a call has ended; a cancelled one does not count, because it may not have arrived."""
    return event.kind == "attempt_ended" and event.outcome != "cancelled"


def is_renewal(event: ClientEvent) -> bool:
    """Whether there is a new token from the service, and not one that another process had stored."""
    return event.kind == "token_renewal_ended" and event.outcome == "ok" and event.detail.startswith("by ")
