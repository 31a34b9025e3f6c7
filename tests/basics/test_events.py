"""What a client tells its host, and that a host's faulty hook harms nothing."""

from __future__ import annotations

import logging

import pytest

from smappee_async.errors import CallFacts
from smappee_async.events import ClientEvent, tell

RETRYING = ClientEvent(kind="retrying", facts=CallFacts(service_location_id=12345), detail="it went wrong", wait_s=1.5)


def test_the_host_gets_the_event_as_it_is() -> None:
    heard: list[ClientEvent] = []
    tell(heard.append, RETRYING)
    assert heard == [RETRYING]


def test_an_event_is_logged_as_a_detail(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "smappee_async"):
        tell(None, RETRYING)
    assert caplog.record_tuples == [
        ("smappee_async", logging.DEBUG, "retrying: for service location 12345 it went wrong")
    ]


def test_a_token_that_could_not_be_saved_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tell(None, ClientEvent(kind="token_not_saved", detail="the disk is full"))
    assert [(record.levelno, "the disk is full" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_a_fault_in_the_hosts_hook_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: ClientEvent) -> None:
        raise ZeroDivisionError

    tell(hook, RETRYING)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == "the on_event hook failed on 'retrying'"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
