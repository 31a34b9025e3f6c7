"""A certificate authority of one's own: trusted if it is said, and never by looking away."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp
import pytest

from smappee_async import ConfigurationError, SmappeeClient, TransportError
from smappee_async.simulator import Simulator
from tests.reliability.support import credentials

pytestmark = pytest.mark.anyio


def client_of(base_url: str, **settings: Any) -> SmappeeClient:
    return SmappeeClient(credentials(), base_url=base_url, **settings)


async def test_an_authority_that_is_given_is_trusted(secure_url: str, tls: ssl.SSLContext) -> None:
    """R49."""
    async with client_of(secure_url, ssl=tls) as client:
        assert len(await client.service_locations()) == 2


async def test_the_tls_settings_of_a_hosts_connector_are_used(secure_url: str, tls: ssl.SSLContext) -> None:
    """R49."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as host,
        client_of(secure_url, http_session=host) as client,
    ):
        assert len(await client.service_locations()) == 2


async def test_tls_settings_that_are_given_come_before_those_of_the_connector(
    secure_url: str, tls: ssl.SSLContext
) -> None:
    async with aiohttp.ClientSession() as host, client_of(secure_url, http_session=host, ssl=tls) as client:
        assert len(await client.service_locations()) == 2


async def test_an_authority_that_nobody_trusts_gets_no_byte(sim: Simulator, secure_url: str) -> None:
    """R49."""
    async with client_of(secure_url) as client:
        with pytest.raises(TransportError, match="not trusted") as error:
            await client.service_locations()

    assert error.value.untrusted
    assert list(sim.requests) == []


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def any_name() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (False, "takes an ssl.SSLContext, not bool"),
        (True, "takes an ssl.SSLContext, not bool"),
        ("company-ca.pem", "takes an ssl.SSLContext, not str"),
        (unverified(), "must verify the certificate and the host name"),
        (any_name(), "must verify the certificate and the host name"),
    ],
    ids=["False", "True", "path", "no-verification", "any-name"],
)
def test_verification_cannot_be_switched_off(context: Any, says: str) -> None:
    """R49."""
    with pytest.raises(ConfigurationError, match=says):
        client_of("https://example.org/dev/v3", ssl=context)
