"""Charging sessions of Smappee EV charging parks, for asyncio programs.

::

    async with SmappeeClient(Credentials.from_env()) as smappee:
        october = TimeRange.month(2026, 10, tz="Europe/Brussels")
        async for session in smappee.sessions([12345, 67890], october):
            print(session.service_location_id, session.started_at, session.energy_kwh)

Names are loaded when they are first asked for, so that the simulator and the test fixtures do not bring the client in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from smappee_async._version import __version__ as __version__

if TYPE_CHECKING:
    from smappee_async.auth.credentials import Credentials as Credentials
    from smappee_async.auth.credentials import TokenProvider as TokenProvider
    from smappee_async.auth.stores import TokenStore as TokenStore
    from smappee_async.auth.stores.file import FileTokenStore as FileTokenStore
    from smappee_async.auth.stores.memory import MemoryTokenStore as MemoryTokenStore
    from smappee_async.auth.stores.redis import RedisTokenStore as RedisTokenStore
    from smappee_async.auth.tokens import StoredToken as StoredToken
    from smappee_async.auth.tokens import Token as Token
    from smappee_async.client import SmappeeClient as SmappeeClient
    from smappee_async.errors import ApiError as ApiError
    from smappee_async.errors import AuthenticationError as AuthenticationError
    from smappee_async.errors import BadRequest as BadRequest
    from smappee_async.errors import CallFacts as CallFacts
    from smappee_async.errors import ClientClosed as ClientClosed
    from smappee_async.errors import ConfigurationError as ConfigurationError
    from smappee_async.errors import DeadlineExceeded as DeadlineExceeded
    from smappee_async.errors import ExportError as ExportError
    from smappee_async.errors import NotFound as NotFound
    from smappee_async.errors import PermissionDenied as PermissionDenied
    from smappee_async.errors import RateLimited as RateLimited
    from smappee_async.errors import RateLimiterError as RateLimiterError
    from smappee_async.errors import RefreshTokenLost as RefreshTokenLost
    from smappee_async.errors import RequestError as RequestError
    from smappee_async.errors import ResponseDecodeError as ResponseDecodeError
    from smappee_async.errors import ResponseTooLarge as ResponseTooLarge
    from smappee_async.errors import ServerError as ServerError
    from smappee_async.errors import SmappeeError as SmappeeError
    from smappee_async.errors import SyncStoreError as SyncStoreError
    from smappee_async.errors import TokenStoreError as TokenStoreError
    from smappee_async.errors import TransportError as TransportError
    from smappee_async.events import ClientEvent as ClientEvent
    from smappee_async.limits import Limits as Limits
    from smappee_async.limits import RateLimiter as RateLimiter
    from smappee_async.limits import RetryPolicy as RetryPolicy
    from smappee_async.models import ChargingSession as ChargingSession
    from smappee_async.models import ChunkFailure as ChunkFailure
    from smappee_async.models import InvalidRecord as InvalidRecord
    from smappee_async.models import ServiceLocation as ServiceLocation
    from smappee_async.models import ServiceLocationInfo as ServiceLocationInfo
    from smappee_async.models import SessionBatch as SessionBatch
    from smappee_async.models import SessionStatus as SessionStatus
    from smappee_async.models import StreamStats as StreamStats
    from smappee_async.protocol.converter import converter as converter
    from smappee_async.query.seen import Seen as Seen
    from smappee_async.query.seen import seen_in as seen_in
    from smappee_async.query.session_query import QueryOptions as QueryOptions
    from smappee_async.query.session_query import SessionQuery as SessionQuery
    from smappee_async.query.stream import SessionStream as SessionStream
    from smappee_async.query.target import Target as Target
    from smappee_async.timerange import TimeRange as TimeRange
    from smappee_async.transport.redis_rate import RedisRateLimiter as RedisRateLimiter

_ROOMS: Final = {
    "auth.credentials": ("Credentials", "TokenProvider"),
    "auth.stores": ("TokenStore",),
    "auth.stores.file": ("FileTokenStore",),
    "auth.stores.redis": ("RedisTokenStore",),
    "auth.stores.memory": ("MemoryTokenStore",),
    "auth.tokens": ("StoredToken", "Token"),
    "client": ("SmappeeClient",),
    "errors": (
        "ApiError",
        "AuthenticationError",
        "BadRequest",
        "CallFacts",
        "ClientClosed",
        "ConfigurationError",
        "DeadlineExceeded",
        "ExportError",
        "NotFound",
        "PermissionDenied",
        "RateLimited",
        "RateLimiterError",
        "RefreshTokenLost",
        "RequestError",
        "ResponseDecodeError",
        "ResponseTooLarge",
        "ServerError",
        "SmappeeError",
        "SyncStoreError",
        "TokenStoreError",
        "TransportError",
    ),
    "events": ("ClientEvent",),
    "limits": ("Limits", "RateLimiter", "RetryPolicy"),
    "models": (
        "ChargingSession",
        "ChunkFailure",
        "InvalidRecord",
        "ServiceLocation",
        "ServiceLocationInfo",
        "SessionBatch",
        "SessionStatus",
        "StreamStats",
    ),
    "protocol.converter": ("converter",),
    "query.seen": ("Seen", "seen_in"),
    "query.session_query": ("QueryOptions", "SessionQuery"),
    "query.stream": ("SessionStream",),
    "query.target": ("Target",),
    "timerange": ("TimeRange",),
    "transport.redis_rate": ("RedisRateLimiter",),
}
_HOME: Final = {name: room for room, names in _ROOMS.items() for name in names}
_EXTRA: Final = {"auth.stores.file": "file", "auth.stores.redis": "redis", "transport.redis_rate": "redis"}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - one list of names, above  # pyright: ignore[reportUnsupportedDunderAll]


def _load(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = _HOME[name]
    try:
        value: object = getattr(import_module(f"{__name__}.{room}"), name)
    except ModuleNotFoundError as error:
        if room not in _EXTRA or (error.name or "").startswith(__name__):
            raise
        raise ImportError(f"{name} needs an extra: pip install 'smappee-async[{_EXTRA[room]}]'") from error
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # type checkers must find a name that does not exist
    __getattr__ = _load


def __dir__() -> list[str]:
    return list(__all__)
