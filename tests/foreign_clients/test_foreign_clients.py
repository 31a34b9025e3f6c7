"""Clients that others wrote log in to the simulator and list locations, so it is not only our client that it fits.

Each runs as a program of its own, with the Python that ``FOREIGN_CLIENTS_PYTHON`` names: see ``requirements.txt``. What
does not work is the fault of these clients, or follows from what is known of the service:

* **requests-oauthlib** and **Authlib** send client id and secret as HTTP Basic unless they are told otherwise. Every
  client that is known to work sends them in the form, so the simulator takes them nowhere else.
* **smappy** uses version 2 for everything, and has no setting for another address. It has no call for sessions.
* **pysmappee** cannot exchange a code, and cannot tell of a renewal: it reads ``client_secret`` and ``token_updater``,
  but sets ``_client_secret`` and ``_token_updater``. In a renewal it fails after it has spent the refresh token, and
  the new one is not saved. With these attributes set by its user, the exchange still sends HTTP Basic. It has no login
  with a password, and its ``load_service_locations`` connects to Smappee's MQTT broker, so it is not run here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from smappee_async.simulator import Park, Simulator, World

pytestmark = pytest.mark.anyio

PROGRAMS: Final = Path(__file__).parent / "programs"
VARIABLE: Final = "FOREIGN_CLIENTS_PYTHON"
PYTHON: Final = os.environ.get(VARIABLE, sys.executable)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sim(anyio_backend: object) -> AsyncIterator[Simulator]:
    async with Simulator(World.of([Park.home(1001), Park.office(1002)])) as sim:
        yield sim


@cache
def is_installed(module: str) -> bool:
    command = [PYTHON, "-c", f"import {module}"]
    return subprocess.run(command, check=False, capture_output=True, env=_clean_environment()).returncode == 0


def _clean_environment() -> dict[str, str]:
    """Without proxies, and without our own package on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith(("_proxy", "pythonpath"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


async def outcome(sim: Simulator, client: str, way: str) -> dict[str, Any]:
    """What one way of a foreign client to log in comes to: ``value``, or ``error``."""
    if not is_installed(client):
        reason = f"{client} is not installed: see tests/foreign_clients/requirements.txt"
        if VARIABLE in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    account = sim.account
    environment = {
        **_clean_environment(),
        "ORIGIN": sim.origin,
        "CLIENT_ID": account.client_id,
        "CLIENT_SECRET": account.client_secret,
        "SMAPPEE_USER": account.username,
        "PASSWORD": account.password,
        # Both libraries refuse http otherwise.
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
        "AUTHLIB_INSECURE_TRANSPORT": "1",
    }
    ended = await anyio.run_process(
        [PYTHON, str(PROGRAMS / f"with_{client}.py"), way], env=environment, stderr=None, check=True
    )
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize(
    ("client", "way"),
    [
        ("requests_oauthlib", "password"),
        ("requests_oauthlib", "refresh"),
        ("requests_oauthlib", "code"),
        ("authlib", "password"),
        ("authlib", "refresh"),
        ("authlib", "code"),
        ("smappy", "password"),
        ("smappy", "refresh"),
        ("pysmappee", "token"),
        ("pysmappee", "code_with_the_secret_in_the_form"),
        ("pysmappee", "refresh_with_the_missing_attribute"),
    ],
)
async def test_a_foreign_client_logs_in_and_lists_the_locations(sim: Simulator, client: str, way: str) -> None:
    told = await outcome(sim, client, way)
    assert "error" not in told, told
    listed = [(each["serviceLocationId"], each["name"]) for each in told["value"]["serviceLocations"]]
    assert listed == [(park.service_location_id, park.name) for park in sim.world.parks.values()]
    assert (sim.oauth.refusals, sim.oauth.reuse_detections) == (0, 0)


async def test_smappy_reads_what_there_is_to_know_of_a_location(sim: Simulator) -> None:
    told = await outcome(sim, "smappy", "info")
    assert told["value"]["timezone"] == sim.world.parks[1001].timezone


@pytest.mark.parametrize("client", ["requests_oauthlib", "authlib"])
async def test_a_secret_as_http_basic_is_not_taken(sim: Simulator, client: str) -> None:
    told = await outcome(sim, client, "password_in_its_default_way")
    assert "unauthorized_client" in told["error"]


async def test_pysmappee_cannot_exchange_a_code(sim: Simulator) -> None:
    told = await outcome(sim, "pysmappee", "code")
    assert told["error"] == "AttributeError: 'SmappeeApi' object has no attribute 'client_secret'"


async def test_pysmappee_fails_after_it_has_spent_the_refresh_token(sim: Simulator) -> None:
    told = await outcome(sim, "pysmappee", "refresh")
    assert told["error"] == "AttributeError: 'SmappeeApi' object has no attribute 'token_updater'"
    assert sim.oauth.refresh_grants == 1
