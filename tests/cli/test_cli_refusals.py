from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from .harness import Cloud, Ended, Run

SECRETS = ("simulated-secret", "simulated&pass=word", "simulated user", "not the password")


def assert_one_line(ended: Ended) -> None:
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("smappee-async: ")
    assert "Traceback" not in ended.err
    assert not [secret for secret in SECRETS if secret in ended.err + ended.out]


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_wrong_password_is_a_matter_of_authentication(run: Run) -> None:
    ended = run("parks", env={"SMAPPEE_PASSWORD": "not the password"})
    assert (ended.code, ended.out) == (4, "")
    assert_one_line(ended)


def test_an_unknown_park_is_named(run: Run) -> None:
    ended = run("sessions", 99, "--month", "2026-10", "--format", "csv")
    assert ended.code == 1
    assert "99" in ended.err
    assert_one_line(ended)


def test_a_service_that_is_not_there_is_a_failure_and_not_a_wrong_password(run: Run, closed_port: int) -> None:
    ended = run("parks", env={"SMAPPEE_BASE_URL": f"http://127.0.0.1:{closed_port}/dev/v3"})
    assert ended.code == 1
    assert "connection" in ended.err
    assert_one_line(ended)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sessions", "1", "--month", "2026-13"], "no such date"),
        (["sessions", "1", "--month", "october"], "--month 'october'"),
        (["sessions", "1", "--day", "2026-02-30"], "no such date"),
        (["sessions", "1", "--range", "2026-10-02..2026-10-01"], "empty"),
        (["sessions", "1", "--range", "soon"], "'soon'"),
        (["sessions", "1"], "one of --range, --month, --day and --year"),
        (["sessions", "1", "--month", "2026-10", "--year", "2026"], "not --month and --year"),
        (["sessions", "1", "--month", "2026-10", "--tz", "Mars/Phobos"], "Mars/Phobos"),
        (["sessions", "one", "--month", "2026-10"], "'one'"),
        (["sessions", "0", "--month", "2026-10"], "positive whole number"),
        (["sessions", "6/1", "--stations", "--month", "2026-10"], "serial number"),
        (["sessions", "1", "--stations", "--month", "2026-10", "--tz", "park"], "--tz park"),
        (["sessions", "1", "--month", "2026-10", "--deadline", "-1"], "--deadline"),
        (["sessions", "1", "--month", "2026-10", "--deadline", "nan"], "--deadline"),
        (["sessions", "1", "--month", "2026-10", "--concurrency", "0"], "--concurrency"),
        (["sessions", "1", "--month", "2026-10", "--format", "xml"], "--format"),
        (["sessions", "1", "--month", "2026-10", "--output", "/"], "directory"),
        (["sessions", "1", "--month", "2026-10", "--output", "/nowhere/file"], "/nowhere/file"),
        (["sessions", "--month", "2026-10"], "PARK"),
        (["parks", "--base-url", "ftp://example.com"], "base_url"),
        (["parks", "--password", "not the password"], "--password"),
        (["demo", "--parks", "0"], "--parks"),
        (["simulate", "--host", "0.0.0.0"], "--allow-remote"),
        (["simulate", "--now", "noon"], "noon"),
        (["dance"], "dance"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    call: Run, cloud: Cloud, arguments: list[str], said: str
) -> None:
    before = cloud.ask("stats")["hits"]
    ended = call(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert_one_line(ended)
    assert cloud.ask("stats")["hits"] == before


def test_missing_variables_are_named(call: Run) -> None:
    ended = call("parks", env={"SMAPPEE_CLIENT_SECRET": "", "SMAPPEE_PASSWORD": ""})
    assert ended.code == 2
    assert "SMAPPEE_CLIENT_SECRET, SMAPPEE_PASSWORD" in ended.err
    assert_one_line(ended)


def test_options_go_before_the_environment(call: Run) -> None:
    ended = call("parks", "--client-id", "somebody else")
    assert ended.code == 4


def test_control_characters_do_not_reach_the_terminal(call: Run) -> None:
    ended = call("sessions", "1\x1b[2J\n2", "--month", "2026-10")
    assert ended.code == 2
    assert "\x1b" not in ended.err
    assert_one_line(ended)


def test_a_fault_of_our_own_shows_its_place_and_nothing_else(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("simulated-secret")

    monkeypatch.setattr("smappee_async.cli.app.show_parks", fail)
    ended = call("parks")
    assert ended.code == 1
    assert "unexpected RuntimeError at test_cli_refusals.py" in ended.err
    assert_one_line(ended)
