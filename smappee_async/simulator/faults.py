"""Faults as values, and the plan that decides which requests each of them strikes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import attrs

from .mixing import mix_all
from .routing import ROUTE_NAMES, SESSION_ROUTES, RouteName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FaultKind: TypeAlias = Literal[
    # Another response in place of the right one.
    "status",
    "maintenance",
    "empty_200",
    "null_200",
    "object_200",
    "unauthorized",
    "token_revoked",
    "redirect",
    "raw",
    "token_odd",
    # The right response, damaged or late on its way.
    "truncated_json",
    "truncated_body",
    "wrong_content_length",
    "chunked_cut",
    "drip",
    "stall_before_headers",
    "stall_after_headers",
    "reset_before_headers",
    "reset_mid_body",
    "close_before_headers",
    "token_lost",
    "set_cookie",
    "huge_headers",
    # A response that is far too large.
    "gzip_bomb",
    "endless_body",
    # The right form with wrong content.
    "bad_json_record",
    "odd_record",
    "nan",
    "zero_end",
    "duplicate_records",
    "same_id",
    "moved_start",
    "late_finalisation",
    "status_backwards",
    "unknown_status",
    "unknown_fields",
]
FAULT_KINDS: Final[frozenset[str]] = frozenset(get_args(FaultKind))

CONTENT_FAULTS: Final[frozenset[FaultKind]] = frozenset(
    {
        "bad_json_record",
        "odd_record",
        "nan",
        "zero_end",
        "duplicate_records",
        "same_id",
        "moved_start",
        "late_finalisation",
        "status_backwards",
        "unknown_status",
        "unknown_fields",
    }
)
"""Kinds that alter the records of a response with sessions; several may strike the same request."""

_TOKEN_FAULTS: Final[frozenset[FaultKind]] = frozenset({"token_odd", "token_lost"})
_NOT_TOKEN_FAULTS: Final[frozenset[FaultKind]] = frozenset({"unauthorized", "token_revoked"})


@attrs.frozen
class Fault:
    """One kind of fault, and the requests that it strikes.

    All conditions that are given must hold: the route, the park, the value of ``active``, a range that contains
    ``covers_ms``, a range longer than ``wider_than_s``. Of the requests that meet them the first ``skip`` are spared;
    then each is struck with ``probability``, at most ``times`` in all. Without a ``route``, faults in the content
    strike session calls only, ``token_odd`` and ``token_lost`` the token call only, and 401s all other calls.
    """

    kind: FaultKind = attrs.field(validator=attrs.validators.in_(FAULT_KINDS))
    route: RouteName | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(attrs.validators.in_(ROUTE_NAMES))
    )
    service_location_id: int | None = attrs.field(default=None, kw_only=True)
    active: bool | None = attrs.field(default=None, kw_only=True)
    covers_ms: int | None = attrs.field(default=None, kw_only=True)
    wider_than_s: float | None = attrs.field(default=None, kw_only=True)
    skip: int = attrs.field(default=0, kw_only=True, validator=attrs.validators.ge(0))
    probability: float = attrs.field(
        default=1.0, kw_only=True, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)]
    )
    """From 0 to 1. It is drawn from a seed, so that a fault strikes the same of its requests in every run."""
    times: int | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(attrs.validators.ge(0))
    )
    status: int | None = attrs.field(default=None, kw_only=True)
    """Status to send, for the kinds that leave a choice."""
    retry_after: str | None = attrs.field(default=None, kw_only=True)
    """A ``Retry-After`` header, sent as it is."""
    location: str | None = attrs.field(default=None, kw_only=True)
    """Target of a redirect; by default the same path on a host that does not exist."""
    delay_s: float | None = attrs.field(default=None, kw_only=True)
    """Duration of a stall, in seconds (``None``: without end); for ``late_finalisation``, how long after its end a
    session settles (``None``: 5 minutes); for ``moved_start``, how much later a corrected start may be (``None``: 10
    minutes)."""
    bytes_per_s: float | None = attrs.field(default=None, kw_only=True)
    """Speed of a ``drip``; 1000 by default."""
    body: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    """A body that is sent as it is; or what an ``odd_record`` has as a value (by default half a surrogate pair)."""
    headers: Mapping[str, str] | None = attrs.field(default=None, kw_only=True)
    """Further headers of the response."""
    size_bytes: int | None = attrs.field(default=None, kw_only=True)
    """Size of a ``gzip_bomb`` when it is expanded (256 MiB by default), or of ``huge_headers`` (64 KiB)."""
    index: int = attrs.field(default=0, kw_only=True, validator=attrs.validators.ge(0))
    """Which record ``bad_json_record`` or ``odd_record`` makes invalid, counted from 0; the last one if there are
    fewer."""

    @property
    def alters_content(self) -> bool:
        """Whether it changes the records, and not how they are sent."""
        return self.kind in CONTENT_FAULTS

    def concerns(self, hit: Hit) -> bool:
        """Whether a request meets all conditions."""
        if self.kind in CONTENT_FAULTS and hit.route not in SESSION_ROUTES:
            return False
        if self.route is None:
            if self.kind in _TOKEN_FAULTS and hit.route != "token":
                return False
            if self.kind in _NOT_TOKEN_FAULTS and hit.route == "token":
                return False
        elif self.route != hit.route:
            return False
        return (
            (self.service_location_id is None or self.service_location_id == hit.service_location_id)
            and (self.active is None or self.active is hit.active)
            and (self.covers_ms is None or hit.covers(self.covers_ms))
            and (self.wider_than_s is None or hit.wider_than(self.wider_than_s))
        )


@attrs.frozen
class Hit:
    """A request, as far as a plan needs to know it."""

    route: RouteName
    service_location_id: int | None = None
    active: bool | None = None
    start_ms: int | None = None
    end_ms: int | None = None

    def covers(self, at_ms: int) -> bool:
        """Whether an instant is in the range of the request."""
        return self.start_ms is not None and self.start_ms <= at_ms and (self.end_ms is None or at_ms < self.end_ms)

    def wider_than(self, width_s: float) -> bool:
        """Whether the range of the request is longer; an open range always is."""
        return self.start_ms is not None and (self.end_ms is None or self.end_ms - self.start_ms > width_s * 1000)


@attrs.define
class PlannedFault:
    """A fault, how many requests it concerned, and how many it struck."""

    fault: Fault
    concerned: int = 0
    struck: int = 0


class FaultPlan:
    """The faults of a run, in the order they were added."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self.planned: list[PlannedFault] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Add a fault; it counts the requests from now on."""
        self.planned.append(PlannedFault(fault))

    def clear(self) -> None:
        """Remove all faults."""
        self.planned.clear()

    def strike(self, hit: Hit) -> tuple[Fault, ...]:
        """The faults that strike a request: all that alter the content, but only the first of the others."""
        struck: list[Fault] = []
        decided = False
        for number, planned in enumerate(self.planned):
            fault = planned.fault
            # A fault that cannot strike this request does not count it.
            if (decided and not fault.alters_content) or planned.struck == fault.times or not fault.concerns(hit):
                continue
            planned.concerned += 1
            if planned.concerned <= fault.skip or self._is_spared(number, planned):
                continue
            planned.struck += 1
            decided = decided or not fault.alters_content
            struck.append(fault)
        return tuple(struck)

    def _is_spared(self, number: int, planned: PlannedFault) -> bool:
        probability = planned.fault.probability
        return probability < 1 and mix_all(self._seed, number, planned.concerned) >= probability * 2**64
