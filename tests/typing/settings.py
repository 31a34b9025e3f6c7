"""What users write to set a client up. Nobody runs this: mypy and pyright read it."""

# pyright: strict

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_type

import aiohttp

from smappee_async import (
    CallFacts,
    ClientEvent,
    Credentials,
    FileTokenStore,
    Limits,
    MemoryTokenStore,
    RateLimiter,
    RedisRateLimiter,
    RedisTokenStore,
    RetryPolicy,
    SmappeeClient,
    StoredToken,
    Token,
    TokenProvider,
    TokenStore,
)
from smappee_async.telemetry import OpenTelemetryHook

LOG = logging.getLogger(__name__)


def every_setting(session: aiohttp.ClientSession) -> SmappeeClient:
    """Each setting by its name; a client is built without a loop."""
    return SmappeeClient(
        Credentials("client", "secret", "user", "password"),
        base_url="https://app1pub.smappee.net/dev/v3",
        token_store=MemoryTokenStore(),
        http_session=session,
        proxy="http://proxy.example:3128",
        ssl=ssl.create_default_context(),
        limits=Limits(concurrency=16, rate=5, verify_from_sessions=None),
        retry=RetryPolicy(attempts=3, patience=timedelta(hours=1)),
        on_event=lambda event: LOG.info(event.kind),
    )


def credentials() -> list[Credentials]:
    """With a password, with a refresh token, or from a mapping."""
    return [
        Credentials("client", "secret", username="user", password="password"),
        Credentials("client", "secret", refresh_token="token"),
        Credentials.from_env({"SMAPPEE_CLIENT_ID": "client"}),
    ]


# --- telemetry


def traced(credentials: Credentials) -> SmappeeClient:
    """A hook of the package in place of one's own."""
    return SmappeeClient(credentials, on_event=OpenTelemetryHook())


def log_event(event: ClientEvent) -> None:
    """A hook that is a function."""
    assert_type(event.facts, CallFacts)
    assert_type(event.duration_s, float | None)
    if event.kind == "attempt_ended" and event.outcome == "failed":
        LOG.warning("%s %s", event.facts, event.detail)


class Counter:
    """A hook that is a method."""

    def __init__(self) -> None:
        self.waited_s = 0.0

    def count(self, event: ClientEvent) -> None:
        """Add up the waits."""
        if event.kind == "wait_ended":
            self.waited_s += event.duration_s or 0.0


HOOKS = [
    SmappeeClient(Credentials.from_env(), on_event=log_event),
    SmappeeClient(Credentials.from_env(), on_event=Counter().count),
    SmappeeClient(Credentials.from_env(), retry=RetryPolicy.none()),
]


# --- rate


class OwnLimiter:
    """A rate limiter of the user's own; it inherits from nothing."""

    async def acquire(self) -> None:
        """Wait."""

    async def throttled(self, retry_after_s: float | None) -> None:
        """Note."""


RATES: list[float | RateLimiter | None] = [
    None,
    5,
    0.5,
    OwnLimiter(),
    RedisRateLimiter("redis://localhost", "smappee:account-1", rate=40, fallback=10),
]
LIMITS = [Limits(rate=rate) for rate in RATES]


# --- tokens


class HostLogin:
    """A host program that owns the login; it inherits from nothing."""

    async def access_token(self, rejected: str | None) -> str:
        """Give a token that is not the rejected one."""
        return "token" if rejected is None else f"not {rejected}"


class ListStore:
    """A token store of the user's own; it inherits from nothing."""

    def __init__(self) -> None:
        self.kept: list[StoredToken] = []

    def lock(self) -> AbstractAsyncContextManager[OwnLease]:
        """Hand out a lease."""
        return self._lock()

    @asynccontextmanager
    async def _lock(self) -> AsyncGenerator[OwnLease]:
        yield OwnLease()

    async def load(self) -> StoredToken | None:
        """Read."""
        return self.kept[-1] if self.kept else None

    async def replace(self, expected_generation: int, new: StoredToken) -> bool:
        """Write."""
        if expected_generation != len(self.kept):
            return False
        self.kept.append(new)
        return True


class OwnLease:
    """A lock that lasts a minute."""

    def remaining_s(self) -> float:
        """Seconds."""
        return 60.0


async def keep(token: Token) -> None:
    """Save each new pair."""
    assert_type(token.expires_at, datetime)
    assert_type(token.access_token.reveal(), str)


PROVIDER: TokenProvider = HostLogin()
STORES: list[TokenStore] = [
    MemoryTokenStore(),
    MemoryTokenStore(Token("access", "refresh", datetime.now(UTC)), on_token=keep),
    MemoryTokenStore(Token.from_dict({})),
    FileTokenStore("tokens.json"),
    RedisTokenStore("redis://localhost", key="smappee", lease_s=30),
    ListStore(),
]
CLIENTS = [
    SmappeeClient(HostLogin()),
    SmappeeClient(PROVIDER),
    *(SmappeeClient(Credentials.from_env(), token_store=store) for store in STORES),
]
