"""One attempt over HTTP, with limits on time and size. No exception of aiohttp leaves this module.

Defaults of aiohttp that this module changes, each pinned by a test: aiohttp sends an idempotent request a second time
when the server disconnects, follows a 307 to any host with the body, counts the wait for a free connection as part of
the time-out, reads bodies of any size, shares cookies between accounts, and puts the bearer token in its exceptions.
"""

from __future__ import annotations

from contextvars import ContextVar
from http import HTTPStatus
from typing import Final

import aiohttp
import attrs
from aiohttp import hdrs
from yarl import URL

from smappee_async._version import __version__
from smappee_async.defaults import KEEPALIVE_S
from smappee_async.errors import CallFacts, ConfigurationError, ResponseTooLarge, TransportError, unwrap
from smappee_async.limits import Limits
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret
from smappee_async.transport.connection import Connection, Proxy, proxy_asks_for_login, proxy_failure
from smappee_async.transport.watch import Attempt, Watch

_READ_SIZE = 256 * 1024
#: The attempt that is made in this task.
_attempt: Final[ContextVar[Attempt]] = ContextVar("smappee attempt")


class _SentRequest(aiohttp.ClientRequest):
    """A request that tells when it is sent, so that the time before that does not count as silence of the server."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        _attempt.get().hear()
        return await super().send(conn)


class HttpTransport:
    """Sends requests over an aiohttp session of its own.

    :param host_session: a session that the host program owns. Only its connector is used, so that its cookies and
        headers neither reach Smappee nor are changed. It is never closed.
    :param connection: the proxy, that of the host's session too, and the TLS settings.
    """

    def __init__(
        self,
        limits: Limits,
        host_session: aiohttp.ClientSession | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._limits = limits
        self._watch = Watch(limits.attempt_timeout_s, limits.read_timeout_s)
        self._connection = connection or Connection()
        self._proxy = self._connection.proxy
        # The same for each request, unless it has the proxy's password, which is not kept in clear.
        self._options = self._connection.options() if self._proxy is None else None
        if host_session is not None and (host_session.closed or host_session.connector is None):
            raise ConfigurationError(
                "the http_session that was given is closed", advice="Give an open session, or none"
            )
        connector = None if host_session is None else host_session.connector
        try:
            self._session = aiohttp.ClientSession(
                connector=connector
                # There is one host, and a second limit would cost as much again.
                or aiohttp.TCPConnector(limit=limits.concurrency, keepalive_timeout=KEEPALIVE_S),
                connector_owner=connector is None,
                # Two accounts in one process must not share cookies.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    hdrs.USER_AGENT: f"smappee-async/{__version__}",
                    hdrs.ACCEPT: "application/json",
                    hdrs.ACCEPT_ENCODING: "gzip",
                },
                # With trust_env and a .netrc file, aiohttp refuses to send the bearer token. The environment is read in
                # transport/connection.py.
                trust_env=False,
                # The watch has the other timers.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_s),
                request_class=_SentRequest,
                trace_configs=None if host_session is None else host_session.trace_configs,
            )
        except RuntimeError:
            raise ConfigurationError(
                "the http_session that was given belongs to another event loop",
                advice="Create it in the loop that opens the client",
            ) from None
        # aiohttp sends a GET again by itself when the connection is lost, so counts of attempts would be wrong. There
        # is no public switch for this; a behaviour test fails if this attribute no longer works.
        self._session._retry_connection = False  # noqa: SLF001

    async def send(self, request: Request, access_token: Secret | None = None) -> Response:
        """Send a request once and read the whole response.

        :raises TransportError: no complete response arrived in time.
        :raises ResponseTooLarge: the response is beyond ``Limits.max_body_bytes``.
        """
        return unwrap(await self._exchange(request, access_token))

    async def _exchange(self, request: Request, access_token: Secret | None) -> Response | BaseException:
        attempt = self._watch.attempt()
        _attempt.set(attempt)
        try:
            with attempt:
                response = await self._session.request(
                    request.method,
                    _url(request.url),
                    data=None if request.form is None else request.form.reveal().encode(),
                    headers=_headers(request, access_token, self._proxy),
                    allow_redirects=False,
                    **(self._connection.options() if self._options is None else self._options),
                )
                attempt.hear()
                try:
                    return await self._received(request, response, attempt)
                finally:
                    # One that was read to its end is closed already, and its connection is used again.
                    if not response.closed:
                        response.close()
        except TimeoutError as error:
            if attempt.took_too_long:
                what = f"the attempt took longer than {self._limits.attempt_timeout_s:g} s"
                return TransportError(what, timed_out=True, facts=request.facts)
            return _timed_out(error, self._limits, request, self._proxy)
        except aiohttp.ClientError as error:
            return _failed(error, request, self._proxy)
        except OSError as error:
            return TransportError(f"the connection failed ({type(error).__name__})", facts=request.facts)
        except (ValueError, UnicodeError, RuntimeError) as error:
            # aiohttp raises plain errors for some malformed responses and for a closed session.
            return TransportError(
                f"the call failed inside the HTTP library ({type(error).__name__})", facts=request.facts
            )
        except BaseException as error:  # noqa: BLE001 - a cancellation: it leaves, but not through aiohttp's frames
            return error

    async def _received(
        self, request: Request, response: aiohttp.ClientResponse, attempt: Attempt
    ) -> Response | TransportError | ResponseTooLarge:
        if self._proxy is not None and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_asks_for_login(self._proxy, request.facts)
        body = await self._read(response, attempt)
        if body is None:
            size = f"{self._limits.max_body_bytes:,} bytes"
            return ResponseTooLarge(f"the response is larger than {size}", facts=_facts(request, response.status))
        return Response(status=response.status, headers=response.headers, body=body)

    async def _read(self, response: aiohttp.ClientResponse, attempt: Attempt) -> bytes | bytearray | None:
        """The body, decompressed; ``None`` as soon as it is known to be too large."""
        limit, length = self._limits.max_body_bytes, response.content_length
        if length is not None and length > limit:
            return None
        # Appended as it arrives, because joining a large body at the end would hold the event loop.
        body = bytearray()
        if length is not None and length <= _READ_SIZE and "Content-Encoding" not in response.headers:
            data = await response.content.readany()
            if response.content.at_eof():  # it came in one piece, as most do
                return data
            attempt.hear()
            body += data
        async for data in response.content.iter_chunked(_READ_SIZE):
            attempt.hear()
            if len(body) + len(data) > limit:
                return None
            body += data
        return body

    async def aclose(self) -> None:
        """Close the session; the host's connections stay open. A second call does nothing."""
        self._watch.close()
        await self._session.close()


