"""Through which proxy a client goes: the one that was given, the session's, or the environment's, and never past it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from yarl import URL

from smappee_async import ConfigurationError, RetryPolicy, SmappeeClient, SmappeeError, TransportError
from smappee_async.simulator import Simulator
from tests.reliability.support import MARCH, credentials
from tests.walking import everything_about, shown

from .network import HERE, ForwardProxy, forward_proxy

pytestmark = pytest.mark.anyio

LOGIN = "marked-user:marked%2Fpass%40word"
PLAIN_LOGIN = "marked-user:marked/pass@word"
SECRETS = ("marked-user", "marked%2Fpass%40word", "marked/pass@word", "bWFya2VkLXVzZXI6")


def client_of(base_url: str, **settings: Any) -> SmappeeClient:
    settings.setdefault("retry", RetryPolicy.none())
    return SmappeeClient(credentials(), base_url=base_url, **settings)


def nothing_went_out(sim: Simulator) -> bool:
    return list(sim.requests) == []


# --- it goes through ------------------------------------------------------------------------------------------------------


async def test_a_proxy_that_is_given_is_used_for_login_and_calls(
    sim: Simulator, secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy
) -> None:
    """R49."""
    async with client_of(secure_url, proxy=proxy.url, ssl=tls) as client:
        sessions = await client.sessions([1001, 1002], MARCH).collect()
        assert len(await client.service_locations()) == 2

    assert sessions
    assert set(proxy.lines) == {f"CONNECT {urlsplit(secure_url).netloc} HTTP/1.1"}


async def test_one_connection_through_the_proxy_serves_several_calls(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy
) -> None:
    async with client_of(secure_url, proxy=proxy.url, ssl=tls) as client:
        for _ in range(5):
            await client.service_locations()

    assert len(proxy.heard) == 1


async def test_a_call_in_plain_http_goes_through_a_proxy_on_this_machine(sim: Simulator, proxy: ForwardProxy) -> None:
    """R49."""
    async with client_of(sim.base_url, proxy=proxy.url) as client:
        await client.service_locations()

    assert proxy.lines == [
        f"POST {sim.base_url}/oauth2/token HTTP/1.1",
        f"GET {sim.base_url}/servicelocation HTTP/1.1",
    ]


@pytest.mark.parametrize("how", ["tls", "plain"])
async def test_the_password_of_a_proxy_is_sent_to_it_and_not_to_the_service(
    sim: Simulator, secure_url: str, tls: ssl.SSLContext, how: str
) -> None:
    """R49."""
    base_url = secure_url if how == "tls" else sim.base_url
    async with (
        forward_proxy(login=PLAIN_LOGIN) as proxy,
        client_of(base_url, proxy=proxy.url_with(LOGIN), ssl=tls) as client,
    ):
        assert len(await client.service_locations()) == 2

    assert None not in {authorization for _, authorization in proxy.heard}


# --- a session of the host -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_what", [str, URL], ids=["str", "URL"])
async def test_the_proxy_of_a_hosts_session_is_used(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, as_what: Any
) -> None:
    """R49."""
    connector = aiohttp.TCPConnector(ssl=tls)
    async with (
        aiohttp.ClientSession(connector=connector, proxy=as_what(proxy.url)) as host,
        client_of(secure_url, http_session=host) as client,
    ):
        await client.service_locations()

    assert len(proxy.heard) == 1


@pytest.mark.filterwarnings("ignore:(The 'proxy_auth' parameter|BasicAuth) is deprecated:DeprecationWarning")
async def test_the_password_for_the_proxy_of_a_hosts_session_is_used(sim: Simulator) -> None:
    """R49."""
    login = aiohttp.BasicAuth("marked-user", "marked/pass@word")
    async with (
        forward_proxy(login=PLAIN_LOGIN) as proxy,
        aiohttp.ClientSession(proxy=proxy.url, proxy_auth=login) as host,
        client_of(sim.base_url, http_session=host) as client,
    ):
        assert len(await client.service_locations()) == 2


async def test_a_hosts_session_that_trusts_the_environment_goes_through_its_proxy(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), trust_env=True) as host,
        client_of(secure_url, http_session=host) as client,
    ):
        await client.service_locations()

    assert len(proxy.heard) == 1


async def test_a_hosts_session_that_does_not_trust_the_environment_goes_directly(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as host,
        client_of(secure_url, http_session=host) as client,
    ):
        await client.service_locations()

    assert proxy.heard == []


async def test_a_proxy_that_is_given_comes_before_that_of_the_session(sim: Simulator, proxy: ForwardProxy) -> None:
    async with (
        forward_proxy(refuses=403) as other,
        aiohttp.ClientSession(proxy=other.url) as host,
        client_of(sim.base_url, http_session=host, proxy=proxy.url) as client,
    ):
        await client.service_locations()

    assert proxy.heard
    assert other.heard == []


async def test_a_session_whose_proxy_cannot_be_used_is_refused_and_nothing_is_sent(sim: Simulator) -> None:
    """R49."""
    async with aiohttp.ClientSession(proxy=f"socks5://marked-user:marked-pass@{HERE}:1080") as host:
        with pytest.raises(ConfigurationError, match="the proxy of the http_session is not an http proxy") as error:
            await client_of(sim.base_url, http_session=host).__aenter__()

    assert nothing_went_out(sim)
    assert shown(["marked"], everything_about(error.value)) == []


async def test_aiohttp_keeps_the_proxy_of_a_session_where_it_is_looked_for() -> None:
    """R40: there is no public attribute for it."""
    async with aiohttp.ClientSession(proxy="http://127.0.0.1:1") as session:
        assert str(session._default_proxy) == "http://127.0.0.1:1"
        assert session._default_proxy_auth is None


# --- the environment --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def variable(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_the_proxy_of_the_environment_is_used(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv(variable, proxy.url.removeprefix("http://"))
    async with client_of(secure_url, ssl=tls) as client:
        await client.service_locations()

    assert len(proxy.heard) == 1


async def test_plain_http_goes_through_the_http_proxy_of_the_environment(
    sim: Simulator, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    async with client_of(sim.base_url) as client:
        await client.service_locations()

    assert len(proxy.heard) == 2


@pytest.mark.parametrize("hosts", [HERE, "*", "example.org, 127.0.0.1"])
async def test_hosts_in_no_proxy_are_reached_directly(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, hosts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", hosts)
    async with client_of(secure_url, ssl=tls) as client:
        await client.service_locations()

    assert proxy.heard == []


async def test_without_a_proxy_means_without_that_of_the_environment(
    secure_url: str, tls: ssl.SSLContext, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with client_of(secure_url, ssl=tls, proxy=False) as client:
        await client.service_locations()

    assert proxy.heard == []


@pytest.mark.parametrize(
    "elsewhere", ["http://proxy.invalid:3128", "socks5://127.0.0.1:1080", "https://127.0.0.1:3128"]
)
async def test_plain_http_to_this_machine_is_not_sent_to_a_proxy_elsewhere(
    sim: Simulator, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49: http is for this machine only, so the password does not leave it."""
    monkeypatch.setenv("HTTP_PROXY", elsewhere)
    monkeypatch.setenv("ALL_PROXY", elsewhere)
    async with client_of(sim.base_url) as client:
        assert len(await client.service_locations()) == 2


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_refused(
    sim: Simulator, secure_url: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    monkeypatch.setenv(variable, f"socks5://marked-user:marked-pass@{HERE}:1080")
    with pytest.raises(ConfigurationError, match=f"{variable.upper()} in the environment") as error:
        await client_of(secure_url).__aenter__()

    assert nothing_went_out(sim)
    assert shown(["marked"], everything_about(error.value)) == []


async def test_a_netrc_file_neither_replaces_the_bearer_nor_logs_in_at_the_proxy(
    sim: Simulator, proxy: ForwardProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R49."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HERE} login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    async with aiohttp.ClientSession(trust_env=True) as host, client_of(sim.base_url, http_session=host) as client:
        assert len(await client.service_locations()) == 2

    assert {authorization for _, authorization in proxy.heard} == {None}


async def test_the_fixtures_for_tests_need_no_proxy(
    monkeypatch: pytest.MonkeyPatch, smappee_client: SmappeeClient
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HERE}:1")
    async with smappee_client:
        assert await smappee_client.service_locations()


# --- the proxy fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tls", "plain"])
@pytest.mark.parametrize("login", ["", f"{LOGIN}@"], ids=["no-login", "wrong-login"])
async def test_a_proxy_that_asks_for_a_password_is_named_and_nothing_else_is_tried(
    sim: Simulator, secure_url: str, tls: ssl.SSLContext, how: str, login: str
) -> None:
    """R49."""
    base_url = secure_url if how == "tls" else sim.base_url
    async with forward_proxy(login="other:login") as proxy:
        url = f"http://{login}{HERE}:{proxy.port}"
        async with client_of(base_url, proxy=url, ssl=tls, retry=RetryPolicy()) as client:
            with pytest.raises(TransportError, match=r"the proxy .* user name and password \(status 407\)") as error:
                await client.service_locations()

    assert error.value.refused_by_proxy
    assert not error.value.sent
    assert "http://user:password@host:port" in error.value.advice
    assert len(proxy.heard) == 1
    assert nothing_went_out(sim)
    assert shown(SECRETS, everything_about(error.value)) == []


async def test_a_proxy_that_does_not_admit_the_service_is_not_asked_again(
    sim: Simulator, secure_url: str, tls: ssl.SSLContext
) -> None:
    """R49."""
    async with (
        forward_proxy(refuses=403) as proxy,
        client_of(secure_url, proxy=proxy.url, ssl=tls, retry=RetryPolicy()) as client,
    ):
        with pytest.raises(TransportError, match=r"did not connect to the service \(status 403\)"):
            await client.service_locations()

    assert len(proxy.heard) == 1
    assert nothing_went_out(sim)


async def test_a_proxy_that_cannot_reach_the_service_for_a_moment_is_asked_again(
    secure_url: str, tls: ssl.SSLContext
) -> None:
    quick = RetryPolicy(attempts=2, base_delay_s=0.0001, patience=None)
    async with (
        forward_proxy(refuses=502) as proxy,
        client_of(secure_url, proxy=proxy.url, ssl=tls, retry=quick) as client,
    ):
        with pytest.raises(TransportError, match="status 502") as error:
            await client.service_locations()

    assert not error.value.refused_by_proxy
    assert len(proxy.heard) > 1


@pytest.fixture
async def closed_port() -> AsyncIterator[int]:
    """A port where nobody listens."""
    with socket.socket() as bound:
        bound.bind((HERE, 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("how", ["tls", "plain"])
async def test_a_proxy_that_is_down_is_named_without_its_password(
    sim: Simulator, secure_url: str, tls: ssl.SSLContext, how: str, closed_port: int
) -> None:
    """R49."""
    base_url = secure_url if how == "tls" else sim.base_url
    events: list[object] = []
    settings: dict[str, Any] = {"proxy": f"http://{LOGIN}@{HERE}:{closed_port}", "on_event": events.append}
    async with client_of(base_url, ssl=tls, **settings) as client:
        with pytest.raises(TransportError, match=f"the proxy {HERE}:{closed_port} cannot be reached") as error:
            await client.service_locations()
        held = [repr(client), repr(vars(client))]

    assert nothing_went_out(sim)
    assert shown(SECRETS, [*everything_about(error.value), *held, *map(repr, events)]) == []


class KnowsNoName(AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> NoReturn:
        raise OSError(f"{host} is not known")

    async def close(self) -> None:
        pass


async def test_a_proxy_whose_name_is_not_known_is_named(secure_url: str) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=KnowsNoName())) as host,
        client_of(secure_url, http_session=host, proxy="http://proxy.invalid:3128") as client,
    ):
        with pytest.raises(TransportError, match=r"the host name of the proxy proxy\.invalid:3128 is not known"):
            await client.service_locations()


# --- what is refused when the client is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("socks5://marked-user:marked-pass@127.0.0.1:1080", "not an http proxy"),
        ("https://marked-user:marked-pass@127.0.0.1:3128", "not an http proxy"),
        ("http://marked-user:marked-pass@", "no host"),
        ("http://marked-user:marked#pass@127.0.0.1:3128", "host and a port"),
        ("http://marked-user:12#marked@127.0.0.1:3128", "end after host and port"),
        ("http://marked-user:12/marked@127.0.0.1:3128", "end after host and port"),
        ("http://127.0.0.1:port", "host and a port"),
        ("", "no host"),
        (True, "must be a URL, not bool"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_password(url: Any, says: str) -> None:
    """R49."""
    with pytest.raises(ConfigurationError, match=says) as error:
        client_of("https://example.org/dev/v3", proxy=url)

    assert shown(["marked"], everything_about(error.value)) == []


def test_the_frames_of_another_mistake_do_not_show_the_password_of_the_proxy() -> None:
    """R49."""
    with pytest.raises(SmappeeError) as error:
        client_of("http://example.org", proxy=f"http://{LOGIN}@{HERE}:1")

    assert shown(SECRETS, everything_about(error.value)) == []


async def test_plain_http_through_a_proxy_on_another_machine_is_refused(sim: Simulator) -> None:
    """R49."""
    with pytest.raises(ConfigurationError, match="another machine would see the password"):
        await client_of(sim.base_url, proxy="http://proxy.invalid:3128").__aenter__()

    assert nothing_went_out(sim)
