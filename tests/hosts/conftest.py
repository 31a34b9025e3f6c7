from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from smappee_async.simulator import Simulator
from tests.reliability.support import simulator

from .network import ForwardProxy, forward_proxy, tls_front

_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD", "NETRC")


@pytest.fixture(autouse=True)
def _no_proxy_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def sim(anyio_backend: object) -> AsyncIterator[Simulator]:
    async with simulator() as sim:
        yield sim


@pytest.fixture
async def proxy(anyio_backend: object) -> AsyncIterator[ForwardProxy]:
    """A proxy that admits everybody."""
    async with forward_proxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that no system trusts."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """TLS settings that trust the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def secure_url(sim: Simulator, authority: trustme.CA) -> AsyncIterator[str]:
    """The simulator's base URL behind TLS."""
    async with tls_front(sim.base_url, authority) as base_url:
        yield base_url
