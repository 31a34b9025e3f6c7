"""Who logs in, and the pair of tokens as a value."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from smappee_async import AuthenticationError, ConfigurationError, Credentials, StoredToken, Token, TokenProvider
from smappee_async.auth.provided import ProvidedTokens
from smappee_async.protocol.oauth import Granted, Unclear, read_token
from smappee_async.secret import Secret
from smappee_async.simulator import Assumptions
from tests.walking import everything_about, shown

from .support import LIFE_S, Service, Stage, responses

ENVIRONMENT = {
    "SMAPPEE_CLIENT_ID": "the-client-id",
    "SMAPPEE_CLIENT_SECRET": "the-client-secret",
    "SMAPPEE_USERNAME": "the user name",
    "SMAPPEE_PASSWORD": "the-password",
}
CREDENTIALS = Credentials.from_env(ENVIRONMENT)
TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))
STORED = StoredToken(generation=3, token=TOKEN)
HOLDERS = [CREDENTIALS, TOKEN, STORED, Secret("the-secret")]


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SMAPPEE_REFRESH_TOKEN", raising=False)
    assert Credentials.from_env() == CREDENTIALS
    assert CREDENTIALS.can_log_in


def test_what_is_missing_in_the_environment_is_named() -> None:
    with pytest.raises(ConfigurationError, match="SMAPPEE_CLIENT_SECRET, SMAPPEE_PASSWORD") as caught:
        Credentials.from_env({"SMAPPEE_CLIENT_ID": "i", "SMAPPEE_USERNAME": "u", "SMAPPEE_PASSWORD": ""})
    assert "SMAPPEE_USERNAME" not in str(caught.value)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_an_incomplete_environment_is_refused_without_showing_the_rest(name: str) -> None:
    """R34: the frames of the error are ours, and a crash reporter shows their variables."""
    with pytest.raises(ConfigurationError) as caught:
        Credentials.from_env({**ENVIRONMENT, name: ""})
    assert not shown(ENVIRONMENT.values(), everything_about(caught.value))


def test_incomplete_credentials_are_refused_without_showing_the_rest() -> None:
    """R34."""
    client_id, client_secret, _, password = ENVIRONMENT.values()
    with pytest.raises(ConfigurationError) as caught:
        Credentials(client_id, client_secret, password=password)
    assert not shown(ENVIRONMENT.values(), everything_about(caught.value))


def test_a_refresh_token_stands_in_for_user_name_and_password() -> None:
    found = Credentials.from_env({"SMAPPEE_CLIENT_ID": "i", "SMAPPEE_CLIENT_SECRET": "s", "SMAPPEE_REFRESH_TOKEN": "r"})
    assert found.refresh_token == Secret("r")
    assert not found.can_log_in


@pytest.mark.parametrize(
    "parts",
    [
        {"client_id": "", "client_secret": "s", "username": "u", "password": "p"},
        {"client_id": "i", "client_secret": "", "username": "u", "password": "p"},
        {"client_id": "i", "client_secret": "s"},
        {"client_id": "i", "client_secret": "s", "username": "u"},
        {"client_id": "i", "client_secret": "s", "password": "p"},
        {"client_id": "i", "client_secret": "s", "refresh_token": ""},
    ],
)
def test_credentials_that_cannot_log_in_are_refused(parts: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        Credentials(**parts)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_nothing_that_is_printed_shows_a_secret(holder: object, show: Callable[[object], str]) -> None:
    """R34."""
    text = show(holder)
    assert "the-" not in text
    assert "user name" not in text


@pytest.mark.parametrize("holder", [CREDENTIALS, TOKEN, STORED], ids=lambda holder: type(holder).__name__)
def test_asdict_shows_no_secret(holder: Any) -> None:
    """R35."""
    assert "the-" not in repr(attrs.asdict(holder))


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("pack", [pickle.dumps, copy.deepcopy, json.dumps])
def test_what_holds_a_secret_is_not_packed(holder: object, pack: Callable[[object], object]) -> None:
    """R35."""
    with pytest.raises(TypeError) as caught:
        pack(holder)
    assert "the-" not in str(caught.value)


@pytest.mark.parametrize("holder", [CREDENTIALS, Secret("the-secret")])
def test_credentials_are_not_copied(holder: object) -> None:
    """R35."""
    with pytest.raises(TypeError, match="not pickled or copied"):
        copy.copy(holder)


def test_a_token_survives_its_plain_form() -> None:
    assert Token.from_dict(json.loads(json.dumps(TOKEN.to_dict()))) == TOKEN
    assert StoredToken.from_dict(json.loads(json.dumps(STORED.to_dict()))) == STORED


def test_an_account_that_is_not_text_counts_as_unknown() -> None:
    assert Token.from_dict({**TOKEN.to_dict(), "account": 7}) == TOKEN


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"refresh_token": 7},
        {"expires_at": None},
        {"expires_at": True},
        {"expires_at": float("nan")},
        {"expires_at": float("inf")},
        {"expires_at": -1},
        {"expires_at": 1e12},
        {"expires_at": "2026"},
    ],
)
def test_what_is_no_token_is_refused_without_showing_it(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a stored token") as caught:
        Token.from_dict({**TOKEN.to_dict(), **change})
    assert "the-" not in str(caught.value)


# --- a token response ---------------------------------------------------------------------------------------------------

MINUTES_10 = 600.0
DAYS_30 = 30 * 86_400.0


@pytest.mark.parametrize(
    ("expires_in", "life_s"),
    [
        ("36000", 36_000.0),
        ("86400", 86_400.0),
        ("0.5", 0.5),
        ('"36000"', 36_000.0),
        ("1e30", DAYS_30),
        ("99999999999999999999999", DAYS_30),
        ("2592001", DAYS_30),
        ("-1", MINUTES_10),
        ("0", MINUTES_10),
        ("-0.0", MINUTES_10),
        ("null", MINUTES_10),
        ("true", MINUTES_10),
        ("[]", MINUTES_10),
        ('"soon"', MINUTES_10),
        ('"-5"', MINUTES_10),
        ('"nan"', MINUTES_10),
        ('"inf"', MINUTES_10),
        ('"0"', MINUTES_10),
    ],
)
def test_every_odd_life_has_its_rule(expires_in: str, life_s: float) -> None:
    """R18: no token is valid for ever, and none causes a loop of renewals."""
    response = responses(200, f'{{"access_token": "a", "expires_in": {expires_in}}}'.encode()).happens()
    outcome = read_token(response)
    assert isinstance(outcome, Granted)
    assert outcome.expires_in_s == life_s


def test_a_missing_life_is_ten_minutes() -> None:
    """R18."""
    outcome = read_token(responses(200, {"access_token": "a"}).happens())
    assert isinstance(outcome, Granted)
    assert outcome.expires_in_s == MINUTES_10


@pytest.mark.parametrize("expires_in", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_life_that_is_no_json_makes_the_response_unreadable(expires_in: str) -> None:
    """R18."""
    response = responses(200, f'{{"access_token": "a", "expires_in": {expires_in}}}'.encode()).happens()
    assert isinstance(read_token(response), Unclear)


@pytest.mark.parametrize("access", [None, "", 7, True, ["a"], "a b", "a\nb", "ä", "x" * 9000])
def test_an_unusable_access_token_is_no_token(access: object) -> None:
    """R18."""
    assert isinstance(read_token(responses(200, {"access_token": access, "expires_in": 36000}).happens()), Unclear)


@pytest.mark.parametrize("kind", [None, "Bearer", "bearer", "BEARER"])
def test_the_token_type_is_bearer_however_it_is_written(kind: object) -> None:
    """R18."""
    assert isinstance(read_token(responses(200, {"access_token": "a", "token_type": kind}).happens()), Granted)


@pytest.mark.anyio
async def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one(stage: Stage) -> None:
    """R18, RFC 6749 section 6."""
    stage.service = Service(stage.clock, Assumptions(refresh_returns_new_token=False))
    manager = await stage.logged_in()
    for _ in range(2):
        stage.clock.advance(LIFE_S)
        assert stage.service.accepts((await manager.access_token()).reveal())
    assert stage.service.posts == ["refresh_token"] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("expires_in", [-1, 0, None, "soon"])
async def test_an_odd_life_makes_no_loop_of_renewals(stage: Stage, expires_in: object) -> None:
    """R18."""
    stage.service.forever = responses(200, {"access_token": "a", "refresh_token": "r", "expires_in": expires_in})
    manager = stage.manager()
    for _ in range(50):
        await manager.access_token()
    assert stage.service.posts == ["password"]


# --- a host that owns the login ---------------------------------------------------------------------------------------


class Provider:
    def __init__(self, *tokens: Any) -> None:
        self.tokens = list(tokens)
        self.rejected: list[str | None] = []

    async def access_token(self, rejected: str | None) -> str:
        self.rejected.append(rejected)
        token: str = self.tokens.pop(0)
        return token


def test_a_provider_is_known_by_its_method() -> None:
    assert isinstance(Provider(), TokenProvider)


@pytest.mark.anyio
async def test_a_provider_is_told_what_was_rejected() -> None:
    provider = Provider("one", "two")
    tokens = ProvidedTokens(provider)
    first = await tokens.access_token()
    assert await tokens.access_token(first) == Secret("two")
    assert provider.rejected == [None, "one"]
    await tokens.aclose()


@pytest.mark.anyio
async def test_a_provider_that_gives_the_rejected_token_again_is_an_error() -> None:
    """R16."""
    with pytest.raises(AuthenticationError, match="gave the access token again"):
        await ProvidedTokens(Provider("the-same")).access_token(Secret("the-same"))


@pytest.mark.anyio
@pytest.mark.parametrize("token", [None, "", 7, "Bearer abc", "a\r\nb", "ä", "x" * 8193])
async def test_a_provider_that_gives_no_usable_token_is_an_error(token: object) -> None:
    """R36: the token is sent in a header."""
    with pytest.raises(AuthenticationError, match="no usable access token") as caught:
        await ProvidedTokens(Provider(token)).access_token()
    assert "abc" not in str(caught.value)
