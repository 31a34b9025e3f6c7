"""The token endpoint: grants, rotation, reuse, expiry and revocation, over HTTP."""

from __future__ import annotations

import asyncio
import uuid

import aiohttp
import pytest

from smappee_async.simulator import Assumptions, Simulator, World

from .calling import Caller, Serve, few

pytestmark = pytest.mark.anyio


async def test_a_login_gives_a_pair_of_tokens_and_their_life(serve: Serve) -> None:
    reply = await (await serve()).log_in()
    assert reply.json.keys() == {"access_token", "expires_in", "refresh_token"}
    assert reply.json["expires_in"] == 36_000
    assert uuid.UUID(reply.json["access_token"]) != uuid.UUID(reply.json["refresh_token"])


async def test_a_token_response_must_not_be_stored_and_says_its_charset(serve: Serve) -> None:
    reply = await (await serve()).log_in()
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"


async def test_tokens_are_served_at_the_url_of_the_prose_as_well(serve: Serve) -> None:
    caller = await serve()
    account = caller.sim.account
    form = {"grant_type": "password", "username": account.username, "password": account.password}
    assert (await caller.form("/dev/v1/oauth2/token", **form)).status == 200


async def test_a_wrong_client_is_401_unauthorized_client(serve: Serve) -> None:
    reply = await (await serve()).log_in(client_secret="wrong")
    assert (reply.status, reply.json["error"]) == (401, "unauthorized_client")


@pytest.mark.parametrize("wrong", ["username", "password"])
async def test_a_wrong_user_is_400_invalid_grant(serve: Serve, wrong: str) -> None:
    reply = await (await serve()).log_in(**{wrong: "wrong"})
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(("grant", "error"), [("", "invalid_request"), ("magic", "unsupported_grant_type")])
async def test_an_unknown_grant_is_400(serve: Serve, grant: str, error: str) -> None:
    reply = await (await serve()).form(grant_type=grant)
    assert (reply.status, reply.json["error"]) == (400, error)


async def test_an_unknown_refresh_token_is_400_and_no_reuse(serve: Serve) -> None:
    caller = await serve()
    reply = await caller.refresh("made-up")
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")
    assert caller.sim.oauth.reuse_detections == 0


async def test_a_refresh_gives_a_new_pair_that_works(serve: Serve) -> None:
    caller = await serve()
    old = caller.access_token, caller.refresh_token
    assert (await caller.refresh()).status == 200
    assert caller.access_token != old[0]
    assert caller.refresh_token != old[1]
    assert (await caller.ask()).status == 200


async def test_a_used_refresh_token_ends_its_whole_family(serve: Serve) -> None:
    caller = await serve()
    old = caller.refresh_token
    await caller.refresh()
    assert (await caller.refresh(old)).status == 400
    assert caller.sim.oauth.reuse_detections == 1
    assert (await caller.ask()).status == 401
    assert (await caller.refresh()).status == 400


async def test_another_login_survives_the_end_of_a_family(serve: Serve) -> None:
    caller = await serve()
    old = caller.refresh_token
    await caller.refresh()
    await caller.log_in()
    await caller.refresh(old)
    assert (await caller.ask()).status == 200
    assert (await caller.refresh()).status == 200


async def test_a_used_refresh_token_may_be_refused_only(serve: Serve) -> None:
    caller = await serve(assumptions=Assumptions(refresh_reuse="refused"))
    old = caller.refresh_token
    await caller.refresh()
    assert (await caller.refresh(old)).status == 400
    assert (await caller.refresh()).status == 200


async def test_an_old_refresh_token_may_live_on(serve: Serve) -> None:
    caller = await serve(assumptions=Assumptions(old_refresh_token="lives"))
    old = caller.refresh_token
    await caller.refresh()
    assert (await caller.refresh(old)).status == 200
    assert caller.sim.oauth.reuse_detections == 0


async def test_a_refresh_may_return_no_new_refresh_token(serve: Serve) -> None:
    caller = await serve(assumptions=Assumptions(refresh_returns_new_token=False))
    assert "refresh_token" not in (await caller.refresh()).json
    assert (await caller.refresh()).status == 200


@pytest.mark.parametrize(("ends", "status"), [(False, 200), (True, 401)])
async def test_a_refresh_may_end_the_access_token_before_it(serve: Serve, *, ends: bool, status: int) -> None:
    caller = await serve(assumptions=Assumptions(refresh_ends_access_token=ends))
    old = caller.access_token
    await caller.refresh()
    caller.access_token = old
    assert (await caller.ask()).status == status


@pytest.mark.parametrize(("revokes", "status"), [(False, 200), (True, 401)])
async def test_a_login_may_end_earlier_tokens(serve: Serve, *, revokes: bool, status: int) -> None:
    caller = await serve(assumptions=Assumptions(login_revokes_previous=revokes))
    old = caller.access_token
    await caller.log_in()
    caller.access_token = old
    assert (await caller.ask()).status == status


def test_an_access_token_ends_with_its_time() -> None:
    class Loop(asyncio.SelectorEventLoop):
        ahead_s = 0.0

        def time(self) -> float:
            return super().time() + self.ahead_s

    async def statuses() -> list[int]:
        async with Simulator(World.of([few()])) as sim, aiohttp.ClientSession() as http:
            caller = Caller(sim, http)
            await caller.log_in()
            found = []
            for ahead_s in (35_990.0, 36_000.0):
                loop.ahead_s = ahead_s
                found.append((await caller.ask()).status)
            return found

    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(statuses()) == [200, 401]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer unknown", "Basic abc"])
async def test_a_call_without_a_good_token_is_401_in_json(serve: Serve, header: str) -> None:
    caller = await serve()
    async with caller.http.get(caller.sim.base_url + "/servicelocation", headers={"Authorization": header}) as reply:
        assert reply.status == 401
        assert "message" in await reply.json()


async def test_access_tokens_can_be_expired_and_refreshed(serve: Serve) -> None:
    caller = await serve()
    caller.sim.oauth.expire_access_tokens()
    assert (await caller.ask()).status == 401
    assert (await caller.refresh()).status == 200


async def test_access_tokens_can_be_revoked_and_refreshed(serve: Serve) -> None:
    caller = await serve()
    caller.sim.oauth.revoke_access_tokens()
    assert (await caller.ask()).status == 401
    assert (await caller.refresh()).status == 200


async def test_after_everything_is_revoked_only_a_login_helps(serve: Serve) -> None:
    caller = await serve()
    caller.sim.oauth.revoke_everything()
    assert (await caller.refresh()).status == 400
    assert (await caller.log_in()).status == 200


async def test_grants_are_counted(serve: Serve) -> None:
    caller = await serve()
    await caller.refresh()
    await caller.refresh("made-up")
    oauth = caller.sim.oauth
    assert (oauth.password_grants, oauth.refresh_grants, oauth.refusals, oauth.issued) == (1, 1, 1, 2)
