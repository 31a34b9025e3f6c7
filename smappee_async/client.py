"""The async session manager: one HTTP session, one token life, the front door to every query."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import NoReturn, Self, TypedDict, Unpack

import aiohttp
import anyio

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials, TokenProvider
from smappee_async.auth.manager import ProvidedTokens, TokenManager
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.errors import ClientClosed, ConfigurationError
from smappee_async.events import OnEvent
from smappee_async.limits import Limits, RetryPolicy
from smappee_async.models import JsonValue, ServiceLocation, ServiceLocationInfo, SessionState
from smappee_async.protocol import requests, responses
from smappee_async.query import session_query
from smappee_async.query.fetch import Fetcher
from smappee_async.query.plan import Target
from smappee_async.query.session_query import OnError, OnInvalid, Order, SessionQuery
from smappee_async.query.stream import Service, SessionStream
from smappee_async.query.truncation import TruncationCheck
from smappee_async.timerange import TimeRange
from smappee_async.transport.call import Caller, at_once
from smappee_async.transport.gate import Gate
from smappee_async.transport.http import HttpTransport

Park = int | ServiceLocation


class SmappeeClient:
    """Smappee's cloud for one account. Built before the loop runs, opened with ``async with``, shared by any tasks.

    :param credentials: who logs in; or a :class:`TokenProvider`, where the host program owns the login.
    :param base_url: where the service is; the simulator's for trying out. Only https, or http on this machine.
    :param token_store: where tokens are kept between runs and processes; in memory by default.
    :param http_session: the host's session, whose connections are shared; never closed and never changed.
    :param limits: how much at once.
    :param retry: how often again.
    :param on_event: told of attempts, waits, cuts and tokens; must not block.
    :raises ConfigurationError: something that was passed cannot work.
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
        self._on_event = on_event
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
            self._on_event,
        )
        self._was_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every stream, let a token renewal finish, and close the connections. Closing twice is nothing.

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
        self,
        parks: Park | Iterable[Park],
        time_range: TimeRange,
        *,
        state: SessionState = "completed",
        order: Order = "arrival",
        on_error: OnError = "raise",
        on_invalid: OnInvalid = "raise",
        deadline: timedelta | None = None,
        resume: Mapping[str, JsonValue] | None = None,
    ) -> SessionStream:
        """Charging sessions of charging parks ("Get charging sessions at a charging park", page 2803007489).

        Nothing is sent before the stream is read.

        :param parks: service location ids of charging parks, or service locations; one or many.
        :param time_range: selects sessions by their start.
        :param state: ``"completed"``, ``"active"``, or ``"all"``: both, each session once, as completed if it is.
        :param order: ``"arrival"`` is the fastest; ``"start"`` sorts by start over all parks, holding one range of
            each park in memory.
        :param on_error: ``"raise"`` ends the stream at the first each that stays unreadable; ``"collect"`` goes on
            and lists it in ``stream.failures``.
        :param on_invalid: the same for single records, in ``stream.invalid``.
        :param deadline: how long the stream may take from its first read: queueing, tokens and retries included.
        :param resume: what ``stream.checkpoint()`` gave: ranges that had been handed over are not asked again.
        :raises ConfigurationError: at once, for what cannot work.
        :raises ClientClosed: at once, if the client is not open.
        """
        listed = (parks,) if isinstance(parks, int | ServiceLocation) else parks
        return self._stream(
            session_query.parks(listed),
            time_range=time_range,
            state=state,
            order=order,
            on_error=on_error,
            on_invalid=on_invalid,
            deadline=deadline,
            resume=resume,
        )

    def station_sessions(
        self,
        serial_numbers: str | int | Iterable[str | int],
        time_range: TimeRange,
        *,
        state: SessionState = "completed",
        order: Order = "arrival",
        on_error: OnError = "raise",
        on_invalid: OnInvalid = "raise",
        deadline: timedelta | None = None,
        resume: Mapping[str, JsonValue] | None = None,
    ) -> SessionStream:
        """Charging sessions of charging stations, by serial number (page 2802286597); else like :meth:`sessions`."""
        listed = (serial_numbers,) if isinstance(serial_numbers, str | int) else serial_numbers
        return self._stream(
            session_query.stations(listed),
            time_range=time_range,
            state=state,
            order=order,
            on_error=on_error,
            on_invalid=on_invalid,
            deadline=deadline,
            resume=resume,
        )

    async def service_locations(self) -> list[ServiceLocation]:
        """The service locations that the account can see ("Get Servicelocations").

        :raises SmappeeError: the call did not succeed.
        """
        request = requests.service_locations(self._base_url)
        return await self._opened().caller.call(request, at_once(responses.read_service_locations))

    async def service_location(self, service_location_id: int) -> ServiceLocationInfo:
        """One service location's time zone, currency and more ("Get Servicelocation Info", page 526614552).

        :raises SmappeeError: the call did not succeed.
        """
        number = requests.check_service_location_id(service_location_id)
        request = requests.service_location_info(self._base_url, number)
        return await self._opened().caller.call(request, at_once(responses.read_service_location_info))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _opened(self) -> _Open:
        if self._open is None:
            raise ClientClosed("the client is closed" if self._was_open else "the client is not open yet")
        self._open.check()
        return self._open

    def _stream(self, targets: tuple[Target, ...], **how: Unpack[_How]) -> SessionStream:
        opened = self._opened()
        service = Service(
            caller=opened.caller,
            base_url=self._base_url,
            limits=self._limits,
            truncation=opened.truncation,
            verifying=opened.verifying,
            on_event=self._on_event,
            check=opened.check,
            opened=opened.fetchers.add,
        )
        return SessionStream(SessionQuery(targets=targets, **how), service)


