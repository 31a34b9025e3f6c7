"""Charging sessions in an aiohttp.web backend.

The backend has an HTTP session and shares its connections with the client.

::

    export SMAPPEE_CLIENT_ID=... SMAPPEE_CLIENT_SECRET=...
    export SMAPPEE_USERNAME=... SMAPPEE_PASSWORD=...
    python aiohttp_app.py
    curl -N 'http://127.0.0.1:8080/parks/12345/sessions?month=2026-03'
    curl 'http://127.0.0.1:8080/energy?park=12345&park=67890&month=2026-03'

To try it without an account, run ``smappee-async simulate`` and set the variables that it
prints.
"""

import json
import math
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from smappee_async import (
    AuthenticationError,
    ChargingSession,
    ClientClosed,
    ConfigurationError,
    Credentials,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    SmappeeClient,
    SmappeeError,
    TimeRange,
    TokenStoreError,
    defaults,
)

HTTP = web.AppKey("http", aiohttp.ClientSession)
SMAPPEE = web.AppKey("smappee", SmappeeClient)

# --- opened and closed with the app ------------------------------


async def open_http(app: web.Application) -> AsyncIterator[None]:
    """The app's own session, with settings of its own."""
    async with aiohttp.ClientSession(headers={"User-Agent": "our-backend/1.0"}) as app[
        HTTP
    ]:
        yield


async def open_smappee(app: web.Application) -> AsyncIterator[None]:
    """The client uses the connections of that session. It never closes or changes it."""
    base_url = os.environ.get("SMAPPEE_BASE_URL", defaults.BASE_URL)
    async with SmappeeClient(
        Credentials.from_env(), base_url=base_url, http_session=app[HTTP]
    ) as app[SMAPPEE]:
        yield


# --- a stream ----------------------------------------------------

routes = web.RouteTableDef()


@routes.get(r"/parks/{park:\d{1,18}}/sessions")
async def park_sessions(request: web.Request) -> web.StreamResponse:
    """The sessions of one park as JSON lines, as they arrive."""
    stream = request.app[SMAPPEE].sessions(
        int(request.match_info["park"]), requested_range(request)
    )
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    async with stream:  # if the caller disconnects, no task and no request is left
        try:
            async for batch in stream.batches():
                if not response.prepared:  # only now, so that an early error is not a 200
                    await response.prepare(request)
                await response.write(b"".join(map(json_line, batch.sessions)))
        except SmappeeError as error:
            if not response.prepared:
                raise
            # Too late for another status. aiohttp closes the connection, so the caller
            # sees that the body is incomplete.
            raise RuntimeError("the response ends before it is complete") from error
    await response.write_eof()
    return response


def requested_range(request: web.Request) -> TimeRange:
    """The time range that a request asks for."""
    return TimeRange.parse(
        request.query.get("month", ""), tz=request.query.get("tz", "Europe/Brussels")
    )


def json_line(session: ChargingSession) -> bytes:
    """What this backend sends of a session: no RFID, because it identifies a person."""
    fields = {
        "park": session.service_location_id,
        "id": session.id,
        "status": session.status,
        "started_at": session.started_at.isoformat(),
        "ended_at": None if session.ended_at is None else session.ended_at.isoformat(),
        "energy_kwh": None if session.energy_kwh is None else str(session.energy_kwh),
    }
    return json.dumps(fields).encode() + b"\n"


# --- many parks at once ------------------------------------------


@routes.get("/energy")
async def energy(request: web.Request) -> web.Response:
    """Energy of each park.

    A park that was not read completely and in time is listed with the reason instead.
    """
    try:
        parks = [int(park) for park in request.query.getall("park", [])]
        within = timedelta(seconds=min(float(request.query.get("within_s", "20")), 60))
    except ValueError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from None
    stream = request.app[SMAPPEE].sessions(
        parks, requested_range(request), on_error="collect", deadline=within
    )
    total_kwh: dict[int | None, Decimal] = dict.fromkeys(parks, Decimal(0))
    async with stream:
        async for batch in stream.batches():
            total_kwh[batch.service_location_id] += sum(
                session.energy_kwh or 0 for session in batch.sessions
            )
    failures = {
        failure.service_location_id: str(failure.error) for failure in stream.failures
    }
    totals = {park: str(kwh) for park, kwh in total_kwh.items() if park not in failures}
    return web.json_response({"energy_kwh": totals, "failures": failures})


# --- what goes wrong ---------------------------------------------


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The status says who has to act.

    No error of the package holds a secret, so its text may be sent.
    """
    try:
        return await handler(request)
    except ConfigurationError as error:
        return web.json_response({"detail": str(error)}, status=422)
    except (NotFound, PermissionDenied) as error:
        return web.json_response({"detail": str(error)}, status=404)
    except RateLimited as error:
        wait = (
            {}
            if error.retry_after_s is None
            else {"Retry-After": str(math.ceil(error.retry_after_s))}
        )
        return web.json_response(
            {"detail": "Smappee asks for a pause; try again later"},
            status=503,
            headers=wait,
        )
    except (AuthenticationError, TokenStoreError, ClientClosed):
        detail = "this server cannot log in to Smappee; its operator has to act"
        return web.json_response({"detail": detail}, status=503)
    except DeadlineExceeded as error:
        return web.json_response({"detail": str(error)}, status=504)
    except SmappeeError as error:
        return web.json_response({"detail": str(error)}, status=502)


# --- the app -----------------------------------------------------


def make_app() -> web.Application:
    app = web.Application(middlewares=[explain])
    app.add_routes(routes)
    app.cleanup_ctx.extend([open_http, open_smappee])
    return app


if __name__ == "__main__":
    # With handler_cancellation, aiohttp notices a caller that disconnects while Smappee
    # has not answered yet.
    web.run_app(make_app(), host="127.0.0.1", handler_cancellation=True)
