"""The token calls: what is sent, and what a response of the token endpoint means."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import BASE_URL, FALLBACK_TOKEN_LIFE_S, MAX_TOKEN_LIFE_S
from smappee_async.errors import ConfigurationError, RateLimited
from smappee_async.protocol.oauth import (
    Granted,
    Refused,
    TokenOutcome,
    Unclear,
    Unspent,
    password_grant,
    read_token,
    refresh_grant,
    token_life_s,
)
from smappee_async.protocol.requests import Request
from smappee_async.protocol.responses import Response
from smappee_async.secret import Secret

MAINTENANCE = b"<html><body>The Smappee dashboard is currently under maintenance.</body></html>"


def response(body: bytes | str = b"", status: int = 200, **headers: str) -> Response:
    return Response(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body.encode() if isinstance(body, str) else body,
    )


# --- what is sent -----------------------------------------------------------------------------------------------------


def log_in(text: str) -> Request:
    secret = Secret(text)
    return password_grant(BASE_URL, client_id=secret, client_secret=secret, username=secret, password=secret)


def renew(text: str) -> Request:
    secret = Secret(text)
    return refresh_grant(BASE_URL, client_id=secret, client_secret=secret, refresh_token=secret)


grants = pytest.mark.parametrize("grant", [log_in, renew])


def sent(request: Request) -> dict[str, list[str]]:
    assert request.form is not None
    return parse_qs(request.form.reveal(), keep_blank_values=True, strict_parsing=True)


def test_logging_in_sends_four_credentials_in_the_form() -> None:
    request = password_grant(
        BASE_URL, client_id=Secret("i"), client_secret=Secret("s"), username=Secret("u"), password=Secret("p")
    )
    assert (request.method, request.url) == ("POST", f"{BASE_URL}/oauth2/token")
    assert request.form is not None
    assert request.form.reveal() == "grant_type=password&client_id=i&client_secret=s&username=u&password=p"


def test_renewing_sends_the_refresh_token_in_the_form() -> None:
    request = refresh_grant(BASE_URL, client_id=Secret("i"), client_secret=Secret("s"), refresh_token=Secret("r"))
    assert (request.method, request.url) == ("POST", f"{BASE_URL}/oauth2/token")
    assert request.form is not None
    assert request.form.reveal() == "grant_type=refresh_token&refresh_token=r&client_id=i&client_secret=s"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_form(text: str) -> None:
    assert sent(log_in(text)) == {
        "grant_type": ["password"],
        "client_id": [text],
        "client_secret": [text],
        "username": [text],
        "password": [text],
    }


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("a b", "a+b"), ("a+b", "a%2Bb"), ("a&b=c", "a%26b%3Dc"), ("é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80")],
)
def test_odd_characters_are_form_encoded(text: str, encoded: str) -> None:
    request = log_in(text)
    assert request.form is not None
    assert request.form.reveal().endswith(f"&username={encoded}&password={encoded}")


@grants
def test_repr_shows_no_secret(grant: Callable[[str], Request]) -> None:
    assert "hunter2" not in repr(grant("hunter2"))
    assert "hunter2" not in str(grant("hunter2").facts)


@grants
def test_a_secret_that_utf8_cannot_say_is_refused_without_showing_it(grant: Callable[[str], Request]) -> None:
    with pytest.raises(ConfigurationError, match="UTF-8") as caught:
        grant("hunter2\udc80")
    assert caught.value.__cause__ is caught.value.__context__ is None
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    locals_seen = [repr(frame.locals) for frame in shown.stack if "smappee_async" in frame.filename]
    assert locals_seen
    assert not any("hunter2" in seen for seen in locals_seen)


# --- what a response means --------------------------------------------------------------------------------------------

PAIR: dict[str, Any] = {"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 36000}


def read_pair(**changes: Any) -> TokenOutcome:
    return read_token(response(json.dumps(PAIR | changes)))


def granted(outcome: TokenOutcome) -> Granted:
    assert isinstance(outcome, Granted)
    return outcome


def test_the_documented_response_grants_a_pair() -> None:
    pair = granted(read_pair())
    assert (pair.access_token.reveal(), pair.expires_in_s) == ("access-1", 36000.0)
    assert pair.refresh_token is not None
    assert pair.refresh_token.reveal() == "refresh-1"


def test_an_outcome_shows_no_token() -> None:
    shown = repr(read_pair()) + repr(msgspec.structs.asdict(granted(read_pair())))
    assert "access-1" not in shown
    assert "refresh-1" not in shown


@pytest.mark.parametrize(
    "more", [{"token_type": "Bearer"}, {"token_type": "bearer"}, {"token_type": None}, {"scope": [1]}]
)
def test_more_keys_harm_nothing(more: dict[str, Any]) -> None:
    assert granted(read_pair(**more)) == granted(read_pair())


def test_a_byte_order_mark_harms_nothing() -> None:
    assert read_token(response(b"\xef\xbb\xbf" + json.dumps(PAIR).encode())) == read_pair()


@pytest.mark.parametrize("kind", ["mac", "", 1, True, ["bearer"]])
def test_a_token_that_is_no_bearer_token_is_unclear(kind: object) -> None:
    assert isinstance(read_pair(token_type=kind), Unclear)


UNUSABLE: list[object] = [
    "",
    " ",
    "a b",
    "a\r\nX-Evil: 1",
    "a\n",
    "a\x00",
    "a\x7f",
    "tökén",
    "a\u2028b",
    "x" * 8193,
    None,
    5,
    True,
    ["a"],
    {},
]


@pytest.mark.parametrize("token", UNUSABLE)
def test_an_access_token_that_cannot_go_into_a_header_is_unclear(token: object) -> None:
    assert isinstance(read_pair(access_token=token), Unclear)


def test_a_missing_access_token_is_unclear() -> None:
    assert isinstance(read_token(response('{"refresh_token":"r","expires_in":5}')), Unclear)


@pytest.mark.parametrize("token", UNUSABLE)
def test_a_refresh_token_that_is_unusable_leaves_the_old_one_in_force(token: object) -> None:
    assert granted(read_pair(refresh_token=token)).refresh_token is None


def test_a_missing_refresh_token_leaves_the_old_one_in_force() -> None:
    assert granted(read_token(response('{"access_token":"a","expires_in":5}'))).refresh_token is None


def test_the_longest_token_that_is_taken_has_8192_characters() -> None:
    assert granted(read_pair(access_token="x" * 8192)).access_token.reveal() == "x" * 8192


USELESS: list[object] = [0, -1, 0.0, -1e30, float("nan"), None, True, False, "", "0", "-1", "1e5", "soon", [36000], {}]


@pytest.mark.parametrize(
    ("expires_in", "life_s"),
    [
        (36000, 36000.0),
        (86400, 86400.0),
        (0.5, 0.5),
        ("36000", 36000.0),
        ("36000.5", 36000.5),
        (2_592_000, 2_592_000.0),
        (2_592_001, MAX_TOKEN_LIFE_S),
        (1e30, MAX_TOKEN_LIFE_S),
        (10**400, MAX_TOKEN_LIFE_S),
        (float("inf"), MAX_TOKEN_LIFE_S),
        ("99999999999", MAX_TOKEN_LIFE_S),
        *[(useless, FALLBACK_TOKEN_LIFE_S) for useless in USELESS],
    ],
)
def test_a_token_lives_as_long_as_the_table_says(expires_in: object, life_s: float) -> None:
    assert token_life_s(expires_in) == life_s


def test_a_missing_expiry_is_short() -> None:
    assert granted(read_token(response('{"access_token":"a"}'))).expires_in_s == FALLBACK_TOKEN_LIFE_S


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_an_expiry_that_json_does_not_have_is_unclear(text: str) -> None:
    assert isinstance(read_token(response(f'{{"access_token":"a","expires_in":{text}}}')), Unclear)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_no_expiry_makes_a_token_that_lives_for_ever_or_not_at_all(expires_in: object) -> None:
    assert 0 < token_life_s(expires_in) <= MAX_TOKEN_LIFE_S


OAUTH_ERROR = '{"error":"invalid_grant","error_description":"secret details"}'


@pytest.mark.parametrize("body", ["", "null", "[]", '"a"', "{", MAINTENANCE, b"\xff", b"[" * 100_000])
def test_200_without_an_object_is_unclear(body: bytes | str) -> None:
    assert isinstance(read_token(response(body)), Unclear)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(
    ("body", "code", "definite"),
    [
        (OAUTH_ERROR, "invalid_grant", True),
        ('{"error":"invalid_client"}', "invalid_client", True),
        ('{"error":"unauthorized_client"}', "unauthorized_client", True),
        ('{"error":"unsupported_grant_type"}', "unsupported_grant_type", True),
        ('{"error":"invalid_request"}', "invalid_request", False),
        ('{"error":"temporarily_unavailable"}', "temporarily_unavailable", False),
        ('{"error":"Bad <b>thing</b>"}', None, False),
        ('{"error":{"code":1}}', None, False),
        ('{"error":"' + "x" * 41 + '"}', None, False),
        ("{}", None, False),
        ("", None, False),
        ("Invalid refresh token", None, False),
        (MAINTENANCE, None, False),
    ],
)
def test_400_and_401_refuse_and_only_a_known_oauth_error_is_definite(
    status: int, body: bytes | str, code: str | None, *, definite: bool
) -> None:
    assert read_token(response(body, status)) == Refused(status=status, code=code, definite=definite)


def expected_outcome(status: int, *, said_why: bool) -> type:
    if status in (400, 401):
        return Refused
    if status < 300 or (status >= 500 and not (status == 503 and said_why)):
        return Unclear
    return Unspent


def test_every_status_of_the_token_endpoint_has_its_meaning() -> None:
    for status in (*range(100, 200), *range(201, 600)):
        assert type(read_token(response(MAINTENANCE, status))) is expected_outcome(status, said_why=False)
        assert type(read_token(response(OAUTH_ERROR, status))) is expected_outcome(status, said_why=True)
        assert type(read_token(response("", status, retry_after="5"))) is expected_outcome(status, said_why=True)


def test_an_unspent_outcome_carries_the_error_and_its_wait() -> None:
    outcome = read_token(response("", 429, retry_after="5"))
    assert isinstance(outcome, Unspent)
    assert type(outcome.error) is RateLimited
    assert (outcome.error.retry_after_s, outcome.error.facts.status) == (5.0, 429)


json_texts = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*PAIR, "error", "token_type"]), inner),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())


@given(st.binary() | json_texts, st.integers(100, 599))
def test_any_token_response_has_an_outcome(body: bytes, status: int) -> None:
    assert isinstance(read_token(response(body, status)), Granted | Refused | Unspent | Unclear)