class _How(TypedDict):
    """What both kinds of query are told besides whom to ask."""

    time_range: TimeRange
    state: SessionState
    order: Order
    on_error: OnError
    on_invalid: OnInvalid
    deadline: timedelta | None
    resume: Mapping[str, JsonValue] | None


class _Open:
    """What exists only while the client is open, and belongs to one event loop of one process."""

    def __init__(
        self,
        credentials: Credentials | TokenProvider,
        base_url: str,
        token_store: TokenStore | None,
        http_session: aiohttp.ClientSession | None,
        limits: Limits,
        retry: RetryPolicy,
        on_event: OnEvent | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._transport = HttpTransport(limits, http_session)
        self._tokens: TokenManager | ProvidedTokens
        if isinstance(credentials, Credentials):
            store = token_store or MemoryTokenStore()
            self._tokens = TokenManager(credentials, store, base_url, self._transport.send, on_event=on_event)
        else:
            self._tokens = ProvidedTokens(credentials)
        self.caller = Caller(self._transport, Gate(limits), self._tokens, retry, on_event)
        self.truncation = TruncationCheck(limits.verify_from_sessions)
        self.verifying = anyio.Lock()
        self.fetchers: weakref.WeakSet[Fetcher] = weakref.WeakSet()

    def check(self) -> None:
        """Refuse use from elsewhere: sockets do not survive a fork, and futures do not leave their loop."""
        if os.getpid() != self._process:
            raise ClientClosed("the client was opened in another process, before a fork")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # asked outside a loop, as when a stream is only prepared
        if loop is not self._loop:
            raise ClientClosed("the client was opened in another event loop")

    async def aclose(self) -> None:
        """End in the order in which the parts lean on each other; each ends whatever becomes of the others."""
        fetchers = tuple(self.fetchers)
        for fetcher in fetchers:
            fetcher.stop(ClientClosed("the client was closed while the stream was being read"))
        # Shielded, so that a renewal may end and be saved where a cancelled anyio scope closes the client. A native
        # cancellation gets through: then every part is told to end, and only the waiting is cut short.
        with anyio.CancelScope(shield=True):
            try:
                for fetcher in fetchers:
                    await fetcher.aclose()
            finally:
                try:
                    await self._tokens.aclose()
                finally:
                    await self._transport.aclose()
