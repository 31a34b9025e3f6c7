"""A page of the sessions that run now, which updates by itself: one watch, many browsers.

::

    export SMAPPEE_CLIENT_ID=... SMAPPEE_CLIENT_SECRET=...
    export SMAPPEE_USERNAME=... SMAPPEE_PASSWORD=...
    uvicorn live_page:app --timeout-graceful-shutdown 5

Then open http://127.0.0.1:8000/. To try it without an account, run
``smappee-async simulate`` and set the variables that it prints.

The app watches all parks of the account. The copy is in memory: after a restart the watch
reads what runs, and each page begins anew with that. Run one process, because each one
watches for itself.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from smappee_async import ChargingSession, Credentials, SmappeeClient, defaults
from smappee_async.sync import (
    Corrected,
    Ended,
    Returned,
    SessionEvent,
    SessionWatch,
    Started,
    Updated,
    Vanished,
    watch,
)
from starlette.types import Send

PAGE = Path(__file__).with_suffix(".html")
#: Who missed more events than these gets all running sessions instead.
KEPT_EVENTS = 1_000
#: A comment so often, because proxies cut a connection on which nothing comes.
KEEP_ALIVE_S = 15.0
RETRY_MS = 2_000

# --- what the listeners are sent ---------------------------------


class Feed:
    """The running sessions, and the last events, each encoded once for all listeners.

    A listener has no queue. It reads the events of this feed at its own speed. One that is
    so slow that its next event is gone gets the running sessions again, so that its page
    is right: it misses steps, and never the outcome. The memory is the same for any number
    of listeners.
    """

    def __init__(self) -> None:
        # Numbers begin anew with each process, so an id names the process too.
        self.run = secrets.token_hex(4)
        self.number = 0
        self.closed = False
        self.listeners = 0
        self._running: dict[tuple[int | str, int], ChargingSession] = {}
        self._events: deque[bytes] = deque(maxlen=KEPT_EVENTS)
        self._snapshot: bytes | None = None
        self._news = asyncio.Event()

    def publish(self, event: SessionEvent) -> None:
        """Hand an event to all listeners."""
        session = event.session
        runs = still_runs(event)
        if runs:
            self._running[session.key] = session
        else:
            self._running.pop(session.key, None)
        self.number += 1
        self._snapshot = None
        message = {"kind": event.kind, "runs": runs, "session": shown(session)}
        self._events.append(self._message(message))
        self._wake()

    def close(self) -> None:
        """End all listeners."""
        self.closed = True
        self._wake()

    async def messages(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """What one listener is sent: first what it needs to be right, then what happens."""
        seen = self._position(last_event_id)
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not self.closed:
            news = self._news  # taken before reading, so that nothing comes in between
            missed = None if seen is None else self.number - seen
            seen = self.number
            if missed is None or missed > len(self._events):
                yield self._all_running()
            elif missed:
                yield b"".join(self._events[-back] for back in range(missed, 0, -1))
            else:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await news.wait()
                except TimeoutError:
                    yield b": keep-alive\n\n"

    def _position(self, last_event_id: str | None) -> int | None:
        """How far a listener has come; ``None`` if this process cannot know."""
        run, _, number = (last_event_id or "").partition("-")
        if run != self.run or not number.isdecimal() or int(number) > self.number:
            return None
        return int(number)

    def _all_running(self) -> bytes:
        if self._snapshot is None:
            sessions = [shown(session) for session in self._running.values()]
            self._snapshot = self._message({"kind": "all", "sessions": sessions})
        return self._snapshot

    def _message(self, message: dict[str, Any]) -> bytes:
        return f"id: {self.run}-{self.number}\ndata: {json.dumps(message)}\n\n".encode()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def still_runs(event: SessionEvent) -> bool:
    match event:
        case Started() | Updated():
            return True
        case Corrected(after=session) | Returned(after=session):
            return session.ended_at is None
        case Ended() | Vanished():
            return False


def shown(session: ChargingSession) -> dict[str, Any]:
    """What browsers are sent of a session: nothing that names a person."""
    return {
        "park": session.service_location_id,
        "id": session.id,
        "station": session.serial_number,
        "connector": session.connector,
        "status": session.status,
        "started_at": session.started_at.isoformat(),
        "energy_kwh": None if session.energy_kwh is None else str(session.energy_kwh),
    }


class EventStream(StreamingResponse):
    """The messages of a feed, as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, last_event_id: str | None) -> None:
        # X-Accel-Buffering: nginx passes on each event as it comes.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__((), headers=headers)
        self.feed = feed
        self.last_event_id = last_event_id

    async def stream_response(self, send: Send) -> None:
        # Starlette cancels this when the browser goes. The generator is closed here, not
        # later when it is garbage-collected.
        self.feed.listeners += 1
        try:
            async with contextlib.aclosing(
                self.feed.messages(self.last_event_id)
            ) as messages:
                self.body_iterator = messages
                await super().stream_response(send)
        finally:
            self.feed.listeners -= 1


