"""What a client tells its host: pairs of events with an id and a duration. A fault of the host's hook harms nothing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from smappee_async.errors import CallFacts, TransportError
from smappee_async.events import ClientEvent, EventReporter

SPLIT = ClientEvent(kind="chunk_split", facts=CallFacts(service_location_id=12345), detail="it was too large")


class Ticks:
    """A clock that goes on by one second at each look."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def heard() -> list[ClientEvent]:
    return []


@pytest.fixture
def reporter(heard: list[ClientEvent]) -> EventReporter:
    return EventReporter(heard.append, Ticks())


def test_the_host_gets_the_event_as_it_is(heard: list[ClientEvent], reporter: EventReporter) -> None:
    reporter.tell(SPLIT)
    assert heard == [SPLIT]


def test_an_event_is_logged_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "smappee_async"):
        EventReporter().tell(SPLIT)
    assert caplog.record_tuples == [
        ("smappee_async", logging.DEBUG, "chunk_split: for service location 12345 it was too large")
    ]


def test_a_token_that_could_not_be_saved_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    EventReporter().tell(ClientEvent(kind="token_not_saved", detail="the disk is full"))
    assert [(record.levelno, "the disk is full" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_a_fault_of_the_hosts_hook_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: ClientEvent) -> None:
        raise ZeroDivisionError

    EventReporter(hook).tell(SPLIT)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == "the on_event hook failed on 'chunk_split'"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_an_operation_is_a_pair_of_events_with_one_id(heard: list[ClientEvent], reporter: EventReporter) -> None:
    facts = CallFacts(service_location_id=12345)
    with reporter.operation("chunk", facts, parent_id=7) as chunk:
        chunk.note(sessions=3)
    assert heard == [
        ClientEvent(kind="chunk_started", id=chunk.id, parent_id=7, facts=facts),
        ClientEvent(
            kind="chunk_ended", id=chunk.id, parent_id=7, facts=facts, outcome="ok", duration_s=1.0, sessions=3
        ),
    ]


def test_operations_of_several_clients_never_share_an_id() -> None:
    reporters = [EventReporter(lambda _: None), EventReporter(lambda _: None)]
    ids = [each.operation("wait").id for each in reporters for _ in range(3)]
    assert len(set(ids)) == 6


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (TransportError("the server disconnected"), "failed", "the server disconnected"),
        (ValueError("may hold a secret"), "failed", "ValueError"),
        (asyncio.CancelledError(), "cancelled", "why it waits"),
        (GeneratorExit(), "cancelled", "why it waits"),
    ],
)
def test_an_exception_ends_the_operation_and_goes_on(
    heard: list[ClientEvent], reporter: EventReporter, error: BaseException, outcome: str, detail: str
) -> None:
    with pytest.raises(type(error)), reporter.operation("wait", detail="why it waits"):
        raise error
    assert (heard[1].outcome, heard[1].detail) == (outcome, detail)


def test_an_operation_may_fail_without_an_exception(heard: list[ClientEvent], reporter: EventReporter) -> None:
    with reporter.operation("attempt", CallFacts(method="GET")) as attempt:
        attempt.note(status=503, attempts=2)
        attempt.fail(TransportError("the server disconnected"))
    assert heard[1].outcome == "failed"
    assert heard[1].facts == CallFacts(method="GET", status=503, attempts=2)
    assert (heard[1].error_type, heard[1].detail) == ("TransportError", "the server disconnected")


def test_without_a_listener_no_operation_is_made(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smappee_async"), EventReporter().operation("attempt") as attempt:
        attempt.note(status=200)
        attempt.fail(TransportError("the server disconnected"))
    assert attempt.id is None
    assert caplog.records == []
