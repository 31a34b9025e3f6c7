"""What is sent, to whom, and what is refused before anything is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smappee_async.defaults import BASE_URL
from smappee_async.errors import ConfigurationError
from smappee_async.protocol import requests
from smappee_async.protocol.requests import (
    Request,
    check_base_url,
    check_serial_number,
    check_service_location_id,
)
from smappee_async.timerange import TimeRange

CLOSED, OPEN = TimeRange.from_ms(1635721200000, 1638313200000), TimeRange.from_ms(1635721200000)

# --- whom it is sent to -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        BASE_URL,
        "https://farm2pub.smappee.net/dev/v3",
        "https://proxy.example:8443/smappee/dev/v3",
        "https://192.0.2.1",
        "https://[2001:db8::1]:443/dev/v3",
        "HTTPS://App1pub.Smappee.NET/dev/v3",
        "http://localhost:8080/dev/v3",
        "http://127.0.0.1:8080/dev/v3",
        "http://[::1]:8080/dev/v3",
    ],
)
def test_https_anywhere_and_http_on_this_machine_are_taken(base_url: str) -> None:
    assert check_base_url(base_url) == base_url


def test_a_slash_at_the_end_is_dropped() -> None:
    assert check_base_url("https://proxy.example/dev/v3/") == "https://proxy.example/dev/v3"


@pytest.mark.parametrize(
    "base_url",
    [
        "http://app1pub.smappee.net/dev/v3",
        "http://localhost.evil.example/dev/v3",
        "http://127.0.0.1.evil.example/dev/v3",
        "http://127.0.0.1@evil.example/dev/v3",
        "http://127.0.0.2/dev/v3",
        "http://0.0.0.0/dev/v3",
        "http://2130706433/dev/v3",
        "http://localhost./dev/v3",
        "http://[::ffff:192.0.2.1]/dev/v3",
        "https://user@app1pub.smappee.net/dev/v3",
        "https://user:password@app1pub.smappee.net/dev/v3",
        "https://app1pub.smappee.net:443@evil.example/dev/v3",
        "https://@app1pub.smappee.net/dev/v3",
        "https://app1pub.smappee.net\\@evil.example/dev/v3",
        "https:\\\\app1pub.smappee.net\\dev\\v3",
        "https://app1pub.smappee.net/dev/v3\r\nHost: evil.example",
        "https://app1pub.smappee.net/\ndev/v3",
        "https://app1pub.smappee.net\t/dev/v3",
        "\x00https://app1pub.smappee.net/dev/v3",
        " https://app1pub.smappee.net/dev/v3",
        "https://app1pub.smappee.net/dev/v3 ",
        "https://app1pub.smappee.net/dev v3",
        "https://app1pub smappee.net/dev/v3",
        "https://app1pub.smappee.net /dev/v3",
        "https://аpp1pub.smappee.net/dev/v3",  # a Cyrillic a # noqa: RUF001
        "https://app1pub.smappee。net/dev/v3",
        "https://app1pub.smappee.net/dév/v3",
        "https://app1pub.smappee.net/dev/v3?active=true",
        "https://app1pub.smappee.net/dev/v3?",
        "https://app1pub.smappee.net/dev/v3#top",
        "https://app1pub.smappee.net/dev/v3#",
        "https://app1pub.smappee.net/dev/%2e%2e/v3",
        "https://app1pub.smappee.net%2f@evil.example/dev/v3",
        "https://app1pub.smappee.net/dev/../v3",
        "https://app1pub.smappee.net/..",
        "https://app1pub.smappee.net/./v3",
        "https://app1pub.smappee.net:/dev/v3",
        "https://app1pub.smappee.net:port/dev/v3",
        "https://app1pub.smappee.net:99999/dev/v3",
        "https://app1pub.smappee.net:-1/dev/v3",
        "https://app1pub.smappee.net:443:80/dev/v3",
        "https://[::1/dev/v3",
        "https://[::1]evil.example/dev/v3",
        "https://-evil.example/dev/v3",
        "https:///dev/v3",
        "https://",
        "https:app1pub.smappee.net/dev/v3",
        "//app1pub.smappee.net/dev/v3",
        "app1pub.smappee.net/dev/v3",
        "localhost:8080/dev/v3",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "ftp://app1pub.smappee.net/dev/v3",
        "ws://localhost/dev/v3",
        "javascript:alert(1)",
        "",
        b"https://app1pub.smappee.net/dev/v3",
        None,
    ],
)
def test_what_only_looks_like_a_base_url_is_refused_with_advice(base_url: object) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        check_base_url(base_url)
    assert BASE_URL in caught.value.advice


def test_a_refused_base_url_is_not_repeated_for_it_may_hold_a_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_base_url("https://user:hunter2@app1pub.smappee.net/dev/v3")
    assert "hunter2" not in str(caught.value)


@given(st.text() | st.text(alphabet="htps:/.@\\?#%[]1localhost evil", max_size=40).map(lambda text: f"https://{text}"))
def test_a_base_url_that_is_taken_has_the_host_that_it_shows(text: str) -> None:
    try:
        base_url = check_base_url(text)
    except ConfigurationError:
        return
    parts = urlsplit(f"{base_url}/oauth2/token")
    assert parts.scheme in ("http", "https")
    assert base_url.lower().startswith(f"{parts.scheme}://{parts.netloc.lower()}")
    assert parts.username is None


# --- who is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 12345, 2**63 - 1])
def test_a_positive_whole_number_is_a_service_location_id(value: int) -> None:
    assert check_service_location_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        True,
        False,
        1.0,
        float("nan"),
        "12345",
        "../x?y",
        b"1",
        None,
        [1],
        2**63,
        pytest.param(-(10**5000), id="huge"),
    ],
)
def test_anything_else_is_no_service_location_id(value: object) -> None:
    with pytest.raises(ConfigurationError, match="positive whole number"):
        check_service_location_id(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("6120009999", "6120009999"), (5820999999, "5820999999"), ("ab-12_X", "ab-12_X"), ("6" * 64, "6" * 64)],
)
def test_a_serial_number_is_letters_and_digits(value: object, text: str) -> None:
    assert check_serial_number(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "../x?y",
        "..",
        "6120009999/../1",
        "6120009999?active=true",
        "612#1",
        "612%2f1",
        "612 1",
        "6120009999\n",
        "6120009999\r\nHost: evil.example",
        "６１２",  # noqa: RUF001 - digits of full width
        "",
        "6" * 65,
        0,
        -5,
        True,
        1.5,
        b"6120009999",
        None,
        pytest.param(10**5000, id="huge"),
    ],
)
def test_anything_else_is_no_serial_number(value: object) -> None:
    with pytest.raises(ConfigurationError, match="letters and digits"):
        check_serial_number(value)


# --- the session calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_range", "active", "question"),
    [
        (CLOSED, False, "active=false&range=1635721200000,1638313200000"),
        (CLOSED, True, "active=true&range=1635721200000,1638313200000"),
        (OPEN, False, "active=false&range=1635721200000"),
        (OPEN, True, "active=true&range=1635721200000"),
    ],
)
def test_the_range_goes_with_a_raw_comma_and_active_is_always_said(
    time_range: TimeRange, question: str, *, active: bool
) -> None:
    park = requests.park_sessions(BASE_URL, 12345, time_range, active=active)
    station = requests.station_sessions(BASE_URL, "6120009999", time_range, active=active)
    assert park.url == f"{BASE_URL}/chargingparks/12345/sessions?{question}"
    assert station.url == f"{BASE_URL}/chargingstations/6120009999/sessions?{question}"


def test_the_service_location_calls_are_plain_paths() -> None:
    assert requests.service_locations(BASE_URL).url == f"{BASE_URL}/servicelocation"
    assert requests.service_location_info(BASE_URL, 12345).url == f"{BASE_URL}/servicelocation/12345/info"


@pytest.mark.parametrize(
    ("asked", "route"),
    [
        (requests.park_sessions(BASE_URL, 12345, CLOSED, active=True), "/chargingparks/{service_location_id}/sessions"),
        (requests.station_sessions(BASE_URL, "612", CLOSED, active=True), "/chargingstations/{serial_number}/sessions"),
        (requests.service_locations(BASE_URL), "/servicelocation"),
        (requests.service_location_info(BASE_URL, 12345), "/servicelocation/{service_location_id}/info"),
    ],
)
def test_a_data_call_is_a_get_without_a_body_that_knows_its_route(asked: Request, route: str) -> None:
    assert (asked.method, asked.form) == ("GET", None)
    assert (asked.facts.method, asked.facts.route) == ("GET", route)


def test_a_session_call_knows_whom_and_when_it_asks() -> None:
    park = requests.park_sessions(BASE_URL, 12345, CLOSED, active=True).facts
    station = requests.station_sessions(BASE_URL, "612", OPEN, active=True).facts
    assert (park.service_location_id, park.serial_number, park.time_range) == (12345, None, CLOSED)
    assert (station.service_location_id, station.serial_number, station.time_range) == (None, "612", OPEN)


def test_repr_shows_neither_url_nor_query_string() -> None:
    shown = repr(requests.park_sessions(BASE_URL, 12345, CLOSED, active=True))
    assert "active=" not in shown
    assert "https://" not in shown
