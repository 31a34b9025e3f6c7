"""After every failing path of every public call: no secret in anything that could be printed, logged or reported."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import attrs
import pytest

from smappee_async import (
    ClientEvent,
    Credentials,
    FileTokenStore,
    Limits,
    MemoryTokenStore,
    RefreshTokenLost,
    RetryPolicy,
    SmappeeClient,
    SmappeeError,
    Token,
)
from smappee_async.simulator import Account, Fault, Park, SimulatedClock, SimulatedSession, Simulator, World
from smappee_async.simulator.faults import FAULT_KINDS
from tests.walking import everything_about, shown

from .support import ACCOUNT, MARCH, QUICK, client_of, credentials, encoded

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

RFID = "MARKED-CARD-04A1B2"
RECORD = {"id": 7, "serialNumber": "6100000001", "from": MARCH.start_ms, "status": "STOPPED", "rfid": RFID}
BAD_RECORD = json.dumps([RECORD | {"to": RFID, RFID: {"driver": RFID}}]).encode()
CUT_OFF = json.dumps([RECORD]).encode()[:-3]
#: What a service under somebody else's control may send back, to have it printed.
ECHO = json.dumps(
    {
        "error": "invalid_grant",
        "error_description": f"{ACCOUNT.username} {ACCOUNT.password}",
        "message": f"client_secret={ACCOUNT.client_secret}",
    }
).encode()

Call = Callable[[SmappeeClient], Coroutine[Any, Any, object]]


async def locations(client: SmappeeClient) -> object:
    return await client.service_locations()


async def location(client: SmappeeClient) -> object:
    return await client.service_location(1001)


async def collect(client: SmappeeClient) -> object:
    return await client.sessions([1001], MARCH).collect()


async def by_start(client: SmappeeClient) -> object:
    return await client.sessions([1001], MARCH, order="start", state="all").collect()


async def batches(client: SmappeeClient) -> object:
    async with client.sessions([1001], MARCH) as stream:
        return [batch async for batch in stream.batches()]


async def station(client: SmappeeClient) -> object:
    return await client.station_sessions("6100000001", MARCH).collect()


READING: tuple[Call, ...] = (locations, location, collect, by_start, batches, station)


@attrs.define
class Witness:
    """Keeps everything that anybody could have seen."""

    sim: Simulator
    caplog: pytest.LogCaptureFixture
    texts: list[str] = attrs.field(factory=list)
    errors: list[BaseException] = attrs.field(factory=list)
    events: list[ClientEvent] = attrs.field(factory=list)

    def client(self, **settings: Any) -> SmappeeClient:
        settings.setdefault("retry", attrs.evolve(QUICK, attempts=2))
        settings.setdefault("limits", Limits(max_body_bytes=100_000, read_timeout_s=0.05, attempt_timeout_s=0.2))
        return client_of(self.sim, on_event=self.events.append, **settings)

    async def fails(self, call: Coroutine[Any, Any, object]) -> BaseException:
        """Make a call that must not succeed."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 - every one is looked at
            self.errors.append(error)
            return error
        raise AssertionError("the call succeeded")

    def sees(self, *things: object) -> None:
        """Print something."""
        for thing in things:
            self.texts += [repr(thing), str(thing)]
            if isinstance(thing, SmappeeClient) and thing._open is not None:
                # What a debugger or a crash reporter prints one level down.
                self.texts += [repr(vars(thing)), repr(vars(thing._open)), repr(vars(thing._open._tokens))]
                self.texts += [repr(vars(thing._open._transport)), repr(vars(thing._open.caller))]

    def secrets(self) -> set[str]:
        secrets = {ACCOUNT.client_secret, ACCOUNT.username, ACCOUNT.password, RFID}
        secrets |= set(self.sim.oauth._access) | set(self.sim.oauth._refresh)
        forms = {form for secret in secrets for form in encoded(secret)}
        # The parts of the query that nobody needs to see: together they would be the URL.
        return forms | {"active=true", "active=false", f"range={MARCH.start_ms}", "grant_type="}

    def swear(self) -> None:
        """Nothing that was seen shows a secret."""
        texts = self.texts + [text for error in self.errors for text in everything_about(error)]
        for error in self.errors:
            if isinstance(error, SmappeeError):
                copied = pickle.loads(pickle.dumps(error))
                texts += [repr(copied), str(copied), repr(vars(copied))]
        texts += [record.getMessage() + repr(vars(record)) for record in self.caplog.records]
        texts += [repr(event) + str(event.facts) for event in self.events]
        assert texts
        assert shown(self.secrets(), texts) == []


