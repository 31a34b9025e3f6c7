"""What must not type-check: on each line both checkers find the error that its comments name, and nothing else.

Nobody runs this. If a line begins to type-check, its comments suppress nothing, which is an error for both checkers.
"""

# pyright: standard, reportUnnecessaryComparison=true, reportUnusedExpression=false

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from smappee_async import (
    ChargingSession,
    ClientEvent,
    Credentials,
    Limits,
    MemoryTokenStore,
    RetryPolicy,
    SessionStream,
    SmappeeClient,
    SmappeeError,
    StoredToken,
    TimeRange,
    Token,
    TokenStore,
)
from smappee_async import SmapeeClient as SmapeeClient  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
from smappee_async.simulator import Fault, Park, SimulatedClock, Simulator, World

SOMEBODY = Credentials("client", "secret", "user", "password")
OCTOBER = TimeRange.month(2026, 10, tz="Europe/Brussels")


# --- queries


def wrong_queries(smappee: SmappeeClient) -> None:
    smappee.sessions("1001", OCTOBER)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(["1001"], OCTOBER)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001.5, OCTOBER)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    smappee.sessions(1001, "2026-10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, (OCTOBER.start, OCTOBER.end))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, "active")  # type: ignore[call-arg, arg-type, unused-ignore]  # pyright: ignore[reportCallIssue]
    smappee.sessions(1001, OCTOBER, state="finished")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, order="newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, on_invalid=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, deadline=30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, resume="checkpoint")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smappee.sessions(1001, OCTOBER, limit=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    smappee.station_sessions(6120009999.0, OCTOBER)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_reading(smappee: SmappeeClient, stream: SessionStream) -> None:
    for _ in stream:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with smappee:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await stream  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async for batch in stream.batches():
        batch.id  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    stream.stats.sessions = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    stream.stats.rows  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await smappee.service_location("1001")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (await smappee.service_locations()).timezone  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_records(session: ChargingSession, error: SmappeeError) -> None:
    session.ended_at - session.started_at  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]
    session.energy_kwh + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]
    (session.energy_kwh or 0) * 0.25  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    session.status = "STOPPED"  # type: ignore[assignment, misc]  # pyright: ignore[reportAttributeAccessIssue]
    session.extra["note"] = "mine"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    session.park_id  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    ChargingSession(id=1, serial_number="6120009999", from_ms=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    error.facts.status + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]
    error.retry_after.seconds  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_ranges() -> None:
    TimeRange(date(2026, 10, 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TimeRange("2026-10-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TimeRange(datetime.now(UTC), 3600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TimeRange.month(2026, 10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TimeRange.last(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    OCTOBER.split("week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    OCTOBER.end.isoformat()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


# --- settings


def wrong_settings() -> None:
    SmappeeClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SmappeeClient("client", "secret")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    SmappeeClient(SOMEBODY, "https://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SmappeeClient(SOMEBODY, limits=16)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, proxy=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, ssl=False)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Credentials()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Credentials(1, "secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Limits(16)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Limits(concurrency="16")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Limits(max_concurrency=16)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RetryPolicy(patience=3600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicy().attempts = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def asynchronous_hook(event: ClientEvent) -> None:
    pass


def hook_of_text(text: str) -> None:
    pass


def wrong_hooks(event: ClientEvent) -> None:
    SmappeeClient(SOMEBODY, on_event=asynchronous_hook)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, on_event=hook_of_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if event.kind == "retried":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        pass
    event.duration_s + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand]


# --- tokens


class SynchronousProvider:
    def access_token(self, rejected: str | None) -> str:
        return "token"


class ForgetfulProvider:
    async def access_token(self) -> str:
        return "token"


class StoreWithoutLock:
    async def load(self) -> StoredToken | None:
        return None

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        return False


def synchronous_keep(token: Token) -> None:
    pass


def wrong_tokens(token: Token) -> None:
    SmappeeClient(SynchronousProvider())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(ForgetfulProvider())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, token_store="tokens.json")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SmappeeClient(SOMEBODY, token_store=StoreWithoutLock())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    MemoryTokenStore(on_token=synchronous_keep)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store: TokenStore = StoreWithoutLock()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    store.keep(token)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    token.access_token.upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    "Bearer " + token.access_token  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    Token("access", "refresh", 3600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- the simulator


def wrong_simulations(sim: Simulator) -> None:
    Simulator([Park.home(1001)])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Park.home("1001")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    World.of(Park.home(1001))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Fault("no_such_kind")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Fault("status", 503)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Fault("status", route="tokens")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SimulatedClock.at(timedelta(days=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sim.ledger.count(1001, OCTOBER)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sim.ledger.count(1001, OCTOBER.start_ms, state="finished")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
