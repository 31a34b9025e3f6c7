"""What a token call without a token means, and what the manager does then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NoReturn

import anyio
import pytest

from smappee_async import (
    ApiError,
    AuthenticationError,
    RateLimited,
    RefreshTokenLost,
    RequestError,
    ResponseTooLarge,
    ServerError,
    StoredToken,
    Token,
    TransportError,
    defaults,
)
from smappee_async.auth.manager import TokenManager

from .support import (
    BARE_400,
    INVALID_GRANT,
    LIFE_S,
    LOST_RESPONSE,
    NO_RESPONSE,
    NOT_SENT,
    Stage,
    Trouble,
    credentials,
    only_refresh,
    responses,
    settle,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

UNDECIDED = [
    pytest.param(NOT_SENT, TransportError, id="no connection"),
    pytest.param(responses(429, {"message": "slow down"}, retry_after="5"), RateLimited, id="429"),
    pytest.param(responses(429), RateLimited, id="429 without a word"),
    pytest.param(responses(503, {"message": "later"}), ServerError, id="503 with a reason"),
    pytest.param(responses(503, retry_after="5"), ServerError, id="503 with Retry-After"),
    pytest.param(responses(403, b"<html>blocked</html>"), ApiError, id="403 of a firewall"),
    pytest.param(responses(404), ApiError, id="404"),
    pytest.param(responses(307, location="https://elsewhere.invalid"), ApiError, id="307"),
]
UNKNOWN = [
    pytest.param(responses(500), ServerError, id="500"),
    pytest.param(responses(502, b"<html>maintenance</html>"), ServerError, id="502 page"),
    pytest.param(responses(503, b"<html>"), ServerError, id="503 page"),
    pytest.param(responses(504), ServerError, id="504"),
]
LOST = [
    pytest.param(NO_RESPONSE, id="hung up"),
    pytest.param(responses(200), id="empty 200"),
    pytest.param(responses(200, b"<html>maintenance</html>"), id="page with 200"),
    pytest.param(responses(200, b'{"access_token": "abc", "exp'), id="cut off"),
    pytest.param(responses(200, {"refresh_token": "r"}), id="no access token"),
    pytest.param(responses(200, {"access_token": "a b\r\nc"}), id="a token that ends its header"),
    pytest.param(responses(200, {"access_token": "abc", "token_type": "mac"}), id="not a bearer token"),
]


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"username": "wrong"}, {"client_secret": "wrong"}])
async def test_wrong_credentials_are_told_and_not_asked_again(stage: Stage, changes: dict[str, str]) -> None:
    manager = stage.manager(credentials(**changes))
    for _ in range(5):
        with pytest.raises(AuthenticationError, match="Smappee refused"):
            await manager.access_token()
        stage.clock.advance(86_400)
    assert stage.service.posts == ["password"]


async def test_after_wrong_credentials_another_process_login_is_enough(stage: Stage) -> None:
    manager = stage.manager(credentials(password="wrong"))
    with pytest.raises(AuthenticationError):
        await manager.access_token()
    token = await stage.manager().access_token()
    assert await manager.access_token() == token


async def test_a_bare_400_is_asked_again_after_growing_pauses(stage: Stage) -> None:
    manager = stage.manager()
    stage.service.forever = BARE_400
    sent_after = []
    seconds = 0
    while len(stage.service.posts) < 6:
        posts = len(stage.service.posts)
        with pytest.raises(AuthenticationError):
            await manager.access_token()
        if len(stage.service.posts) > posts:
            sent_after.append(seconds)
            seconds = 0
        stage.clock.advance(10)
        seconds += 10
    assert sent_after == [0, 60, 120, 240, 480, 900]


async def test_a_bare_400_that_passes_is_forgotten(stage: Stage) -> None:
    manager = stage.manager()
    stage.service.script.append(BARE_400)
    with pytest.raises(AuthenticationError):
        await manager.access_token()
    stage.clock.advance(defaults.REFUSAL_WAIT_S)
    await manager.access_token()
    assert stage.service.posts == ["password"] * 2


async def test_a_refused_refresh_token_falls_back_to_the_password(stage: Stage) -> None:
    manager = await stage.logged_in()
    stage.service.oauth.revoke_everything()
    refused = await manager.access_token()
    assert stage.service.accepts((await manager.access_token(refused)).reveal())
    assert stage.service.posts == ["refresh_token", "password"]


async def test_a_bare_400_for_the_refresh_token_falls_back_to_the_password(stage: Stage) -> None:
    """A 400 without an OAuth error proves nothing, and a login repairs every case that is known."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(BARE_400)
    await manager.access_token()
    assert stage.service.posts == ["refresh_token", "password"]


async def test_a_refused_refresh_token_and_a_refused_password_are_asked_once_each(stage: Stage) -> None:
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.forever = INVALID_GRANT
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            await manager.access_token()
    assert stage.service.posts == ["refresh_token", "password"]


