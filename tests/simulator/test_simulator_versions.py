"""What older and other clients use: versions 1 and 2 of some calls, and the login that a browser takes part in."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from .calling import PARK, Caller, Reply, Serve

pytestmark = pytest.mark.anyio

HOME = "http://localhost:8123/auth?from=here"


async def authorize(caller: Caller, version: str = "v1", **changes: str) -> Reply:
    query = {"response_type": "code", "client_id": caller.sim.account.client_id, "redirect_uri": HOME, "state": "s&1"}
    return await caller.get(str(URL(f"/dev/{version}/oauth2/authorize").with_query({**query, **changes})))


async def code_of(caller: Caller) -> str:
    return URL((await authorize(caller)).headers["Location"]).query["code"]


async def exchange(caller: Caller, code: str, **form: str) -> Reply:
    return await caller.form(grant_type="authorization_code", code=code, **form)


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
async def test_tokens_and_locations_are_served_in_every_version(serve: Serve, version: str) -> None:
    caller = await serve()
    account = caller.sim.account
    login = {"grant_type": "password", "username": account.username, "password": account.password}
    token = (await caller.form(f"/dev/{version}/oauth2/token", **login)).json["access_token"]
    caller.access_token = token
    [location] = (await caller.get(f"/dev/{version}/servicelocation")).json["serviceLocations"]
    assert location["serviceLocationId"] == PARK
    assert (await caller.get(f"/dev/{version}/servicelocation/{PARK}/info")).json["name"] == location["name"]


async def test_version_1_names_a_location_and_says_no_more(serve: Serve) -> None:
    caller = await serve()
    await caller.log_in()
    [location] = (await caller.get("/dev/v1/servicelocation")).json["serviceLocations"]
    assert location.keys() == {"serviceLocationId", "name"}


@pytest.mark.parametrize("version", ["v1", "v3"])
async def test_the_login_page_sends_the_browser_back_with_a_code(serve: Serve, version: str) -> None:
    reply = await authorize(await serve(), version)
    back = URL(reply.headers["Location"])
    assert reply.status == 302
    assert back.with_query(None) == URL(HOME).with_query(None)
    assert (back.query["from"], back.query["state"]) == ("here", "s&1")
    assert back.query["code"]


async def test_a_code_is_worth_one_pair_of_tokens(serve: Serve) -> None:
    caller = await serve()
    logins = caller.sim.oauth.password_grants
    code = await code_of(caller)
    first = await exchange(caller, code, redirect_uri=HOME)
    second = await exchange(caller, code, redirect_uri=HOME)
    assert first.json.keys() == {"access_token", "expires_in", "refresh_token"}
    assert (second.status, second.json["error"]) == (400, "invalid_grant")
    assert (caller.sim.oauth.code_grants, caller.sim.oauth.password_grants) == (1, logins)
    caller.access_token = first.json["access_token"]
    assert (await caller.ask()).status == 200


@pytest.mark.parametrize("form", [{"redirect_uri": "http://localhost/other"}, {"client_secret": "wrong"}])
async def test_a_code_is_for_the_client_and_the_page_that_asked(serve: Serve, form: dict[str, str]) -> None:
    caller = await serve()
    assert (await exchange(caller, await code_of(caller), **form)).status in {400, 401}


async def test_an_unknown_code_is_refused(serve: Serve) -> None:
    reply = await exchange(await serve(), "made-up")
    assert (reply.status, reply.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody"},
        {"response_type": "token"},
        {"redirect_uri": ""},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": "http://["},
        {"redirect_uri": "http://localhost/\u00e9"},
    ],
)
async def test_the_login_page_sends_nobody_anywhere_else(serve: Serve, changes: dict[str, Any]) -> None:
    caller = await serve()
    reply = await authorize(caller, **changes)
    assert reply.status == 400
    assert "Location" not in reply.headers


async def test_the_login_page_is_asked_with_get(serve: Serve) -> None:
    assert (await (await serve()).form("/dev/v1/oauth2/authorize")).status == 405