# --- one watch for the life of the app ---------------------------


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    base_url = os.environ.get("SMAPPEE_BASE_URL", defaults.BASE_URL)
    every = timedelta(seconds=float(os.environ.get("LIVE_PAGE_EVERY_S", "60")))
    feed = Feed()
    async with SmappeeClient(Credentials.from_env(), base_url=base_url) as smappee:
        parks = await smappee.service_locations()
        numbers = [park.id for park in parks]
        # Without a card's number from the start: what the process has not, it cannot show.
        watching = watch(smappee, numbers, every=every, idle_every=5 * every, rfid="drop")
        async with watching as events:
            reading = asyncio.create_task(read(events, feed))
            try:
                with closing_at_exit(feed):
                    yield {"feed": feed, "events": events, "reading": reading}
            finally:
                feed.close()
                reading.cancel()
                # Raises what ended the watch, so that the end of the app shows it.
                with contextlib.suppress(asyncio.CancelledError):
                    await reading


async def read(events: SessionWatch, feed: Feed) -> None:
    """Hand the events of the watch to the feed. Whatever ends the watch ends the app."""
    try:
        async for event in events:
            feed.publish(event)
    except Exception:
        # A page that no longer updates must not look as if nothing happened.
        feed.close()
        signal.raise_signal(signal.SIGTERM)
        raise


@contextlib.contextmanager
def closing_at_exit(feed: Feed) -> Iterator[None]:
    """End the listeners as soon as the server is told to exit.

    The server waits for open responses before it ends the lifespan, and these never end by
    themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread; a test client has another one
        return
    loop = asyncio.get_running_loop()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def exit_now(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(feed.close)
        handle = before[signal.Signals(number)]
        if callable(handle):
            handle(number, frame)

    for each in before:
        signal.signal(each, exit_now)
    try:
        yield
    finally:
        for each, handle in before.items():
            signal.signal(each, handle)


app = FastAPI(title="Live page", lifespan=lifespan)


@app.get("/")
async def page() -> FileResponse:
    """The page. It loads nothing from elsewhere."""
    policy = "default-src 'none'; connect-src 'self'; img-src data:; "
    policy += "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    return FileResponse(PAGE, headers={"Content-Security-Policy": policy})


@app.get("/events")
async def stream(
    request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> EventStream:
    """Server-sent events: the running sessions first, then what happens to them."""
    return EventStream(request.state.feed, last_event_id)


@app.get("/health")
async def health(request: Request) -> JSONResponse:
    """Whether the watch runs, and the parks that could not be read when visited last."""
    runs = not request.state.reading.done()
    failures = {park: str(each) for park, each in request.state.events.failures.items()}
    status = {
        "watch_runs": runs,
        "failures": failures,
        "listeners": request.state.feed.listeners,
    }
    return JSONResponse(status, 200 if runs else 503)
