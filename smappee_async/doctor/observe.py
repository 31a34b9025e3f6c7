"""The calls of an examination, and what they brought. All are read-only; one renews the access token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

import attrs
import msgspec

from smappee_async.client import SmappeeClient
from smappee_async.errors import RequestError
from smappee_async.models import JsonValue, ServiceLocation
from smappee_async.protocol.dates import ServerClock
from smappee_async.protocol.requests import Request, park_sessions
from smappee_async.protocol.responses import Response, read_sessions
from smappee_async.query.session_query import Park
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import CallCost

Record = dict[str, JsonValue]

_MOST_PARKS: Final = 3
#: A service location that is hardly ever one's own.
_FOREIGN_PARK: Final = 1
#: Long before the first charging station of Smappee.
_BEFORE_ALL: Final = TimeRange.from_ms(0, 86_400_000)


@attrs.frozen
class Reply:
    """What one request for sessions brought.

    :param status: the HTTP status; ``None`` without a response.
    :param records: the sessions; ``None`` if they could not be read.
    :param has_body: whether the response had a body.
    :param problem: why there are no records, in one sentence without personal data.
    """

    status: int | None
    records: tuple[Record, ...] | None
    has_body: bool = True
    problem: str = ""


@attrs.define
class ParkReplies:
    """What the requests about one park brought. ``None`` where a request was not made."""

    completed: Reply
    active: Reply
    unspecified: Reply
    from_start: Reply | None = None
    """A range that begins at the start of a session: it is expected in it."""
    until_start: Reply | None = None
    """A range that ends at the start of the same session: it is expected outside."""
    start_ms: int | None = None
    encoded_comma: Reply | None = None
    halves: tuple[Reply, Reply] | None = None


@attrs.define
class Observations:
    """Everything that an examination saw.

    :ivar date_ms: the ``Date`` of a response, milliseconds since 1970; ``None`` if there was none.
    :ivar is_rotated: whether a renewal brought another refresh token; ``None`` if that was not seen.
    """

    parks: list[ParkReplies] = attrs.field(factory=list)
    empty: Reply | None = None
    foreign: Reply | None = None
    without_range: Reply | None = None
    date_ms: int | None = None
    is_rotated: bool | None = None
    requests: int = 0


async def observe(client: SmappeeClient, parks: Iterable[Park] | None, period: timedelta) -> Observations:
    """Ask the service."""
    locations = await client.service_locations()
    chosen = [park.id if isinstance(park, ServiceLocation) else park for park in parks or locations]
    observer = _Observer(client)
    seen = observer.seen
    seen.empty = await observer.ask(chosen[0], _BEFORE_ALL) if chosen else None
    for park in chosen:
        if len(seen.parks) == _MOST_PARKS:
            break
        if (replies := await observer.ask_park(park, TimeRange.last(hours=period / timedelta(hours=1)))) is not None:
            seen.parks.append(replies)
    seen.foreign = await observer.ask(_FOREIGN_PARK, _BEFORE_ALL)
    if chosen:
        request = observer.request(chosen[0], _BEFORE_ALL)
        seen.without_range = await observer.send(msgspec.structs.replace(request, url=request.url.partition("?")[0]))
    seen.is_rotated = await client.renews_refresh_token()
    seen.requests = observer.cost.requests + 1 + (seen.is_rotated is not None)
    return seen


class _Observer:
    def __init__(self, client: SmappeeClient) -> None:
        self.seen = Observations()
        self.cost = CallCost()
        self._client = client
        self._clock = ServerClock()

    def request(self, park: int, time_range: TimeRange, *, active: bool = False) -> Request:
        return park_sessions(self._client.base_url, park, time_range, active=active)

    async def ask(self, park: int, time_range: TimeRange, *, active: bool = False) -> Reply:
        return await self.send(self.request(park, time_range, active=active))

    async def ask_park(self, park: int, time_range: TimeRange) -> ParkReplies | None:
        """All requests about one park; ``None`` if it has no sessions that can be read."""
        completed = await self.ask(park, time_range)
        active = await self.ask(park, time_range, active=True)
        if not (completed.records or active.records):
            return None
        request = self.request(park, time_range)
        unspecified = await self.send(msgspec.structs.replace(request, url=request.url.replace("active=false&", "")))
        replies = ParkReplies(completed, active, unspecified)
        starts = sorted(start for each in completed.records or () if isinstance(start := each.get("from"), int))
        if starts:
            await self._ask_edges(park, replies, starts[len(starts) // 2])
            middle_ms = starts[len(starts) // 2]
            if time_range.start_ms < middle_ms:
                first = await self.ask(park, TimeRange.from_ms(time_range.start_ms, middle_ms))
                replies.halves = first, await self.ask(park, TimeRange.from_ms(middle_ms))
        return replies

    async def _ask_edges(self, park: int, replies: ParkReplies, start_ms: int) -> None:
        replies.start_ms = start_ms
        replies.from_start = await self.ask(park, TimeRange.from_ms(start_ms, start_ms + 1))
        replies.until_start = await self.ask(park, TimeRange.from_ms(start_ms - 1000, start_ms))
        request = self.request(park, TimeRange.from_ms(start_ms, start_ms + 1))
        replies.encoded_comma = await self.send(msgspec.structs.replace(request, url=request.url.replace(",", "%2C")))

    async def send(self, request: Request) -> Reply:
        had_body = True

        def read(response: Response) -> list[msgspec.Raw]:
            nonlocal had_body
            had_body = len(response.body) > 0
            return read_sessions(response)

        try:
            result = await self._client.call(request, read, self.cost)
        except RequestError as error:
            return Reply(error.facts.status, None, had_body, error.reason)
        date_ms = self._clock.read_ms(result.headers)
        self.seen.date_ms = date_ms if date_ms is not None else self.seen.date_ms
        return Reply(result.status, tuple(_decoded(result.value)), had_body)


def _decoded(raws: Iterable[msgspec.Raw]) -> Iterable[Record]:
    for raw in raws:
        try:
            record = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        yield dict(record) if isinstance(record, Mapping) else {}
