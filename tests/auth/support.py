"""A token service without a network, clocks that are moved by hand, and a store that fails on demand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from smappee_async import ClientEvent, Credentials, StoredToken, Token, TransportError
from smappee_async.auth.lifetime import Clocks
from smappee_async.auth.manager import TokenManager
from smappee_async.auth.stores import Lease, TokenStore
from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.events import EventReporter
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.simulator import Account, Assumptions, TokenServer

ACCOUNT: Final = Account(
    client_id="the-client-id", client_secret="the-client-secret", username="the user name", password="the&pass=word"
)
BASE_URL: Final = "https://smappee.invalid/dev/v3"
LIFE_S: Final = 36_000
#: Within the margin of every jitter, while the token is still valid.
NEAR_THE_END_S: Final = LIFE_S - 100


def credentials(**changes: str) -> Credentials:
    return attrs.evolve(
        Credentials(ACCOUNT.client_id, ACCOUNT.client_secret, ACCOUNT.username, ACCOUNT.password), **changes
    )


def only_refresh(refresh_token: str | None) -> Credentials:
    """Credentials without a password."""
    assert refresh_token is not None
    return Credentials(ACCOUNT.client_id, ACCOUNT.client_secret, refresh_token=refresh_token)


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_790_000_000.0
        self.monotonic = 5_000.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.monotonic)


@attrs.frozen
class Trouble:
    """What happens to one token call. With ``granted``, the service granted it, but its response does not arrive."""

    happens: Callable[[], Response]
    granted: bool = False


def responses(status: int, body: object = b"", **headers: str) -> Trouble:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return Trouble(lambda: Response(status=status, headers=lower, body=data))


def _fails(error: Callable[[], Exception], *, granted: bool = False) -> Trouble:
    def happens() -> Response:
        raise error()

    return Trouble(happens, granted)


#: The service granted the call, and its response was lost.
LOST_RESPONSE = _fails(lambda: TransportError("the server hung up without a response"), granted=True)
#: The service did not grant the call, but the client cannot know that.
NO_RESPONSE = _fails(lambda: TransportError("the server hung up without a response"))
NOT_SENT = _fails(lambda: TransportError("the connection could not be opened", sent=False))
BARE_400 = responses(400)
INVALID_GRANT = responses(400, {"error": "invalid_grant"})


class Service:
    """Smappee's token endpoint, strict about rotation, called without a network."""

    def __init__(self, clock: Clock, assumptions: Assumptions | None = None) -> None:
        self._clock = clock
        self.oauth = TokenServer(ACCOUNT, assumptions or Assumptions(), seed=1)
        self.posts: list[str] = []
        self.script: deque[Trouble] = deque()
        self.forever: Trouble | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """Awaited during a call, before the service answers."""
        self.steps = 3
        """How many turns of the event loop a call takes before and after the service grants it."""

    async def send(self, request: Request) -> Response:
        assert request.form is not None
        form = dict(parse_qsl(request.form.reveal()))
        self.posts.append(form["grant_type"])
        trouble = self.script.popleft() if self.script else self.forever
        await self._turns()
        if self.meanwhile is not None:
            await self.meanwhile()
        if trouble is not None and not trouble.granted:
            return trouble.happens()
        response = self.oauth.grant(form, self._clock.monotonic)
        await self._turns()
        if trouble is not None:
            return trouble.happens()
        return Response(status=response.status, body=json.dumps(response.body).encode())

    async def _turns(self) -> None:
        for _ in range(self.steps):
            await asyncio.sleep(0)

    def accepts(self, access_token: str) -> bool:
        return self.oauth.accepts(access_token, self._clock.monotonic)


class Held:
    """Holds a token call until ``go`` is set."""

    def __init__(self, service: Service) -> None:
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        service.meanwhile = self._wait

    async def _wait(self) -> None:
        self.arrived.set()
        await self.go.wait()


class LeaseOfTest:
    """A lock that lasts as long as the test wants."""

    def __init__(self, store: ShakyStore) -> None:
        self._store = store

    def remaining_s(self) -> float:
        return self._store.leases.popleft() if self._store.leases else 60.0


class ShakyStore:
    """A store in memory that fails on demand, and gives other tasks a turn at every step."""

    def __init__(self, token: Token | None = None) -> None:
        self._store = MemoryTokenStore(token)
        self.failing: set[str] = set()
        self.error: Callable[[], Exception] = lambda: OSError(28, "No space left on device")
        self.leases: deque[float] = deque()
        """What the lease returns for each call of ``remaining_s``; a minute after that."""
        self.locks = 0
        self.writes: list[StoredToken] = []

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[Lease]:
        self._check("lock")
        async with self._store.lock():
            self.locks += 1
            yield LeaseOfTest(self)
        self._check("unlock")

    async def load(self) -> StoredToken | None:
        await asyncio.sleep(0)
        self._check("load")
        return await self._store.load()

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        await asyncio.sleep(0)
        self._check("mark" if new.refreshing else "save")
        replaced = await self._store.replace(expected_generation, new)
        if replaced:
            self.writes.append(new)
        await asyncio.sleep(0)
        return replaced

    def _check(self, what: str) -> None:
        if what in self.failing:
            raise self.error()


class Stage:
    """One service, one store, and as many managers as a test wants."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.service = Service(self.clock)
        self.store = ShakyStore()
        self.events: list[ClientEvent] = []
        self.managers: list[TokenManager] = []

    def manager(self, who: Credentials | None = None, store: TokenStore | None = None, **settings: Any) -> TokenManager:
        manager = TokenManager(
            who or credentials(),
            store or self.store,
            BASE_URL,
            settings.pop("send", self.service.send),
            reporter=EventReporter(self.events.append, clock=lambda: self.clock.monotonic),
            clocks=self.clock.clocks,
            jitter=settings.pop("jitter", 0.5),
            **settings,
        )
        self.managers.append(manager)
        return manager

    async def logged_in(self, who: Credentials | None = None) -> TokenManager:
        """A manager that has logged in. Its call and its events are forgotten."""
        manager = self.manager(who)
        await manager.access_token()
        self.service.posts.clear()
        self.events.clear()
        return manager

    async def without_password(self) -> TokenManager:
        """A manager without a password, which has used its refresh token once."""
        return await self.logged_in(only_refresh(self.a_refresh_token()))

    def a_refresh_token(self) -> str:
        """A refresh token that the login of another program got."""
        form = {
            "grant_type": "password",
            "client_id": ACCOUNT.client_id,
            "client_secret": ACCOUNT.client_secret,
            "username": ACCOUNT.username,
            "password": ACCOUNT.password,
        }
        token = self.service.oauth.grant(form, self.clock.monotonic).body["refresh_token"]
        assert isinstance(token, str)
        return token

    def a_pair(self, number: int) -> Token:
        """A pair that no service gave; a larger number is newer."""
        expires_at = datetime.fromtimestamp(self.clock.wall + number, UTC)
        return Token(f"access-{number}", f"refresh-{number}", expires_at)

    async def kept(self) -> StoredToken:
        stored = await self.store._store.load()
        assert stored is not None
        return stored

    def heard(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.events)


async def settle(turns: int = 50) -> None:
    """Let all tasks in the background end."""
    for _ in range(turns):
        await asyncio.sleep(0)
