"""What users write to read sessions. Nobody runs this: mypy and pyright read it, and must agree on each type."""

# pyright: strict

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import assert_type

from smappee_async import (
    ApiError,
    CallFacts,
    ChargingSession,
    ChunkFailure,
    Credentials,
    DeadlineExceeded,
    InvalidRecord,
    NotFound,
    RateLimited,
    Seen,
    ServiceLocation,
    ServiceLocationInfo,
    SessionBatch,
    SessionQuery,
    SessionStatus,
    SessionStream,
    SmappeeClient,
    SmappeeError,
    StreamStats,
    Target,
    TimeRange,
    TransportError,
    converter,
    seen_in,
)

OCTOBER = TimeRange.month(2026, 10, tz="Europe/Brussels")


async def total_energy(parks: Iterable[int]) -> Decimal:
    """The main job: sessions of several parks, one after the other."""
    total = Decimal(0)
    async with SmappeeClient(Credentials.from_env()) as smappee:
        assert_type(smappee, SmappeeClient)
        async for session in smappee.sessions(parks, OCTOBER):
            assert_type(session, ChargingSession)
            total += session.energy_kwh or Decimal(0)
    return total


async def every_way_to_name_parks_and_stations(smappee: SmappeeClient, park: ServiceLocation) -> list[SessionStream]:
    """One or many, as numbers, service locations or a mixture; stations by number or text."""
    return [
        smappee.sessions(1001, OCTOBER),
        smappee.sessions([1001, 1002], OCTOBER),
        smappee.sessions({1001, 1002}, OCTOBER),
        smappee.sessions((number for number in range(3)), OCTOBER),
        smappee.sessions(park, OCTOBER),
        smappee.sessions([park, 1002], OCTOBER),
        smappee.sessions(await smappee.service_locations(), OCTOBER),
        smappee.station_sessions("6120009999", OCTOBER),
        smappee.station_sessions([6120009999, "6120009998"], OCTOBER),
    ]


async def every_option(smappee: SmappeeClient) -> list[ChargingSession]:
    """Each option by its name."""
    stream = smappee.sessions(
        1001,
        OCTOBER,
        state="all",
        order="start",
        on_error="collect",
        on_invalid="collect",
        deadline=timedelta(minutes=5),
        resume=None,
    )
    assert_type(stream, SessionStream)
    return await stream.collect()


async def by_batch(smappee: SmappeeClient, save: list[ChargingSession]) -> StreamStats:
    """Batches with a checkpoint after each, and the account at the end."""
    checkpoint = None
    async with smappee.sessions(1001, OCTOBER, resume=checkpoint) as stream:
        async for batch in stream.batches():
            assert_type(batch, SessionBatch)
            assert_type(batch.sessions, tuple[ChargingSession, ...])
            assert_type(batch.service_location_id, int | None)
            save.extend(batch.sessions)
            checkpoint = stream.checkpoint()
    smappee.sessions(1001, OCTOBER, resume=checkpoint)
    assert_type(stream.failures, tuple[ChunkFailure, ...])
    assert_type(stream.invalid, tuple[InvalidRecord, ...])
    assert_type(stream.stats.chunks + stream.stats.sessions, int)
    return stream.stats


async def one_session_at_a_time(smappee: SmappeeClient) -> ChargingSession | None:
    """A stream is an asynchronous iterator."""
    stream = smappee.sessions(1001, OCTOBER)
    try:
        return await anext(stream, None)
    finally:
        await stream.aclose()


def what_a_session_says(session: ChargingSession) -> None:
    """Fields that may be absent say so."""
    assert_type(session.started_at, datetime)
    assert_type(session.ended_at, datetime | None)
    assert_type(session.elapsed, timedelta | None)
    assert_type(session.energy_kwh, Decimal | None)
    assert_type(session.status, SessionStatus)
    assert_type(session.rfid, str | None)
    assert_type(session.service_location_id, int | None)
    if session.ended_at is not None:
        assert_type(session.ended_at - session.started_at, timedelta)
    if session.status == "CHARGING" or session.status is SessionStatus.STARTED:
        return


async def service_locations(smappee: SmappeeClient) -> ServiceLocationInfo:
    """The other calls."""
    found = await smappee.service_locations()
    assert_type(found, list[ServiceLocation])
    info = await smappee.service_location(found[0].id)
    assert_type(info.timezone, str | None)
    return info


def ranges(birthday: date) -> list[TimeRange]:
    """Every way to make a range."""
    first = datetime(birthday.year, birthday.month, birthday.day, tzinfo=UTC)
    assert_type(OCTOBER.end, datetime | None)
    return [
        TimeRange(first, first + timedelta(days=1)),
        TimeRange(first),
        TimeRange.day(2026, 10, 3, tz=UTC),
        TimeRange.year(2026, tz="Europe/Brussels"),
        TimeRange.since(first),
        TimeRange.last(days=7),
        TimeRange.parse("2026-10", tz="Europe/Brussels"),
        *OCTOBER.split("day", tz="Europe/Brussels"),
    ]


async def errors(smappee: SmappeeClient) -> str:
    """Each error has its facts; one except catches all."""
    try:
        await smappee.sessions(1001, OCTOBER).collect()
    except RateLimited as error:
        assert_type(error.facts, CallFacts)
        return f"too many: {error.facts.attempts}"
    except (NotFound, TransportError) as error:
        return error.reason
    except ApiError as error:
        assert_type(error.facts.status, int | None)
        return str(error.facts.status)
    except DeadlineExceeded as error:
        as_timeout: TimeoutError = error
        return str(as_timeout)
    except SmappeeError as error:
        return f"{error.reason} {error.advice}"
    return ""


async def a_time_range_for_each_park(smappee: SmappeeClient) -> SessionStream:
    """One query, one stream: a month in the time zone of each park."""
    seen = seen_in([], OCTOBER, parks=[1001])
    assert_type(seen, dict[int, Seen])
    months = {1001: OCTOBER, 1002: TimeRange.month(2026, 10, tz="Europe/London")}
    query = SessionQuery.parks(months, order="start", seen=seen)
    assert_type(query, SessionQuery)
    assert_type([target.key for target in query.ranges], list[str])
    assert_type(next(iter(query.ranges)), Target)
    return smappee.stream(query)


def records_from_json_and_back(text: bytes) -> list[ChargingSession]:
    """The converter reads JSON text, and writes what a program keeps."""
    sessions = converter.structure(text, list[ChargingSession])
    assert_type(sessions, list[ChargingSession])
    assert_type(converter.from_plain(converter.to_plain(sessions[0]), ChargingSession), ChargingSession)
    return sessions
