"""What a manager reports of its renewals."""

from __future__ import annotations

import asyncio

import pytest

from smappee_async import ClientClosed, ClientEvent, SmappeeError, defaults
from smappee_async.protocol.oauth import TOKEN_CALL

from .support import INVALID_GRANT, LIFE_S, NOT_SENT, Held, Stage, Trouble, credentials, responses

pytestmark = pytest.mark.anyio


def renewals(stage: Stage) -> list[tuple[ClientEvent, ClientEvent]]:
    """The two events of each renewal."""
    started = [event for event in stage.events if event.kind == "token_renewal_started"]
    ended = {event.id: event for event in stage.events if event.kind == "token_renewal_ended"}
    return [(event, ended[event.id]) for event in started]


def the_end(stage: Stage) -> ClientEvent:
    """The second event of the only renewal."""
    [(_, ended)] = renewals(stage)
    return ended


async def test_a_renewal_is_a_pair_of_events_with_one_id_and_its_duration(stage: Stage) -> None:
    async def take_long() -> None:
        stage.clock.advance(3)

    stage.service.meanwhile = take_long
    await stage.manager().access_token()
    [(started, ended)] = renewals(stage)
    assert started.id is not None
    assert (started.facts, started.outcome, started.duration_s) == (TOKEN_CALL, None, None)
    assert (ended.facts, ended.outcome, ended.duration_s) == (TOKEN_CALL, "ok", 3.0)
    assert len(stage.events) == 2


async def test_the_event_of_the_end_says_how_the_token_was_renewed(stage: Stage) -> None:
    manager = stage.manager()
    await manager.access_token()
    stage.clock.advance(LIFE_S)
    await manager.access_token()
    assert [ended.detail for _, ended in renewals(stage)] == ["by password", "by refresh"]


async def test_a_token_that_another_process_renewed_is_reported_as_adopted(stage: Stage) -> None:
    await stage.logged_in()
    await stage.manager().access_token()
    assert [event.kind for event in stage.events] == ["token_renewal_started", "token_adopted", "token_renewal_ended"]
    assert (the_end(stage).outcome, the_end(stage).detail) == ("ok", "taken from the token store")


async def test_however_many_tasks_wait_there_is_one_renewal_to_report(stage: Stage) -> None:
    manager = stage.manager()
    await asyncio.gather(*(manager.access_token() for _ in range(50)))
    assert len(renewals(stage)) == 1


@pytest.mark.parametrize(
    ("trouble", "reason", "status"),
    [
        (NOT_SENT, "the connection could not be opened", None),
        (INVALID_GRANT, "Smappee refused the client id, client secret, user name or password with invalid_grant", 400),
        (responses(503, {"message": "later"}), "Smappee answered 503 Service Unavailable", 503),
        (responses(504), "Smappee answered 504 Gateway Timeout", 504),
    ],
)
async def test_a_renewal_that_fails_is_reported_with_reason_and_status(
    stage: Stage, trouble: Trouble, reason: str, status: int | None
) -> None:
    stage.service.forever = trouble
    with pytest.raises(SmappeeError):
        await stage.manager().access_token()
    ended = the_end(stage)
    assert (ended.outcome, ended.detail, ended.facts.status) == ("failed", reason, status)


async def test_a_refusal_that_is_remembered_is_reported_as_failed_again(stage: Stage) -> None:
    manager = stage.manager(credentials(password="wrong"))
    for _ in range(2):
        with pytest.raises(SmappeeError):
            await manager.access_token()
    assert stage.service.posts == ["password"]
    assert [ended.outcome for _, ended in renewals(stage)] == ["failed", "failed"]


async def test_a_renewal_that_closing_cuts_off_is_reported_as_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults, "CLOSE_WAIT_S", 0.005)
    manager = stage.manager()
    held = Held(stage.service)
    waiter = asyncio.create_task(manager.access_token())
    await held.arrived.wait()
    await manager.aclose()
    with pytest.raises(ClientClosed):
        await waiter
    assert the_end(stage).outcome == "cancelled"


async def test_a_pair_that_is_not_saved_is_reported_beside_a_renewal_that_succeeded(stage: Stage) -> None:
    """R17."""
    stage.store.failing = {"save"}
    await stage.manager().access_token()
    assert [event.kind for event in stage.events[:3]] == [
        "token_renewal_started",
        "token_not_saved",
        "token_renewal_ended",
    ]
    assert stage.events[1].id is None
    assert the_end(stage).outcome == "ok"