def _url(text: str) -> URL:
    """A URL that is percent-encoded already. It is built of its parts, because parsing it would cost twice as much."""
    scheme, _, rest = text.partition("://")
    authority, slash, rest = rest.partition("/")
    path, _, query = rest.partition("?")
    return URL.build(scheme=scheme, authority=authority, path=slash + path, query_string=query, encoded=True)


def _headers(request: Request, access_token: Secret | None, proxy: Proxy | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if request.form is not None:
        headers[hdrs.CONTENT_TYPE] = "application/x-www-form-urlencoded;charset=UTF-8"
    if access_token is not None:
        headers[hdrs.AUTHORIZATION] = f"Bearer {access_token.reveal()}"
    if proxy is not None and proxy.authorization is not None and request.url.startswith("http:"):
        # In https, this header goes to the proxy with CONNECT, and the service does not see it.
        headers["Proxy-Authorization"] = proxy.authorization.reveal()
    return headers


def _facts(request: Request, status: int) -> CallFacts:
    return attrs.evolve(request.facts, status=status)


def _timed_out(error: TimeoutError, limits: Limits, request: Request, proxy: Proxy | None) -> TransportError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        through = "" if proxy is None else f" through the proxy {proxy}"
        what = f"no connection{through} within {limits.connect_timeout_s:g} s"
        return TransportError(what, sent=False, facts=request.facts)
    return TransportError(f"the server was silent for {limits.read_timeout_s:g} s", timed_out=True, facts=request.facts)


def _failed(error: aiohttp.ClientError, request: Request, proxy: Proxy | None) -> TransportError:
    """Name only the kind of failure, because aiohttp's exceptions hold headers and URLs."""
    if proxy is not None and (failure := proxy_failure(error, proxy, request.facts)) is not None:
        return failure
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = "the server's certificate is not trusted"
        return TransportError(reason, sent=False, untrusted=True, facts=request.facts)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError("the host name is not known", sent=False, facts=request.facts)
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError("the connection could not be opened", sent=False, facts=request.facts)
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransportError("the response ended too early", facts=request.facts)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return TransportError("the server disconnected without a response", facts=request.facts)
    return TransportError(f"the connection was lost ({type(error).__name__})", facts=request.facts)
