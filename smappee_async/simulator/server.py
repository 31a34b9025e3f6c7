"""The simulated service on a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final, Self

import attrs
from aiohttp import web

from .admin import AdminRoutes
from .alterations import alter_records, encode_altered, move_starts, moved_ms, settling_ms
from .assumptions import Assumptions
from .clock import SimulatedClock
from .delivery import Response, deliver, deliver_early, hang_up, is_early, replacement, respond
from .faults import Fault, FaultPlan, Hit
from .ledger import Ledger
from .oauth import Account, TokenServer
from .requestlog import Journal, RequestLog
from .responses import SessionResponses
from .routing import (
    DATA_ROUTES,
    SESSION_ROUTES,
    BadQueryError,
    MissingRangeError,
    Route,
    RouteName,
    SessionQuery,
    find_route,
    parse_active,
    parse_range,
    with_code,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from .parks import Park
    from .world import World

#: The hosts that only this machine can reach.
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PREFIX: Final = "/dev/v3"
_ADMIN_PREFIX: Final = "/_admin/"
_DEFAULT_NOW: Final = "2026-11-01T00:00:00Z"
_CACHE_BYTES: Final = 256 * 1024 * 1024
_LOG_LIMIT: Final = 100_000
# Enough for a burst of a thousand connections; aiohttp's 128 would refuse some of them.
_BACKLOG: Final = 2048
_SHUTDOWN_S: Final = 1.0
# Required by RFC 6749 section 5.1, and shown in the documentation.
_TOKEN_HEADERS: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Simulator:
    """A simulated Smappee service: ``async with Simulator(world) as sim``, and a client of ``sim.base_url``.

    Its behaviour depends only on its arguments, the clock and the requests, so that two runs are alike. Access tokens
    expire by the time of the event loop, sessions begin and end by the simulated ``clock``.

    :param world: the parks and their sessions.
    :param assumptions: what the service does where it is not documented.
    :param clock: the simulated instant; by default it stands still at 2026-11-01T00:00:00Z.
    :param faults: the faults from the start; see :meth:`add_fault`.
    :param account: the credentials that log in.
    :param host: must be on this machine, unless ``allow_remote`` is set.
    :param port: 0 lets the system choose.
    :param latency_s: the least duration of each data call, in seconds.
    :param log_limit: how many requests :attr:`requests` holds at most.
    :param cache_bytes: the most memory for encoded responses.
    :param allow_remote: let other machines connect.
    """

    def __init__(
        self,
        world: World,
        *,
        assumptions: Assumptions | None = None,
        clock: SimulatedClock | None = None,
        faults: Iterable[Fault] = (),
        account: Account | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_s: float = 0.0,
        log_limit: int = _LOG_LIMIT,
        cache_bytes: int = _CACHE_BYTES,
        allow_remote: bool = False,
    ) -> None:
        if host not in _LOOPBACK and not allow_remote:
            raise ValueError(
                f"host {host!r} would let other machines connect; use one of {', '.join(sorted(_LOOPBACK))}, "
                "or pass allow_remote=True if this is intended"
            )
        self.world = world
        self.assumptions = assumptions or Assumptions()
        self.clock = clock or SimulatedClock.at(_DEFAULT_NOW)
        self.account = account or Account()
        self.oauth = TokenServer(self.account, self.assumptions, seed=world.seed)
        self.ledger = Ledger(world, self.clock, self.assumptions)
        self.latency_s = latency_s
        self.open_connections = 0
        """How many data calls are being served now."""
        self.peak_concurrency = 0
        """The most data calls that were served at once since the start or the last :meth:`reset_log`."""
        self._faults = FaultPlan(faults, seed=world.seed)
        self._journal = Journal(log_limit)
        self._served_at: deque[float] = deque(maxlen=self.assumptions.requests_per_second or 0)
        self._responses = SessionResponses(world, self.assumptions, cache_bytes=cache_bytes)
        self._admin = AdminRoutes(
            ledger=self.ledger, clock=self.clock, oauth=self.oauth, faults=self._faults, journal=self._journal
        )
        self._host, self._port = host, port
        self._origin: str | None = None
        self._runner: web.ServerRunner | None = None
        self._serving: set[asyncio.Task[object]] = set()
        self._loop_time: Callable[[], float] = float

    # Start and close

    async def start(self) -> None:
        """Begin to serve. A simulator can be started once."""
        if self._runner is not None:
            raise RuntimeError("this simulator has been started before")
        loop = asyncio.get_running_loop()
        self._loop_time = loop.time
        # With cancellation a stalled response ends as soon as its client has disconnected.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None, lingering_time=0.0)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self._origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.clock.start(loop.time)

    async def close(self) -> None:
        """Stop serving at once: cancel stalled responses and close connections. Closing twice is no error."""
        self.clock.stop()
        for task in self._serving:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port, for the admin routes and for unsupported versions of the API."""
        if self._origin is None:
            raise RuntimeError("the simulator has no address before it is started")
        return self._origin

    @property
    def base_url(self) -> str:
        """The base URL for clients, in place of ``https://app1pub.smappee.net/dev/v3``."""
        return self.origin + _PREFIX

    # Inspection and control while it runs

    @property
    def requests(self) -> list[RequestLog]:
        """The latest requests, oldest first, at most ``log_limit``; without those to the admin routes."""
        return self._journal.entries()

    def hits(self, route: RouteName | None = None) -> int:
        """How many requests have arrived, of one route or of all."""
        return self._journal.hits(route)

    def reset_log(self) -> None:
        """Clear the request log, the counts and the peak of concurrency."""
        self._journal.reset()
        self.peak_concurrency = self.open_connections

    def add_fault(self, fault: Fault) -> None:
        """Add a fault; it strikes from now on."""
        self._faults.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    # Serving

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(_ADMIN_PREFIX):
            return respond(await self._admin.response(request), RequestLog(0, 0.0, request.method, path, "other"))
        route = find_route(path)
        log = self._journal.open(self._loop_time(), request.method, path, route.name)
        log.serial_number = route.serial_number
        log.service_location_id = self._park_of(route)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        is_data = route.name in DATA_ROUTES
        if is_data:
            self.open_connections += 1
            self.peak_concurrency = max(self.peak_concurrency, self.open_connections)
        try:
            if is_data and self.latency_s:
                await asyncio.sleep(self.latency_s)
            return await self._serve(request, route, log)
        except ConnectionError:
            return hang_up(request)  # the client has disconnected, which is no error here
        finally:
            self._serving.discard(task)
            if is_data:
                self.open_connections -= 1

    def _is_too_fast(self) -> bool:
        """Whether the last second had as many data calls as are served; otherwise this one is counted."""
        now = self._loop_time()
        served = self._served_at
        if len(served) == served.maxlen and now - served[0] < 1:
            return True
        served.append(now)
        return False

    async def _serve(self, request: web.BaseRequest, route: Route, log: RequestLog) -> web.StreamResponse:
        if self.assumptions.requests_per_second and route.name in DATA_ROUTES and self._is_too_fast():
            return respond(Response.json(429, {"message": "Too many requests"}, {"Retry-After": "1"}), log)
        refusal = _read_query(request.query, log) if route.name in SESSION_ROUTES else None
        if not self._faults.planned:
            return respond(await self._respond(request, log, refusal, ()), log)

        struck = self._faults.strike(Hit(route.name, log.service_location_id, log.active, log.start_ms, log.end_ms))
        log.fault = "+".join(fault.kind for fault in struck) or None
        content = [fault for fault in struck if fault.alters_content]
        decisive = next((fault for fault in struck if not fault.alters_content), None)
        if decisive is None:
            return respond(await self._respond(request, log, refusal, content), log)
        if decisive.kind == "token_revoked":
            self.oauth.revoke_access_tokens()
        instead = replacement(decisive, request.path)
        if instead is not None:
            return respond(instead, log)
        if is_early(decisive):
            early = await deliver_early(request, decisive, log)
            if early is not None:
                return early
        response = await self._respond(request, log, refusal, content)
        headers = {**response.headers, **(decisive.headers or {})}
        return await deliver(request, attrs.evolve(response, headers=headers), decisive, log)

    async def _respond(
        self, request: web.BaseRequest, log: RequestLog, refusal: BadQueryError | None, content: Sequence[Fault]
    ) -> Response:
        """The right response, apart from faults in its content, with the date of the simulated clock."""
        response = await self._undated(request, log, refusal, content)
        date = format_datetime(self.clock.shown, usegmt=True) if self.assumptions.sends_date else ""
        return attrs.evolve(response, headers={"Date": date, **response.headers})

    async def _undated(
        self, request: web.BaseRequest, log: RequestLog, refusal: BadQueryError | None, content: Sequence[Fault]
    ) -> Response:
        match log.route:
            case "token":
                return await self._token(request)
            case "authorize":
                return self._authorize(request)
            case "unsupported":
                return Response.message(404, "Charging sessions are not supported in this version of the API")
            case "other":
                return Response.message(404, "No such call")
            case _:
                pass
        if request.method != "GET":
            return Response.message(405, "Method not allowed")
        scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.oauth.accepts(access_token, self._loop_time()):
            return Response.message(401, "Unauthorized")
        if log.route == "servicelocations":
            return self._service_locations(find_route(request.path).version)
        park = self.world.parks.get(-1 if log.service_location_id is None else log.service_location_id)
        if park is None or not park.appeared(self.clock.now_ms):
            return Response.message(self.assumptions.unknown_park_status, "Service location not found or not yours")
        if log.route == "info":
            return self._info(park)
        if isinstance(refusal, MissingRangeError):
            return Response.message(self.assumptions.missing_range_status, str(refusal))
        if refusal is not None or log.start_ms is None:
            return Response.message(400, str(refusal))
        query = SessionQuery(park.service_location_id, log.serial_number, log.start_ms, log.end_ms, log.active)
        return await self._sessions(query, content)

    async def _token(self, request: web.BaseRequest) -> Response:
        """Pages 8552463 *Get token* and 8552461 *Refresh token*: credentials in a form body, a JSON response."""
        if request.method != "POST":
            return Response.message(405, "Method not allowed")
        form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        granted = self.oauth.grant(form, self._loop_time())
        return Response.json(granted.status, granted.body, _TOKEN_HEADERS)

    def _authorize(self, request: web.BaseRequest) -> Response:
        """The login page, whose user has agreed: it sends the browser back with a code."""
        if request.method != "GET":
            return Response.message(405, "Method not allowed")
        query = request.query
        code = self.oauth.authorize(query, self._loop_time())
        back = None if code is None else with_code(query.get("redirect_uri", ""), code, query.get("state"))
        if back is None:
            return Response.message(400, "Invalid authorization request")
        return Response(302, b"", {"Location": back})

    def _service_locations(self, version: int) -> Response:
        """*Get Servicelocations*. Its page is not public; the form is what four public clients read [C].

        Version 1 has fewer keys, as the tests of an early client show [C]. What version 2 has is not known.
        """
        now_ms = self.clock.now_ms
        parks = [park for park in self.world.parks.values() if park.appeared(now_ms)]
        if version == 1:
            named = [{"serviceLocationId": park.service_location_id, "name": park.name} for park in parks]
            return Response.json(200, {"appName": self.account.client_id, "serviceLocations": named})
        locations = [
            {
                "serviceLocationId": park.service_location_id,
                "serviceLocationUuid": self.world.uuid(park.service_location_id),
                "name": park.name,
                "deviceSerialNumber": self.world.gateway_serial_number(park.service_location_id),
            }
            for park in parks
        ]
        return Response.json(200, {"appName": self.account.client_id, "serviceLocations": locations})

    def _info(self, park: Park) -> Response:
        """Page 526614552 *Get Servicelocation Info*."""
        return Response.json(
            200,
            {
                "serviceLocationId": park.service_location_id,
                "serviceLocationUuid": self.world.uuid(park.service_location_id),
                "name": park.name,
                "timezone": park.timezone,
                "lon": 0.0,
                "lat": 0.0,
                "electricityCost": 0.31,
                "electricityCurrency": "EUR",
                "appliances": [],
                "actuators": [],
                "sensors": [],
            },
        )

    async def _sessions(self, query: SessionQuery, content: Sequence[Fault]) -> Response:
        """Pages 2803007489 and 2802286597: charging sessions of a park, or of one station of it."""
        now_ms = self.clock.now_ms
        if content:
            wider = attrs.evolve(query, start_ms=max(0, query.start_ms - moved_ms(content)))
            records = await self._responses.records(wider, now_ms, settling_ms=settling_ms(content))
            records = move_starts(records, query.start_ms)
            for fault in content:
                records = alter_records(records, fault)
            body, count = encode_altered(records, content), len(records)
        else:
            body, count = self._responses.ready(query, now_ms) or await self._responses.body(query, now_ms)
            if not count and self.assumptions.empty_response != "array":
                return Response(204 if self.assumptions.empty_response == "no_content" else 200, b"")
        return Response(200, body, sessions=count)

    def _park_of(self, route: Route) -> int | None:
        if route.serial_number is None:
            return route.service_location_id
        station = self.world.stations.get(route.serial_number)
        return None if station is None else station.service_location_id


def _read_query(query: Mapping[str, str], log: RequestLog) -> BadQueryError | None:
    """Log the parameters; returns the refusal of a bad query, which is sent only after other checks."""
    try:
        log.start_ms, log.end_ms = parse_range(query)
        log.active = parse_active(query)
    except BadQueryError as error:
        return error
    return None