async def test_a_refused_refresh_token_without_a_password_is_final(stage: Stage) -> None:
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.forever = INVALID_GRANT
    for _ in range(5):
        with pytest.raises(AuthenticationError, match="the refresh token with invalid_grant") as caught:
            await manager.access_token()
        assert not isinstance(caught.value, RefreshTokenLost)
    assert stage.service.posts == ["refresh_token"]


async def test_two_managers_do_not_wake_each_others_final_refusal(stage: Stage) -> None:
    """The mark of one manager is not a new pair for the other."""
    first, second = await stage.without_password(), stage.manager(only_refresh("unknown"))
    await second.access_token()
    stage.clock.advance(LIFE_S)
    stage.service.forever = INVALID_GRANT
    for _ in range(5):
        for manager in (first, second):
            with pytest.raises(AuthenticationError):
                await manager.access_token()
    assert len(stage.service.posts) == 2


async def test_a_bare_400_without_a_password_keeps_the_refresh_token_for_later(stage: Stage) -> None:
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(BARE_400)
    with pytest.raises(AuthenticationError):
        await manager.access_token()
    stage.clock.advance(defaults.REFUSAL_WAIT_S)
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.oauth.reuse_detections == 0


async def test_credentials_of_a_refresh_token_alone_work(stage: Stage) -> None:
    manager = stage.manager(only_refresh(stage.a_refresh_token()))
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token"]


async def test_a_refresh_token_in_the_credentials_comes_before_the_password(stage: Stage) -> None:
    manager = stage.manager(credentials(refresh_token=stage.a_refresh_token()))
    await manager.access_token()
    assert stage.service.posts == ["refresh_token"]


async def test_what_is_stored_comes_before_the_refresh_token_in_the_credentials(stage: Stage) -> None:
    await stage.without_password()
    manager = stage.manager(only_refresh("spent long ago"))
    await manager.access_token()
    assert stage.service.posts == []


async def test_a_new_refresh_token_in_the_credentials_mends_a_dead_store(stage: Stage) -> None:
    await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.oauth.revoke_everything()
    manager = stage.manager(only_refresh(stage.a_refresh_token()))
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token", "refresh_token"]


async def test_without_any_way_to_log_in_the_error_says_so(stage: Stage) -> None:
    token = Token("access", None, datetime.fromtimestamp(stage.clock.wall + LIFE_S, UTC))
    await stage.store.replace(0, StoredToken(generation=1, token=token))
    manager = stage.manager(only_refresh("unused"))
    with pytest.raises(AuthenticationError, match="no user name and password"):
        await manager.access_token(token.access_token)
    assert stage.service.posts == []


# --- not decided ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "error"), UNDECIDED + UNKNOWN)
async def test_trouble_at_login_is_never_told_as_wrong_credentials(
    stage: Stage, trouble: Trouble, error: type[RequestError]
) -> None:
    manager = stage.manager()
    stage.service.script.append(trouble)
    with pytest.raises(error):
        await manager.access_token()
    await manager.access_token()
    assert stage.service.posts == ["password"] * 2


@pytest.mark.parametrize(("trouble", "error"), UNDECIDED)
@pytest.mark.parametrize("with_password", [True, False])
async def test_trouble_that_spends_nothing_leaves_the_refresh_token_in_use(
    stage: Stage, trouble: Trouble, error: type[RequestError], with_password: bool
) -> None:
    manager = await (stage.logged_in() if with_password else stage.without_password())
    stage.clock.advance(LIFE_S)
    stage.service.script.append(trouble)
    with pytest.raises(error):
        await manager.access_token()
    assert not (await stage.kept()).refreshing
    await manager.access_token()
    assert stage.service.posts == ["refresh_token"] * 2


@pytest.mark.parametrize(("trouble", "error"), UNKNOWN)
async def test_a_failing_service_never_costs_the_refresh_token(
    stage: Stage, trouble: Trouble, error: type[RequestError]
) -> None:
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.extend([trouble] * 5)
    for _ in range(5):
        with pytest.raises(error):
            await manager.access_token()
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token"] * 6


@pytest.mark.parametrize("trouble", [*LOST, *(pytest.param(param.values[0], id=param.id) for param in UNKNOWN)])
async def test_a_lost_response_to_a_refresh_is_made_good_by_the_password(stage: Stage, trouble: Trouble) -> None:
    """R14: the refresh token may be spent, so it is not used again."""
    manager = await stage.logged_in()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(trouble)
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token", "password"]


@pytest.mark.parametrize("trouble", LOST)
async def test_a_lost_response_to_a_login_is_trouble_and_no_refusal(stage: Stage, trouble: Trouble) -> None:
    manager = stage.manager()
    stage.service.script.append(trouble)
    with pytest.raises(TransportError):
        await manager.access_token()
    await manager.access_token()


