"""How the service is reached: through which proxy, and with which TLS settings.

Nothing that names a proxy is ignored: it is used, or refused before anything is sent. The variables of the environment
are read here and not by aiohttp, because aiohttp reads ``.netrc`` with them and then refuses to send the bearer token.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from base64 import b64encode
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import attrs
import msgspec
from yarl import URL

from smappee_async.errors import CallFacts, ConfigurationError, SmappeeError, TransportError
from smappee_async.secret import Opaque, Secret

_HTTP_PORT: Final = 80
_ADVICE: Final = "Use http://host:port, or http://user:password@host:port"
#: Statuses that a proxy may give to an attempt and not to the next: it could not reach the service.
_UPSTREAM: Final = range(500, 600)


@attrs.frozen
class Proxy:
    """An http proxy.

    :param host: its host name or address.
    :param authorization: the value of ``Proxy-Authorization``, if the proxy has a user name and a password.
    """

    host: str
    port: int
    authorization: Secret | None = None

    @property
    def url(self) -> URL:
        """Its URL, without user name and password."""
        return URL.build(scheme="http", host=self.host, port=self.port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection(Opaque, msgspec.Struct, frozen=True, eq=False):
    """What a connection to the service is made with.

    :param proxy: ``None`` for none.
    :param tls: ``None`` for that of the connector.
    """

    proxy: Proxy | None = None
    tls: ssl.SSLContext | None = None

    def options(self) -> dict[str, Any]:
        """What aiohttp's ``request`` is told of it. The headers are new each time, because aiohttp changes them."""
        options: dict[str, Any] = {}
        if self.tls is not None:
            options["ssl"] = self.tls
        if self.proxy is not None:
            options["proxy"] = self.proxy.url
            if self.proxy.authorization is not None:
                options["proxy_headers"] = {"Proxy-Authorization": self.proxy.authorization.reveal()}
        return options


def check_tls(context: object) -> ssl.SSLContext | None:
    """The TLS settings, which verify the certificate and the host name.

    :raises ConfigurationError: they are something else than an ``ssl.SSLContext``, such as ``False``, or verify less.
    """
    advice = "Use ssl.create_default_context(cafile=...) with the certificate authority to trust"
    if context is None:
        return None
    if not isinstance(context, ssl.SSLContext):
        raise ConfigurationError(f"ssl takes an ssl.SSLContext, not {type(context).__name__}", advice=advice)
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError("ssl must verify the certificate and the host name", advice=advice)
    return context


def read_proxy(value: object, called: str = "proxy") -> Proxy | SmappeeError:
    """A proxy from its URL. The error is returned and names nothing of the URL, which may hold a password.

    :param called: what the text is called in an error.
    """
    text = str(value) if isinstance(value, URL) else value
    if not isinstance(text, str):
        return ConfigurationError(f"{called} must be a URL, not {type(value).__name__}", advice=_ADVICE)
    text = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or _HTTP_PORT
        # A password that is not percent-encoded may end up in the host or behind it.
        if parts.path.strip("/") or parts.query or parts.fragment:
            return ConfigurationError(f"{called} must end after host and port", advice=_ADVICE)
        if parts.scheme == "http" and host:
            proxy = Proxy(host, port, _authorization(parts))
            _ = proxy.url
            return proxy
    except ValueError:
        return ConfigurationError(f"{called} is not a URL with a host and a port", advice=_ADVICE)
    if parts.scheme == "http":
        return ConfigurationError(f"{called} has no host", advice=_ADVICE)
    advice = "Use an http proxy: the calls inside are encrypted all the same. For SOCKS, pass an http_session"
    return ConfigurationError(f"{called} is not an http proxy, and others are not supported", advice=advice)


def _authorization(parts: SplitResult) -> Secret | None:
    if parts.username is None and parts.password is None:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Secret(f"Basic {b64encode(pair.encode()).decode()}")


def find_proxy(
    base_url: str, given: Proxy | Literal[False] | None, host_session: aiohttp.ClientSession | None
) -> Proxy | SmappeeError | None:
    """The proxy for a service: the one that was given, else that of the host's session, else that of the environment.

    :param given: ``False`` for none at all.
    :param host_session: what it says is used; the environment only if it says so with ``trust_env``.
    """
    if given is False:
        return None
    proxy: Proxy | SmappeeError | None = given
    if proxy is None and host_session is not None:
        proxy = _of_session(host_session)
        if proxy is None and not host_session.trust_env:
            return None
    if proxy is None:
        return _of_environment(base_url)
    if isinstance(proxy, Proxy) and _is_plain(base_url) and not _is_here(proxy.host):
        return ConfigurationError(
            "base_url is http, so a proxy on another machine would see the password",
            advice="Go without the proxy (proxy=False), because this machine needs none, or use an https base_url",
        )
    return proxy


def _of_session(session: aiohttp.ClientSession) -> Proxy | SmappeeError | None:
    # There is no public attribute for the session's proxy; a behaviour test fails if these no longer hold it.
    url, login = getattr(session, "_default_proxy", None), getattr(session, "_default_proxy_auth", None)
    if url is None:
        return None
    proxy = read_proxy(url, "the proxy of the http_session")
    if isinstance(proxy, Proxy) and login is not None:
        return attrs.evolve(proxy, authorization=Secret(login.encode()))
    return proxy


def _of_environment(base_url: str) -> Proxy | SmappeeError | None:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    variables, parts = getproxies_environment(), urlsplit(base_url)
    text = variables.get(parts.scheme) or variables.get("all")
    # With variables, the settings of the system are not asked, which may take a look-up in the network.
    if not text or proxy_bypass(parts.netloc):
        return None
    name = parts.scheme if variables.get(parts.scheme) else "all"
    proxy = read_proxy(text, f"{name.upper()}_PROXY in the environment")
    if _is_plain(base_url) and not (isinstance(proxy, Proxy) and _is_here(proxy.host)):
        return None  # http is for this machine only, and a proxy elsewhere could neither reach it nor keep a secret
    return proxy


def _is_plain(base_url: str) -> bool:
    return base_url.startswith("http:")


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_asks_for_login(proxy: Proxy, facts: CallFacts) -> TransportError:
    """What a status of 407 means."""
    which = "a" if proxy.authorization is None else "another"
    return TransportError(
        f"the proxy {proxy} asks for {which} user name and password (status 407)",
        sent=False,
        refused_by_proxy=True,
        facts=facts,
        advice="Put them into the URL of the proxy, percent-encoded: http://user:password@host:port",
    )


def proxy_failure(error: aiohttp.ClientError, proxy: Proxy, facts: CallFacts) -> TransportError | None:
    """What the proxy did, if it is what failed; nothing of the service was reached then."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_asks_for_login(proxy, facts)
        return TransportError(
            f"the proxy {proxy} did not connect to the service (status {error.status})",
            sent=False,
            refused_by_proxy=error.status not in _UPSTREAM,
            facts=facts,
            advice="Ask whoever runs the proxy whether it admits this host",
        )
    advice = "Check the proxy that was set: proxy=, the http_session's, or HTTPS_PROXY in the environment"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        what = f"the host name of the proxy {proxy} is not known"
        return TransportError(what, sent=False, facts=facts, advice=advice)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        what = f"the proxy {proxy} cannot be reached"
        return TransportError(what, sent=False, facts=facts, advice=advice)
    return None