@pytest.fixture
async def witness(anyio_backend: object, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Witness]:
    sessions = [
        attrs.evolve(
            SimulatedSession.between(number, f"2026-03-{number:02}T08:00:00Z", f"2026-03-{number:02}T09:00:00Z"),
            rfid=RFID,
        )
        for number in range(1, 20)
    ]
    for name in ("", "smappee_async", "aiohttp", "aiohttp.client", "asyncio", "filelock"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with AsyncExitStack() as stack:
        sim = Simulator(
            World.of([Park.fixed(1001, sessions)]), account=ACCOUNT, clock=SimulatedClock.at("2026-04-02T00:00:00Z")
        )
        await stack.enter_async_context(sim)
        seen = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        witness = Witness(sim, caplog)
        yield witness
        witness.texts += [f"{warning.message!r} {warning.source!r}" for warning in seen]
        witness.swear()


#: Kinds that spoil no call: the client reads on, so there is no failure to look at.
HARMLESS = {
    "duplicate_records",
    "late_finalisation",
    "moved_start",
    "same_id",
    "set_cookie",
    "status_backwards",
    "unknown_fields",
    "unknown_status",
    "huge_headers",
    "token_revoked",
    "zero_end",
}


@pytest.mark.parametrize("kind", sorted(FAULT_KINDS - {"token_odd", "token_lost"}))
async def test_no_fault_of_the_service_makes_any_call_show_a_secret(witness: Witness, kind: Any) -> None:
    """R34."""
    if kind in {"huge_headers", "token_revoked"}:
        fault = Fault(kind, headers={"Set-Cookie": f"who={ACCOUNT.password}"}, size_bytes=20_000)
    else:
        fault = Fault(kind, body=BAD_RECORD if kind == "raw" else None, bytes_per_s=1, size_bytes=2 * 2**20)
    async with witness.client() as client:
        await client.service_locations()
        witness.sim.add_fault(fault)
        outcomes = [
            await asyncio.gather(call(client), return_exceptions=True)
            for call in ((locations, collect, batches) if "stall" in kind or kind == "drip" else READING)
        ]
        failed = [outcome for (outcome,) in outcomes if isinstance(outcome, BaseException)]
        witness.errors += failed
        witness.sees(client, *failed)
        witness.sim.clear_faults()
    assert failed or kind in HARMLESS


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("route", ["token", "servicelocations", "park_sessions"])
async def test_a_response_that_echoes_what_was_sent_is_not_repeated(witness: Witness, status: int, route: Any) -> None:
    """R34."""
    fault = Fault("status", status=status, body=ECHO, route=route, headers={"X-Echo": ACCOUNT.password})
    witness.sim.add_fault(fault)
    async with witness.client() as client:
        error = await witness.fails(collect(client) if route == "park_sessions" else locations(client))
        witness.sees(client, error)


@pytest.mark.parametrize("wrong", ["client_id", "client_secret", "username", "password", "refresh_token"])
async def test_wrong_credentials_are_not_shown(witness: Witness, wrong: str) -> None:
    """R34: neither the wrong one nor the right ones."""
    parts: dict[str, Any] = attrs.asdict(ACCOUNT)
    wrong_value = "marked wrong&value/of=mine"
    if wrong == "refresh_token":
        parts.pop("username")
        parts.pop("password")
    given = Credentials(**{**parts, wrong: wrong_value})
    async with witness.client(credentials=given) as client:
        for call in (locations, collect):
            await witness.fails(call(client))
        witness.sees(client, given)
    texts = [text for error in witness.errors for text in everything_about(error)]
    assert shown(encoded(wrong_value), texts) == []


@pytest.mark.parametrize("kind", ["token_lost", "reset_mid_body", "truncated_json", "close_before_headers", "drip"])
async def test_a_refresh_that_goes_wrong_shows_no_token(witness: Witness, kind: Any) -> None:
    """R34."""
    tokens: list[Token] = []

    async def keep(token: Token) -> None:
        tokens.append(token)

    async with witness.client(token_store=MemoryTokenStore(on_token=keep)) as client:
        await client.service_locations()
    assert tokens[0].refresh_token is not None
    given = Credentials(ACCOUNT.client_id, ACCOUNT.client_secret, refresh_token=tokens[0].refresh_token.reveal())
    witness.sim.add_fault(Fault(kind, route="token", bytes_per_s=1))
    async with witness.client(credentials=given) as client:
        error = await witness.fails(locations(client))
        witness.sees(client, tokens[0])
    assert isinstance(error, SmappeeError)
    if kind in {"token_lost", "reset_mid_body", "drip"}:
        assert isinstance(error, RefreshTokenLost)


@pytest.mark.parametrize(
    "fields",
    [
        b'{"access_token": "%b\\n", "refresh_token": "%b"}',
        b'{"access_token": "%b", "refresh_token": "%b"',
        b'{"access_token": {"is": "%b"}, "refresh_token": ["%b"]}',
        b'{"access_token": "%b", "refresh_token": "%b", "token_type": "mac"}',
        b'["%b", "%b"]',
        b'"%b%b"',
    ],
)
async def test_a_token_response_that_cannot_be_used_is_not_shown(witness: Witness, fields: bytes) -> None:
    """R34."""
    body = fields % (b"marked-access-token", b"marked-refresh-token")
    witness.sim.add_fault(Fault("raw", route="token", body=body))
    async with witness.client() as client:
        error = await witness.fails(locations(client))
        witness.sees(client)
    assert shown(["marked-access-token", "marked-refresh-token"], everything_about(error)) == []


async def test_a_record_that_cannot_be_read_does_not_show_whose_it_is(witness: Witness) -> None:
    """R6, R34: neither the error, nor the collected record, nor the failure that lists it."""
    witness.sim.add_fault(Fault("raw", route="park_sessions", body=BAD_RECORD))
    async with witness.client() as client:
        await witness.fails(collect(client))
        stream = client.sessions([1001], MARCH, on_invalid="collect", on_error="collect")
        assert await stream.collect() == []
        assert len(stream.invalid) == 1
        witness.sees(stream, *stream.invalid, stream.stats, stream.checkpoint())
        witness.errors += [each.error for each in stream.invalid]


async def test_a_chunk_that_failed_is_listed_without_a_secret(witness: Witness) -> None:
    """R34."""
    witness.sim.add_fault(Fault("raw", route="park_sessions", body=CUT_OFF))
    async with witness.client() as client:
        stream = client.sessions([1001], MARCH, on_error="collect")
        await stream.collect()
        assert stream.failures
        witness.sees(client, stream, *stream.failures)
        witness.errors += [each.error for each in stream.failures]


async def test_sessions_that_are_printed_hide_the_card(witness: Witness) -> None:
    """R34: a record's own repr shows the last three characters of an RFID."""
    witness.sim.add_fault(Fault("unknown_fields", route="park_sessions"))
    async with witness.client() as client:
        sessions = await client.sessions([1001], MARCH).collect()
    assert {session.rfid for session in sessions} == {RFID}
    witness.sees(*sessions[:3])


async def test_deadlines_closed_clients_and_bad_input_show_no_secret(witness: Witness) -> None:
    """R34."""
    async with witness.client() as client:
        await client.service_locations()
        witness.sim.add_fault(Fault("stall_after_headers"))
        for state in ("completed", "all"):
            stream = client.sessions([1001], MARCH, state=state, deadline=timedelta(milliseconds=1))
            await witness.fails(stream.collect())
        witness.sim.clear_faults()
        await witness.fails(client.service_location(4711))
        await witness.fails(client.sessions([1001, 4711], MARCH).collect())
        for ids in (0, "1001", [1001, None], [], 10**30):
            with pytest.raises(SmappeeError) as caught:
                client.sessions(ids, MARCH)  # type: ignore[arg-type]
            witness.errors.append(caught.value)
        with pytest.raises(SmappeeError) as caught:
            client.station_sessions("../../x?y", MARCH)
        witness.errors.append(caught.value)
        unread = client.sessions([1001], MARCH)
    await witness.fails(locations(client))
    await witness.fails(unread.collect())
    witness.sees(client, unread, *witness.errors)


@pytest.mark.parametrize("what", ["refused", "closed at once"])
async def test_a_service_that_is_not_there_shows_no_secret(witness: Witness, what: str) -> None:
    """R34: aiohttp puts request, headers and URL into its exceptions."""
    async with witness.client() as client:
        await client.service_locations()
        if what == "refused":
            await witness.sim.close()
        else:
            witness.sim.add_fault(Fault("reset_before_headers"))
        for call in READING:
            await witness.fails(call(client))
        witness.sees(client)


async def test_a_hook_that_fails_shows_no_secret(witness: Witness) -> None:
    """R34: its exception is logged with its traceback."""

    def hook(event: ClientEvent) -> None:
        raise LookupError(event.kind)

    client = SmappeeClient(credentials(), base_url=witness.sim.base_url, on_event=hook, retry=RetryPolicy.none())
    async with client:
        await client.service_locations()
        witness.sim.add_fault(Fault("status", status=500))
        await witness.fails(collect(client))
        witness.sees(client)
    assert any(record.exc_info for record in witness.caplog.records)
    for record in witness.caplog.records:
        if record.exc_info:
            witness.texts += everything_about(record.exc_info[1])


async def test_a_store_that_is_not_safe_shows_no_secret(witness: Witness, tmp_path: Any) -> None:
    """R34, R35."""
    path = tmp_path / "token.json"
    async with witness.client(token_store=FileTokenStore(path)) as client:
        await client.service_locations()
        witness.sees(FileTokenStore(path), client)
    path.chmod(0o644)
    async with witness.client(token_store=FileTokenStore(path)) as client:
        await witness.fails(locations(client))


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps, attrs.asdict, json.dumps])
async def test_nothing_that_holds_a_secret_is_copied_into_something_that_shows_it(
    witness: Witness, copying: Callable[[Any], object]
) -> None:
    """R35: it is refused, or what comes out is as shy as what went in."""
    token = Token("marked-access", "marked-refresh", MARCH.start)
    async with witness.client() as client:
        await client.service_locations()
        for thing in (credentials(), client, token):
            try:
                copied = copying(thing)
            except Exception as error:  # noqa: BLE001 - however it is refused
                witness.errors.append(error)
            else:
                witness.sees(copied)
                assert shown(["marked-access", "marked-refresh"], [repr(copied)]) == []


async def test_the_witness_sees_what_is_there(witness: Witness) -> None:
    """A walk that finds nothing proves nothing."""
    assert isinstance(witness.sim.account, Account)
    assert shown(encoded("a&b"), ["x=a%26b"]) == [("a%26b", "x=a%26b")]
    logging.getLogger("anywhere").debug("the password is %s", ACCOUNT.password)
    with pytest.raises(AssertionError):
        witness.swear()
    witness.caplog.clear()
    witness.sees(witness.sim.account)
