"""``smappee-async login``: log in once, and keep the token for the commands that follow."""

from __future__ import annotations

import sys
from getpass import getpass

import attrs

from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.cli.account import LoginOptions, file_store, keep
from smappee_async.cli.exits import ExitCode
from smappee_async.cli.loop import run_async
from smappee_async.client import SmappeeClient
from smappee_async.secret import Secret


def log_in(account: LoginOptions) -> ExitCode:
    """Log in with user name and password, and say where the token is kept; never what it is."""
    account = _asked(attrs.evolve(account, refresh_token=None))
    seen = run_async(_log_in(account))
    print(f"Logged in: the account sees {seen:,} service location{'' if seen == 1 else 's'}.")
    print(f"The token is kept in {account.kept_in}")
    return ExitCode.OK


def _asked(account: LoginOptions) -> LoginOptions:
    """The account with what a person could be asked for."""
    if not (account.client_id and account.client_secret and sys.stdin and sys.stdin.isatty()):
        return account
    try:
        if not account.username:
            print("User name: ", end="", file=sys.stderr, flush=True)
            account = attrs.evolve(account, username=Secret(input()))
        if not account.password:
            account = attrs.evolve(account, password=Secret(getpass("Password: ")))
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)  # what is said next begins a line
        raise
    return account


async def _log_in(account: LoginOptions) -> int:
    """Log in and keep the token; returns how many service locations the account sees."""
    store = file_store(account.kept_in)
    # Into memory first: a token that the file holds already would be used in place of the password.
    fresh = MemoryTokenStore()
    async with SmappeeClient(account.credentials(), base_url=account.base_url, token_store=fresh) as client:
        locations = await client.service_locations()
    granted = await fresh.load()
    assert granted is not None
    assert granted.token is not None
    await keep(granted.token, store)
    return len(locations)