async def test_a_service_that_keeps_silent_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "TOKEN_TIMEOUT_S", 0.005)

    stage.service.meanwhile = anyio.sleep_forever
    with pytest.raises(TransportError, match="longer than"):
        await stage.manager().access_token()


async def test_an_endless_token_response_is_a_lost_one(stage: Stage) -> None:
    def too_large() -> NoReturn:
        raise ResponseTooLarge("the response is larger than 64 bytes")

    stage.service.script.append(Trouble(too_large))
    with pytest.raises(TransportError, match="larger"):
        await stage.manager().access_token()


# --- lost, and no password --------------------------------------------------------------------------------------------


async def test_without_a_password_a_lost_response_is_replayed_once_and_then_final(stage: Stage) -> None:
    """R14."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(LOST_RESPONSE)
    for _ in range(5):
        with pytest.raises(RefreshTokenLost):
            await manager.access_token()
        stage.clock.advance(86_400)
    assert stage.service.posts == ["refresh_token"] * 2


async def test_without_a_password_two_lost_responses_are_final(stage: Stage) -> None:
    """R14."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.forever = NO_RESPONSE
    for _ in range(3):
        with pytest.raises(RefreshTokenLost):
            await manager.access_token()
    assert stage.service.posts == ["refresh_token"] * 2


async def test_without_a_password_a_replay_that_works_is_as_good_as_the_response(stage: Stage) -> None:
    """R14: some servers allow one replay because a response can be lost."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(NO_RESPONSE)
    assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token"] * 2


async def test_a_replay_that_was_not_even_sent_does_not_earn_another(stage: Stage) -> None:
    """R14."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.extend([LOST_RESPONSE, NOT_SENT])
    with pytest.raises(TransportError):
        await manager.access_token()
    with pytest.raises(RefreshTokenLost):
        await manager.access_token()
    assert stage.service.oauth.reuse_detections == 1
    assert len(stage.service.posts) == 3


async def test_a_final_loss_ends_when_somebody_logs_in(stage: Stage) -> None:
    """R14."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(LOST_RESPONSE)
    with pytest.raises(RefreshTokenLost):
        await manager.access_token()
    token = await stage.manager(credentials()).access_token()
    assert await manager.access_token() == token


async def test_a_final_loss_ends_with_another_pair_in_the_store_even_an_expired_one(stage: Stage) -> None:
    """R14: the refusal is about one pair, not about later ones in the store."""
    manager = await stage.without_password()
    stage.clock.advance(LIFE_S)
    stage.service.script.append(LOST_RESPONSE)
    with pytest.raises(RefreshTokenLost):
        await manager.access_token()
    kept = await stage.kept()
    new = Token("expired", stage.a_refresh_token(), datetime.fromtimestamp(stage.clock.wall, UTC))
    await stage.store.replace(kept.generation, kept.following(new))
    assert stage.service.accepts((await manager.access_token()).reveal())


async def test_a_final_loss_in_the_background_does_not_end_a_token_that_serves(stage: Stage) -> None:
    manager = await stage.without_password()
    token = await manager.access_token()
    stage.clock.advance(LIFE_S - 100)
    stage.service.script.append(LOST_RESPONSE)
    await manager.access_token()
    await settle()
    assert await manager.access_token() == token


# --- after a crash ----------------------------------------------------------------------------------------------------


async def crashed(stage: Stage, who: Callable[[], Awaitable[TokenManager]]) -> None:
    """A process died between the mark and the end of its refresh, and the token has expired."""
    await who()
    stage.clock.advance(LIFE_S)
    kept = await stage.kept()
    assert kept.token is not None
    await stage.store.replace(kept.generation, kept.following(kept.token, refreshing=True))


async def test_after_a_crash_in_the_middle_the_password_is_used_at_once(stage: Stage) -> None:
    """R13."""
    await crashed(stage, stage.logged_in)
    await stage.manager().access_token()
    assert stage.service.posts == ["password"]
    assert not (await stage.kept()).refreshing


async def test_after_a_crash_in_the_middle_without_a_password_there_is_one_replay(stage: Stage) -> None:
    """R13, R14."""
    await crashed(stage, stage.without_password)
    stage.service.forever = INVALID_GRANT
    manager = stage.manager(only_refresh("spent"))
    stage.service.posts.clear()
    for _ in range(3):
        with pytest.raises(RefreshTokenLost):
            await manager.access_token()
    # One with the stored refresh token, and one with that of the credentials.
    assert stage.service.posts == ["refresh_token"] * 2


async def test_after_a_crash_a_token_that_still_serves_is_used(stage: Stage) -> None:
    """R13."""
    await stage.logged_in()
    kept = await stage.kept()
    await stage.store.replace(kept.generation, kept.following(kept.token, refreshing=True))
    await stage.manager().access_token()
    assert stage.service.posts == []
