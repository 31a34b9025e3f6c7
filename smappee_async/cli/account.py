"""Who logs in: the account from options, the environment or a token file, and the client that is opened with it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import attrs

from smappee_async import defaults
from smappee_async.auth.credentials import Credentials
from smappee_async.auth.stores import TokenStore
from smappee_async.auth.tokens import StoredToken, Token
from smappee_async.client import SmappeeClient
from smappee_async.errors import ConfigurationError, TokenStoreError
from smappee_async.limits import Limits
from smappee_async.secret import Secret


@attrs.frozen(kw_only=True)
class LoginOptions:
    """What is known of the account. Secrets come from the environment only, for a command line is seen by others.

    :param token_file: where tokens are kept, if that was said.
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
        """From the options, and from the environment for what they leave open."""
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
            token_file=Path(token_file).expanduser() if token_file else None,
        )

    @property
    def kept_in(self) -> Path:
        """The token file: the one that was named, else one in the user's configuration directory."""
        return self.token_file or default_token_file(self.base_url)

    def credentials(self, stored: Token | None = None) -> Credentials:
        """What logs in.

        :param stored: a token that was kept; it stands in for user name and password.
        :raises ConfigurationError: names the variables that are missing.
        """
        stands_in = self.refresh_token or (stored.refresh_token if stored is not None else None)
        needed = {"SMAPPEE_CLIENT_ID": self.client_id, "SMAPPEE_CLIENT_SECRET": self.client_secret}
        if stands_in is None:
            needed |= {"SMAPPEE_USERNAME": self.username, "SMAPPEE_PASSWORD": self.password}
        if missing := [name for name, value in needed.items() if not value]:
            raise ConfigurationError(
                f"not set in the environment: {', '.join(missing)}",
                advice="Set them, or run 'smappee-async login' once" if stands_in is None else None,
            )
        assert self.client_id is not None
        assert self.client_secret is not None
        return Credentials(self.client_id, self.client_secret, self.username, self.password, stands_in)

    async def client(self, limits: Limits | None = None) -> SmappeeClient:
        """A client, not opened yet.

        The token file is used where it was named, and where there is nothing else to log in with.

        :raises ConfigurationError: too little is known to log in.
        """
        store: TokenStore | None = None
        stored: Token | None = None
        can_log_in = (self.username and self.password) or self.refresh_token
        if self.token_file is not None or (not can_log_in and await anyio.Path(self.kept_in).exists()):
            store = file_store(self.kept_in)
            kept = await store.load()
            stored = None if kept is None else kept.token
        return SmappeeClient(self.credentials(stored), base_url=self.base_url, token_store=store, limits=limits)


def default_token_file(base_url: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where tokens are kept by default (XDG Base Directory Specification); a simulator's apart from the service's."""
    environ = os.environ if environ is None else environ
    name = "token.json"
    if base_url.rstrip("/") != defaults.BASE_URL:
        place = re.sub(r"[^A-Za-z0-9.-]+", "-", urlsplit(base_url).netloc).strip("-")
        name = f"token-{place}.json" if place else name
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The specification has relative paths ignored.
    directory = configured if configured.is_absolute() else Path("~/.config").expanduser()
    return directory / "smappee-async" / name


def file_store(path: Path) -> TokenStore:
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


async def keep(token: Token, store: TokenStore) -> None:
    """Put a token in a store, whatever it held before.

    :raises TokenStoreError: it does not take it.
    """
    async with store.lock():
        before = await store.load() or StoredToken()
        if not await store.replace(before.generation, before.following(token)):
            raise TokenStoreError("the token file changed while it was locked; does something else write to it?")
