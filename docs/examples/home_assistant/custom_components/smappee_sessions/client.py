"""The Smappee client of a config entry: how it logs in, and where its tokens are kept.

The only module that makes a client. It imports nothing of Home Assistant.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from smappee_async import (
    Credentials,
    Limits,
    MemoryTokenStore,
    RetryPolicy,
    SmappeeClient,
    Token,
    defaults,
)

BASE_URL = defaults.BASE_URL

#: Puts a new pair of tokens, as plain JSON, in the place of the one before.
SaveToken = Callable[[dict[str, Any]], None]


def account_of(answers: Mapping[str, str]) -> str:
    """An id of the account, made of client id and user name: it tells neither."""
    return Credentials(**answers).account


async def log_in(http: aiohttp.ClientSession, answers: Mapping[str, str]) -> dict[str, Any]:
    """What the config entry keeps: client id, client secret and tokens. No password.

    :param answers: client id, client secret, user name and password.
    :raises AuthenticationError: Smappee refused them.
    """
    kept: dict[str, Any] = {name: answers[name] for name in ("client_id", "client_secret")}
    async with _client(
        Credentials(**answers), http, None, lambda token: kept.update(token=token)
    ) as smappee:
        await smappee.service_locations()
    return kept


def make_client(
    http: aiohttp.ClientSession, kept: Mapping[str, Any], save: SaveToken
) -> SmappeeClient:
    """The client of a config entry. It goes on with the tokens that were kept last.

    :param http: Home Assistant's session: shared, and never closed by the client.
    """
    token = Token.from_dict(kept["token"])
    credentials = Credentials(
        kept["client_id"], kept["client_secret"], refresh_token=token.refresh_token
    )
    return _client(credentials, http, token, save)


def _client(
    credentials: Credentials,
    http: aiohttp.ClientSession,
    token: Token | None,
    save: SaveToken,
) -> SmappeeClient:
    return SmappeeClient(
        credentials,
        base_url=BASE_URL,
        token_store=MemoryTokenStore(token, on_token=_saving(save)),
        http_session=http,
        limits=Limits(concurrency=2),
        # The coordinator asks again by itself.
        retry=RetryPolicy(attempts=2, patience=None),
    )


def _saving(save: SaveToken) -> Callable[[Token], Awaitable[None]]:
    """A hook that saves each new pair before it is used: it replaces the one before."""

    async def on_token(token: Token) -> None:
        save(token.to_dict())

    return on_token
