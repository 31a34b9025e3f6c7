"""The simulator's own routes under ``/_admin``, for other processes: the truth, the clock, faults and tokens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, Required, TypedDict, get_args

import attrs
import msgspec

from .delivery import Response
from .faults import Fault, FaultKind, FaultPlan, PlannedFault
from .ledger import Ledger, RecordDigest
from .routing import RouteName
from .sessions import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from .clock import SimulatedClock
    from .oauth import TokenServer
    from .requestlog import Journal

_LATEST: Final = 1000
_SLICE: Final = 250


class _FaultJson(TypedDict, total=False):
    """The fields of ``Fault`` in JSON, except for ``body``, which is a text there."""

    kind: Required[FaultKind]
    route: RouteName | None
    service_location_id: int | None
    active: bool | None
    covers_ms: int | None
    wider_than_s: float | None
    skip: int
    probability: float
    times: int | None
    status: int | None
    retry_after: str | None
    location: str | None
    delay_s: float | None
    bytes_per_s: float | None
    headers: dict[str, str] | None
    size_bytes: int | None
    index: int


class _ClockJson(TypedDict, total=False):
    move_s: float
    move_to: str


@attrs.frozen(kw_only=True)
class AdminRoutes:
    """Serves the admin requests of one simulator.

    ====== =============================== ==========================================================================
    GET    ``/_admin/ledger``              ``park``, ``start`` and optionally ``end``, ``state``, ``at``, ``full=1``
    GET    ``/_admin/requests``            the latest requests, at most ``limit`` (1000)
    GET    ``/_admin/stats``               counters
    GET    ``/_admin/clock``               the simulated instant
    POST   ``/_admin/clock``               ``{"move_s": seconds}`` or ``{"move_to": instant}``
    GET    ``/_admin/faults``              the current faults, and how often each struck
    POST   ``/_admin/faults``              one fault or a list of faults, keys as in ``Fault``; ``body`` is text
    DELETE ``/_admin/faults``              remove all faults
    POST   ``/_admin/oauth/expire``        let every access token expire
    POST   ``/_admin/oauth/revoke``        revoke every access token; every token with ``{"everything": true}``
    ====== =============================== ==========================================================================
    """

    ledger: Ledger
    clock: SimulatedClock
    oauth: TokenServer
    faults: FaultPlan
    journal: Journal

    async def response(self, request: web.BaseRequest) -> Response:
        """The JSON response to one admin request. A request that cannot be read gets a 400 with the reason."""
        try:
            return await self._respond(request.method, request.path, request.query, await request.read())
        except LookupError as error:
            return Response.message(404, f"not found: {error}")
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            return Response.message(400, str(error))

    async def _respond(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Response:
        match method, path.removeprefix("/_admin/"):
            case "GET", "ledger":
                return Response.json(200, await self._ledger(query))
            case "GET", "requests":
                entries = self.journal.entries()[-int(query.get("limit", _LATEST)) :]
                return Response.json(200, [attrs.asdict(entry) for entry in entries])
            case "GET", "stats":
                return Response.json(200, self._stats())
            case "GET" | "POST" as verb, "clock":
                if verb == "POST":
                    self._move_clock(body)
                return Response.json(200, {"now_ms": self.clock.now_ms, "now": self.clock.now.isoformat()})
            case "GET", "faults":
                return Response.json(200, [_fault_json(planned) for planned in self.faults.planned])
            case "POST", "faults":
                for fault in _faults_from_json(body):
                    self.faults.add(fault)
                return Response.json(200, {"faults": len(self.faults.planned)})
            case "DELETE", "faults":
                self.faults.clear()
                return Response.json(200, {"faults": 0})
            case "POST", "oauth/expire":
                self.oauth.expire_access_tokens()
                return Response.json(200, {})
            case "POST", "oauth/revoke":
                everything = bool(body) and msgspec.json.decode(body, type=dict[str, bool]).get("everything", False)
                if everything:
                    self.oauth.revoke_everything()
                else:
                    self.oauth.revoke_access_tokens()
                return Response.json(200, {})
            case _:
                return Response.message(404, f"no admin route for {method} {path}")

    async def _ledger(self, query: Mapping[str, str]) -> dict[str, object]:
        at_ms = int(query["at"]) if "at" in query else self.clock.now_ms
        state = msgspec.convert(query.get("state", "completed"), State)
        end_ms = int(query["end"]) if "end" in query else None
        digest, count, records = RecordDigest(), 0, []
        for session in self.ledger.sessions(int(query["park"]), int(query["start"]), end_ms, state, at_ms):
            wire = self.ledger.wire(session, at_ms)
            digest.add(wire)
            count += 1
            if query.get("full") == "1":
                records.append(wire)
            if count % _SLICE == 0:
                await asyncio.sleep(0)  # the client that is judged may share this event loop
        truth: dict[str, object] = {"at_ms": at_ms, "count": count, "digest": digest.text}
        return truth | ({"sessions": records} if query.get("full") == "1" else {})

    def _stats(self) -> dict[str, object]:
        oauth = self.oauth
        return {
            "now_ms": self.clock.now_ms,
            "hits": self.journal.hits(),
            "hits_by_route": {route: self.journal.hits(route) for route in get_args(RouteName)},
            "password_grants": oauth.password_grants,
            "refresh_grants": oauth.refresh_grants,
            "refusals": oauth.refusals,
            "reuse_detections": oauth.reuse_detections,
            "issued": oauth.issued,
        }

    def _move_clock(self, body: bytes) -> None:
        change = msgspec.json.decode(body, type=_ClockJson)
        if "move_s" in change:
            self.clock.move(change["move_s"])
        if "move_to" in change:
            self.clock.move_to(change["move_to"])


def _faults_from_json(body: bytes) -> list[Fault]:
    decoded = json.loads(body)
    return [_fault_from_json(item) for item in (decoded if isinstance(decoded, list) else [decoded])]


def _fault_from_json(item: object) -> Fault:
    given = msgspec.convert(item, dict[str, object])
    unknown = given.keys() - _FaultJson.__annotations__.keys() - {"body"}
    if unknown or "kind" not in given:
        raise ValueError(f"unknown keys: {sorted(unknown)}" if unknown else "a fault needs a kind")
    body = msgspec.convert(given.pop("body", None), str | None)
    fault = Fault(**msgspec.convert(given, _FaultJson))
    return fault if body is None else attrs.evolve(fault, body=body.encode())


def _fault_json(planned: PlannedFault) -> dict[str, object]:
    shown: dict[str, object] = {"concerned": planned.concerned, "struck": planned.struck}
    for field in attrs.fields(Fault):
        value = getattr(planned.fault, field.name)
        if value != field.default:
            shown[field.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return shown
