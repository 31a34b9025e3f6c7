"""Who logs in: the options for it, and ``smappee-async login``, which keeps a token for the other commands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from getpass import getpass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
import attrs

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.stores.memory import MemoryTokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.cli.ending import ExitCode, run_async
from smappee_async.cli.places import with_home
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, TokenStoreError
from smappee_async.limits import Limits
from smappee_async.secret import Secret

_WITHOUT_HOME: Final = "Set HOME, or name a file with --token-file or SMAPPEE_TOKEN_FILE"


@attrs.frozen(kw_only=True)
class LoginOptions:
    """What a command logs in with. Secrets come from the environment only, because others can see a command line.

    :param token_file: the file that keeps the token, if one was named.
    """

    base_url: str
    client_id: Secret | None
    client_secret: Secret | None
    username: Secret | None
    password: Secret | None
    refresh_token: Secret | None
    token_file: Path | None

    @classmethod
    def of(
        cls,
        *,
        base_url: str | None,
        client_id: str | None,
        username: str | None,
        token_file: str | None,
        environ: Mapping[str, str] | None = None,
    ) -> LoginOptions:
        """From the options of the command line, and from the environment for those that were not given."""
        environ = os.environ if environ is None else environ

        def secret(name: str, option: str | None = None) -> Secret | None:
            text = option or environ.get(name)
            return Secret(text) if text else None

        return cls(
            base_url=base_url or environ.get("SMAPPEE_BASE_URL") or defaults.BASE_URL,
            client_id=secret("SMAPPEE_CLIENT_ID", client_id),
            client_secret=secret("SMAPPEE_CLIENT_SECRET"),
            username=secret("SMAPPEE_USERNAME", username),
            password=secret("SMAPPEE_PASSWORD"),
            refresh_token=secret("SMAPPEE_REFRESH_TOKEN"),
            token_file=with_home(token_file) if token_file else None,
        )

    @property
    def token_path(self) -> Path:
        """The token file: the one that was named, else one in the user's configuration directory."""
        return self.token_file or default_token_file(self.base_url)

    def credentials(self, stored: Token | None = None) -> Credentials:
        """The credentials of the client.

        :param stored: a token from the token file; its refresh token replaces user name and password.
        :raises ConfigurationError: names the variables that are missing.
        """
        refresh_token = self.refresh_token or (stored.refresh_token if stored is not None else None)
        needed = {"SMAPPEE_CLIENT_ID": self.client_id, "SMAPPEE_CLIENT_SECRET": self.client_secret}
        if refresh_token is None:
            needed |= {"SMAPPEE_USERNAME": self.username, "SMAPPEE_PASSWORD": self.password}
        if missing := [name for name, value in needed.items() if not value]:
            raise ConfigurationError(
                f"not set in the environment: {', '.join(missing)}",
                advice="Set them, or run 'smappee-async login' once" if refresh_token is None else None,
            )
        assert self.client_id is not None
        assert self.client_secret is not None
        return Credentials(self.client_id, self.client_secret, self.username, self.password, refresh_token)

    async def client(self, limits: Limits | None = None) -> SmappeeClient:
        """A client, not opened yet.

        It uses the token file if one was named, or if there is nothing else to log in with.

        :raises ConfigurationError: too little is known to log in.
        """
        store: TokenStore | None = None
        stored: Token | None = None
        can_log_in = (self.username and self.password) or self.refresh_token
        if self.token_file is not None or (not can_log_in and await anyio.Path(self.token_path).exists()):
            store = _file_store(self.token_path)
            kept = await store.load()
            stored = None if kept is None else kept.token
        return SmappeeClient(self.credentials(stored), base_url=self.base_url, token_store=store, limits=limits)


def default_token_file(base_url: str, environ: Mapping[str, str] | None = None) -> Path:
    """The default token file (XDG Base Directory Specification); a simulator has another one than the service.

    :raises ConfigurationError: the home directory is needed for it, and is not known.
    """
    environ = os.environ if environ is None else environ
    name = "token.json"
    if base_url.rstrip("/") != defaults.BASE_URL:
        host = re.sub(r"[^A-Za-z0-9.-]+", "-", urlsplit(base_url).netloc).strip("-")
        name = f"token-{host}.json" if host else name
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The specification says that relative paths are ignored.
    directory = configured if configured.is_absolute() else with_home("~/.config", advice=_WITHOUT_HOME)
    return directory / "smappee-async" / name


def _file_store(path: Path) -> TokenStore:
    """A token store in a file.

    :raises ConfigurationError: the extra that it needs is not installed.
    """
    try:
        from smappee_async.auth.stores.file import FileTokenStore  # noqa: PLC0415 - an extra of its own
    except ModuleNotFoundError:
        raise ConfigurationError(
            "token files need an extra", advice="Run: pip install 'smappee-async[cli,file]'"
        ) from None
    return FileTokenStore(path)


# --- the command ------------------------------------------------------------------------------------------------------


def log_in(options: LoginOptions) -> ExitCode:
    """Log in with user name and password, and print where the token is kept; the token itself is never printed."""
    options = _ask_for_missing(attrs.evolve(options, refresh_token=None))
    count = run_async(_log_in(options))
    print(f"Logged in: the account sees {count:,} service location{'' if count == 1 else 's'}.")
    print(f"The token is kept in {options.token_path}")
    return ExitCode.OK


def _ask_for_missing(options: LoginOptions) -> LoginOptions:
    """Ask for user name and password on a terminal, if they are not known."""
    if not (options.client_id and options.client_secret and sys.stdin and sys.stdin.isatty()):
        return options
    try:
        if not options.username:
            print("User name: ", end="", file=sys.stderr, flush=True)
            options = attrs.evolve(options, username=Secret(input()))
        if not options.password:
            options = attrs.evolve(options, password=Secret(getpass("Password: ")))
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)  # the next message begins a new line
        raise
    return options


async def _log_in(options: LoginOptions) -> int:
    """Log in and keep the token; returns how many service locations the account sees."""
    store = _file_store(options.token_path)
    # Log in with a store in memory: the client would use a token that the file holds instead of the password.
    memory = MemoryTokenStore()
    async with SmappeeClient(options.credentials(), base_url=options.base_url, token_store=memory) as client:
        locations = await client.service_locations()
    granted = await memory.load()
    assert granted is not None
    assert granted.token is not None
    await _save(granted.token, store)
    return len(locations)


async def _save(token: Token, store: TokenStore) -> None:
    """Put a token in a store, whatever it held before.

    :raises TokenStoreError: another process changed the store in between.
    """
    async with store.lock():
        before = await store.load() or StoredToken()
        if not await store.replace(before.generation, before.following(token)):
            raise TokenStoreError("the token file changed while it was locked; does something else write to it?")
