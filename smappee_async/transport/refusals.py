"""Parks that the service refuses with 401, although it accepts the token of the account for other calls."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from smappee_async.defaults import REFUSED_TARGET_S
from smappee_async.errors import CallFacts, PermissionDenied
from smappee_async.protocol.requests import Request

_Target = tuple[int | None, str | None]
_MOST_TARGETS: Final = 1_000


class Refusals:
    """Remembers for a while which parks and stations were refused, so that they do not cause renewals of the token.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[_Target, float] = {}

    def holds(self, request: Request) -> bool:
        """Whether the park or station of a request was refused lately."""
        return self._until.get(_target(request), 0.0) > self._clock()

    def add(self, request: Request) -> None:
        """Remember a refusal. The oldest are forgotten when there are very many."""
        self._until.pop(_target(request), None)
        self._until[_target(request)] = self._clock() + REFUSED_TARGET_S
        if len(self._until) > _MOST_TARGETS:
            del self._until[next(iter(self._until))]


def _target(request: Request) -> _Target:
    return request.service_location_id, request.serial_number


def refused_although_accepted() -> PermissionDenied:
    """The error for one park or station that is refused."""
    return PermissionDenied(
        "Smappee answered 401, although it accepts the access token for other calls",
        facts=CallFacts(status=HTTPStatus.UNAUTHORIZED.value),
    )
