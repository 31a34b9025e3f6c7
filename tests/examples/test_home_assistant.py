"""The parts of the Home Assistant integration that need no Home Assistant: logging in, keeping tokens, and its files.

The integration as a whole is tested in ``tests/home_assistant``, on request.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

import smappee_async
from smappee_async import AuthenticationError
from smappee_async.simulator import Simulator

from .serving import EXAMPLES, load_example

INTEGRATION = EXAMPLES / "home_assistant" / "custom_components" / "smappee_sessions"


@pytest.fixture
def integration(sim: Simulator) -> Any:
    """The module that makes clients, of the simulator."""
    module = load_example(str((INTEGRATION / "client").relative_to(EXAMPLES)))
    module.__dict__["BASE_URL"] = sim.base_url
    return module


@pytest.fixture
def answers(sim: Simulator) -> dict[str, str]:
    """What the user types into the form."""
    return {name: getattr(sim.account, name) for name in ("client_id", "client_secret", "username", "password")}


@pytest.fixture
async def http(anyio_backend: object) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.anyio
async def test_the_entry_holds_the_tokens_and_no_password(
    integration: Any, http: aiohttp.ClientSession, answers: dict[str, str]
) -> None:
    kept = await integration.log_in(http, answers)

    assert set(kept) == {"client_id", "client_secret", "token"}
    assert answers["password"] not in json.dumps(kept)


@pytest.mark.anyio
async def test_a_wrong_password_is_an_authentication_error(
    integration: Any, http: aiohttp.ClientSession, answers: dict[str, str]
) -> None:
    with pytest.raises(AuthenticationError):
        await integration.log_in(http, answers | {"password": "not-the-password"})


@pytest.mark.anyio
async def test_a_client_goes_on_with_the_tokens_that_were_kept_and_saves_new_ones(
    sim: Simulator, integration: Any, http: aiohttp.ClientSession, answers: dict[str, str]
) -> None:
    kept = await integration.log_in(http, answers)
    saved: list[dict[str, Any]] = []
    sim.oauth.revoke_access_tokens()

    async with integration.make_client(http, kept, saved.append) as smappee:
        await smappee.service_locations()

    assert [token["refresh_token"] != kept["token"]["refresh_token"] for token in saved] == [True]
    assert (sim.oauth.password_grants, sim.oauth.refresh_grants) == (1, 1)
    assert not http.closed


def test_an_account_has_an_id_that_tells_nothing_of_it(integration: Any, answers: dict[str, str]) -> None:
    account = integration.account_of(answers)

    assert account == integration.account_of(answers | {"password": "changed"})
    assert account != integration.account_of(answers | {"username": "another"})
    assert not any(value in account for value in answers.values())


def test_the_manifest_asks_for_this_version() -> None:
    manifest = json.loads((INTEGRATION / "manifest.json").read_text())

    (required,) = manifest["requirements"]
    assert manifest["domain"] == INTEGRATION.name
    assert required == f"smappee-async=={smappee_async.__version__}"


def test_every_text_that_the_form_and_the_sensors_name_is_translated() -> None:
    texts = json.loads((INTEGRATION / "translations" / "en.json").read_text())
    code = "".join(path.read_text() for path in INTEGRATION.glob("*.py"))

    assert set(re.findall(r'errors\["base"\] = "(\w+)"', code)) == set(texts["config"]["error"])
    assert set(re.findall(r'step_id="(\w+)"', code)) == set(texts["config"]["step"])
    assert set(re.findall(r'_attr_translation_key = "(\w+)"', code)) == set(texts["entity"]["sensor"])
