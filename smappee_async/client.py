"""The client: holds the HTTP session and the token of one account, and makes streams."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, NoReturn, Self, Unpack

import aiohttp
import anyio

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials, TokenProvider
from smappee_async.auth.manager import TokenManager
from smappee_async.auth.provided import ProvidedTokens
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.errors import ClientClosed, ConfigurationError, unwrap
from smappee_async.events import EventReporter, OnEvent
from smappee_async.limits import Limits, RateLimiter, RetryPolicy
from smappee_async.models import ServiceLocation, ServiceLocationInfo
from smappee_async.protocol import requests, responses
from smappee_async.query.fetch import Fetcher
from smappee_async.query.reading import Service
from smappee_async.query.session_query import Park, QueryOptions, SessionQuery
from smappee_async.query.stream import SessionStream
from smappee_async.query.truncation import TruncationCheck
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import CallCost, Caller, CallResult, ReadResponse, ResultT
from smappee_async.transport.connection import Connection, Proxy, check_tls, find_proxy, read_proxy
from smappee_async.transport.gate import Gate
from smappee_async.transport.http import HttpTransport
from smappee_async.transport.rate import rate_limiter


class SmappeeClient:
    """Smappee's cloud for one account. Made anywhere, opened with ``async with``, and then used by any number of tasks.

    :param credentials: who logs in; or a :class:`TokenProvider`, if the host program owns the login.
    :param base_url: the URL of the service, or of the simulator. Only https, or http on this machine.
    :param token_store: where tokens are kept between runs and processes; in memory by default.
    :param http_session: the host's session, whose connector and proxy are used; never closed and never changed.
    :param proxy: the URL of an http proxy, with user name and password if it needs them. By default the one of the
        ``http_session``, which may leave it to the environment by ``trust_env``; without a session, the one of the
        environment (``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``). ``False`` for none.
    :param ssl: TLS settings, for an own certificate authority; those of the connector by default. They must verify.
    :param limits: how much is asked for at once.
    :param retry: how often a call is tried.
    :param on_event: called with what happens in the client, see :class:`ClientEvent`; must not block.
    :raises ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        credentials: Credentials | TokenProvider,
        *,
        base_url: str = defaults.BASE_URL,
        token_store: TokenStore | None = None,
        http_session: aiohttp.ClientSession | None = None,
        proxy: str | Literal[False] | None = None,
        ssl: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        found = proxy if proxy is None or proxy is False else read_proxy(proxy)
        del proxy  # the frame of an error would show its password
        if not isinstance(credentials, Credentials | TokenProvider):
            raise ConfigurationError(
                f"credentials must be Credentials or a TokenProvider, not {type(credentials).__name__}",
                advice="Use Credentials(...), or Credentials.from_env()",
            )
        if token_store is not None and not isinstance(credentials, Credentials):
            raise ConfigurationError("a token_store has no use where a TokenProvider owns the login")
        self._credentials = credentials
        self._base_url = requests.check_base_url(base_url)
        self._token_store = token_store
        self._http_session = http_session
        self._proxy: Proxy | Literal[False] | None = unwrap(found)
        self._tls = check_tls(ssl)
        self._limits = limits or Limits()
        self._retry = retry or RetryPolicy()
        self._reporter = EventReporter(on_event)
        self._open: _Open | None = None
        self._was_open = False

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            advice = "It does not run under trio; with anyio, choose the backend asyncio"
            raise ConfigurationError("smappee_async needs a running asyncio event loop", advice=advice) from None
        rate = await rate_limiter(self._limits.rate)
        if self._open is not None or self._was_open:
            raise ClientClosed("the client is already open, or was used before")
        proxy = unwrap(find_proxy(self._base_url, self._proxy, self._http_session))
        self._open = _Open(
            self._credentials,
            self._base_url,
            self._token_store,
            self._http_session,
            Connection(proxy, self._tls),
            self._limits,
            rate,
            self._retry,
            self._reporter,
        )
        self._was_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all streams, let a token renewal finish, and close the connections. A second call does nothing.

        :raises TokenStoreError: the latest tokens could not be saved.
        """
        opened, self._open = self._open, None
        if opened is not None:
            await opened.aclose()

    def __repr__(self) -> str:
        state = "open" if self._open is not None else "closed" if self._was_open else "not open yet"
        return f"<SmappeeClient {self._base_url} {state}>"

    def __getstate__(self) -> NoReturn:
        raise TypeError("a client is not pickled or copied; build one in each process")

    # --- queries ------------------------------------------------------------------------------------------------------

    def sessions(
        self, parks: Park | Iterable[Park], time_range: TimeRange, **options: Unpack[QueryOptions]
    ) -> SessionStream:
        """Charging sessions of charging parks ("Get charging sessions at a charging park", service.md#park-sessions).

        Nothing is sent before the stream is read.

        :param parks: service location ids of charging parks, or service locations; one or several.
        :param time_range: selects sessions by their start.
        :param options: ``state``, ``order``, ``on_error``, ``on_invalid``, ``deadline`` and ``resume``, as described at
            :class:`SessionQuery`.
        :raises ConfigurationError: at once, if the query cannot be answered.
        :raises ClientClosed: at once, if the client is not open.
        """
        return self.stream(SessionQuery.parks(parks, time_range, **options))

    def station_sessions(
        self,
        serial_numbers: str | int | Iterable[str | int],
        time_range: TimeRange,
        **options: Unpack[QueryOptions],
    ) -> SessionStream:
        """Charging sessions of charging stations, by serial number; otherwise like :meth:`sessions`.

        Documented: service.md#station-sessions.
        """
        return self.stream(SessionQuery.stations(serial_numbers, time_range, **options))

    def stream(self, query: SessionQuery) -> SessionStream:
        """The sessions of a query, which may give each target a time range of its own.

        :raises ConfigurationError: at once, if ``query.resume`` is not a checkpoint of such a query.
        :raises ClientClosed: at once, if the client is not open.
        """
        opened = self._opened()
        service = Service(
            caller=opened.caller,
            base_url=self._base_url,
            limits=self._limits,
            truncation=opened.truncation,
            reporter=self._reporter,
            check=opened.check,
            opened=opened.fetchers.add,
        )
        return SessionStream(query, service)

    async def service_locations(self) -> list[ServiceLocation]:
        """The service locations that the account can see ("Get Servicelocations").

        :raises SmappeeError: the call did not succeed.
        """
        request = requests.service_locations(self._base_url)
        return (await self._opened().caller.call(request, responses.read_service_locations)).value

    async def service_location(self, service_location_id: int) -> ServiceLocationInfo:
        """One service location's time zone, currency and more (service.md#service-location-info).

        :raises SmappeeError: the call did not succeed.
        """
        number = requests.check_service_location_id(service_location_id)
        request = requests.service_location_info(self._base_url, number)
        return (await self._opened().caller.call(request, responses.read_service_location_info)).value

    # --- for the other rooms of this package --------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._base_url

    async def call(self, request: requests.Request, read: ReadResponse[ResultT], cost: CallCost) -> CallResult[ResultT]:
        """Make any call; for this package only.

        :raises SmappeeError: the call did not succeed.
        """
        return await self._opened().caller.call(request, read, add_cost_to=cost)

    async def renews_refresh_token(self) -> bool | None:
        """Renew the token, and say whether the refresh token is another then; for this package only.

        :return: ``None`` if the host owns the login, or there is no refresh token.
        """
        return await self._opened().renews_refresh_token()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _opened(self) -> _Open:
        if self._open is None:
            raise ClientClosed("the client is closed" if self._was_open else "the client is not open yet")
        self._open.check()
        return self._open


class _Open:
    """What exists only while the client is open: it belongs to one event loop of one process."""

    def __init__(
        self,
        credentials: Credentials | TokenProvider,
        base_url: str,
        token_store: TokenStore | None,
        http_session: aiohttp.ClientSession | None,
        connection: Connection,
        limits: Limits,
        rate: RateLimiter | None,
        retry: RetryPolicy,
        reporter: EventReporter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._transport = HttpTransport(limits, http_session, connection)
        self._store: TokenStore | None = None
        self._tokens: TokenManager | ProvidedTokens
        if isinstance(credentials, Credentials):
            store = self._store = token_store or MemoryTokenStore()
            self._tokens = TokenManager(
                credentials, store, base_url, self._transport.send, reporter=reporter, jitter=random.random()
            )
        else:
            self._tokens = ProvidedTokens(credentials)
        self.caller = Caller(
            self._transport,
            Gate(limits.concurrency, rate),
            self._tokens,
            retry,
            reporter,
            probe=requests.service_locations(base_url),
        )
        self.truncation = TruncationCheck(limits.verify_from_sessions)
        self.fetchers: weakref.WeakSet[Fetcher] = weakref.WeakSet()

    def check(self) -> None:
        """Refuse use from another process or event loop: sockets and futures work in their own only."""
        if os.getpid() != self._process:
            raise ClientClosed("the client was opened in another process, before a fork")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # called outside of a loop, as when a stream is made in advance
        if loop is not self._loop:
            raise ClientClosed("the client was opened in another event loop")

    async def renews_refresh_token(self) -> bool | None:
        """See :meth:`SmappeeClient.renews_refresh_token`."""
        before = None if self._store is None else await self._store.load()
        if self._store is None or before is None or before.token is None or before.token.refresh_token is None:
            return None
        await self._tokens.access_token(before.token.access_token)
        after = await self._store.load()
        return after is not None and after.token is not None and after.token.refresh_token != before.token.refresh_token

    async def aclose(self) -> None:
        """Close streams, then tokens, then transport; a failure of one does not skip the others."""
        fetchers = tuple(self.fetchers)
        for fetcher in fetchers:
            fetcher.stop(ClientClosed("the client was closed while the stream was being read"))
        # Shielded, so that a token renewal can end and be saved when a cancelled anyio scope closes the client. A
        # native cancellation interrupts the waits; everything is closed nevertheless.
        with anyio.CancelScope(shield=True):
            try:
                for fetcher in fetchers:
                    await fetcher.aclose()
            finally:
                try:
                    await self._tokens.aclose()
                finally:
                    await self._transport.aclose()
