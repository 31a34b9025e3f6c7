"""The client: holds the HTTP session and the token of one account, and makes streams."""

from __future__ import annotations

import asyncio
import os
import random
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import NoReturn, Self, Unpack

import aiohttp
import anyio

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials, TokenProvider
from smappee_async.auth.manager import TokenManager
from smappee_async.auth.provided import ProvidedTokens
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.errors import ClientClosed, ConfigurationError
from smappee_async.events import EventReporter, OnEvent
from smappee_async.limits import Limits, RetryPolicy
from smappee_async.models import ServiceLocation, ServiceLocationInfo
from smappee_async.protocol import requests, responses
from smappee_async.query.fetch import Fetcher
from smappee_async.query.session_query import Park, QueryOptions, SessionQuery
from smappee_async.query.stream import Service, SessionStream
from smappee_async.query.truncation import TruncationCheck
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import Caller
from smappee_async.transport.gate import Gate
from smappee_async.transport.http import HttpTransport
from smappee_async.transport.rate import local_rate_limiter


class SmappeeClient:
    """Smappee's cloud for one account. Made anywhere, opened with ``async with``, and then used by any number of tasks.

    :param credentials: who logs in; or a :class:`TokenProvider`, if the host program owns the login.
    :param base_url: the URL of the service, or of the simulator. Only https, or http on this machine.
    :param token_store: where tokens are kept between runs and processes; in memory by default.
    :param http_session: the host's session, whose connector is shared; never closed and never changed.
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
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
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
        self._limits = limits or Limits()
        self._retry = retry or RetryPolicy()
        self._reporter = EventReporter(on_event)
        self._open: _Open | None = None
        self._was_open = False

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._open is not None or self._was_open:
            raise ClientClosed("the client is already open, or was used before")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            advice = "It does not run under trio; with anyio, choose the backend asyncio"
            raise ConfigurationError("smappee_async needs a running asyncio event loop", advice=advice) from None
        self._open = _Open(
            self._credentials,
            self._base_url,
            self._token_store,
            self._http_session,
            self._limits,
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
        limits: Limits,
        retry: RetryPolicy,
        reporter: EventReporter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._transport = HttpTransport(limits, http_session)
        self._tokens: TokenManager | ProvidedTokens
        if isinstance(credentials, Credentials):
            store = token_store or MemoryTokenStore()
            self._tokens = TokenManager(
                credentials, store, base_url, self._transport.send, reporter=reporter, jitter=random.random()
            )
        else:
            self._tokens = ProvidedTokens(credentials)
        self.caller = Caller(
            self._transport,
            Gate(limits.concurrency, local_rate_limiter(limits.requests_per_second)),
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
