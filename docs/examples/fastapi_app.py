"""Charging sessions in a FastAPI backend: one client for the app, streamed responses.

::

    export SMAPPEE_CLIENT_ID=... SMAPPEE_CLIENT_SECRET=...
    export SMAPPEE_USERNAME=... SMAPPEE_PASSWORD=...
    uvicorn fastapi_app:app
    curl -N 'http://127.0.0.1:8000/parks/12345/sessions?month=2026-03'
    curl 'http://127.0.0.1:8000/energy?park=12345&park=67890&month=2026-03'

To try it without an account, run ``smappee-async simulate`` and set the variables that it
prints.
"""

import json
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
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
    SessionStream,
    SmappeeClient,
    SmappeeError,
    TimeRange,
    TokenStoreError,
    defaults,
)
from starlette.types import Send

# --- one client for the life of the app --------------------------


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    base_url = os.environ.get("SMAPPEE_BASE_URL", defaults.BASE_URL)
    async with SmappeeClient(Credentials.from_env(), base_url=base_url) as smappee:
        yield {"smappee": smappee}


app = FastAPI(title="Charging sessions", lifespan=lifespan)


async def _smappee(request: Request) -> SmappeeClient:
    client: SmappeeClient = request.state.smappee
    return client


Smappee = Annotated[SmappeeClient, Depends(_smappee)]

# --- a stream ----------------------------------------------------


@app.get("/parks/{park}/sessions")
async def park_sessions(
    smappee: Smappee, park: int, month: str, tz: str = "Europe/Brussels"
) -> StreamingResponse:
    """The sessions of one park as JSON lines."""
    return JsonLines(smappee.sessions(park, TimeRange.parse(month, tz=tz)))


class JsonLines(StreamingResponse):
    """Sessions, one on each line, as they arrive.

    The status is sent with the first of them, so that an early error is not a 200. A later
    error cuts the connection, so the caller sees that the body is incomplete.
    """

    media_type = "application/x-ndjson"

    def __init__(self, stream: SessionStream) -> None:
        super().__init__(())
        self.stream = stream

    async def stream_response(self, send: Send) -> None:
        # Starlette cancels this when the caller disconnects; the block then leaves no task
        # and no request. A generator would be closed later, when it is garbage-collected.
        started = False
        async with self.stream:
            async for batch in self.stream.batches():
                if not started:
                    await send(
                        {
                            "type": "http.response.start",
                            "status": self.status_code,
                            "headers": self.raw_headers,
                        }
                    )
                    started = True
                lines = b"".join(map(json_line, batch.sessions))
                await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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


@app.get("/energy")
async def energy(
    smappee: Smappee,
    park: Annotated[list[int], Query(min_length=1, max_length=200)],
    month: str,
    tz: str = "Europe/Brussels",
    within_s: Annotated[float, Query(gt=0, le=60)] = 20,
) -> dict[str, Any]:
    """Energy of each park.

    A park that was not read completely and in time is listed with the reason instead.
    """
    stream = smappee.sessions(
        park,
        TimeRange.parse(month, tz=tz),
        on_error="collect",
        deadline=timedelta(seconds=within_s),
    )
    total_kwh: dict[int | None, Decimal] = dict.fromkeys(park, Decimal(0))
    async with stream:
        async for batch in stream.batches():
            total_kwh[batch.service_location_id] += sum(
                session.energy_kwh or 0 for session in batch.sessions
            )
    failures = {
        failure.service_location_id: str(failure.error) for failure in stream.failures
    }
    return {
        "energy_kwh": {
            park: str(kwh) for park, kwh in total_kwh.items() if park not in failures
        },
        "failures": failures,
    }


# --- what goes wrong ---------------------------------------------


@app.exception_handler(SmappeeError)
async def explain(_: Request, error: SmappeeError) -> JSONResponse:
    """The status says who has to act.

    No error of the package holds a secret, so its text may be sent.
    """
    match error:
        case ConfigurationError():
            return JSONResponse({"detail": str(error)}, 422)
        case NotFound() | PermissionDenied():
            return JSONResponse({"detail": str(error)}, 404)
        case RateLimited(retry_after_s=seconds):
            wait = {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}
            return JSONResponse(
                {"detail": "Smappee asks for a pause; try again later"}, 503, wait
            )
        case AuthenticationError() | TokenStoreError() | ClientClosed():
            detail = "this server cannot log in to Smappee; its operator has to act"
            return JSONResponse({"detail": detail}, 503)
        case DeadlineExceeded():
            return JSONResponse({"detail": str(error)}, 504)
        case _:
            return JSONResponse({"detail": str(error)}, 502)
