"""Gives a command the options for logging in, which are the same for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from smappee_async.cli.login import LoginOptions
from smappee_async.cli.options import BaseUrl, CaFile, ClientId, ProxyUrl, TokenFile, Username

ResultT = TypeVar("ResultT")


def _options(
    *,
    base_url: BaseUrl = None,
    client_id: ClientId = None,
    username: Username = None,
    token_file: TokenFile = None,
    proxy: ProxyUrl = None,
    ca_file: CaFile = None,
) -> LoginOptions:
    return LoginOptions.of(
        base_url=base_url,
        client_id=client_id,
        username=username,
        token_file=token_file,
        proxy=proxy,
        ca_file=ca_file,
    )


_LOGIN: Final = inspect.signature(_options, eval_str=True).parameters


def takes_login(command: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """The command with the login options after its own; its first parameter is the :class:`LoginOptions` made of them.

    Typer reads the options of a command from its signature.
    """

    def run(**given: Any) -> ResultT:
        login_options = _options(**{name: given.pop(name) for name in _LOGIN})
        return command(login_options, **given)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *_LOGIN.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, *_LOGIN.values())}
    return run
