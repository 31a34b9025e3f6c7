from __future__ import annotations

import json
import os
import pty
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from smappee_async.cli.login import default_token_file

from .harness import Cloud, Run, Start

NO_PASSWORD = {"SMAPPEE_PASSWORD": "", "SMAPPEE_USERNAME": ""}


def tokens_in(file: Path) -> list[str]:
    token = json.loads(file.read_text())["token"]
    return [token["access_token"], token["refresh_token"]]


def test_login_keeps_the_token_for_the_commands_that_follow(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = call("login")
    place = urlsplit(cloud.environment["SMAPPEE_BASE_URL"]).netloc.replace(":", "-")
    file = tmp_path / "config" / "smappee-async" / f"token-{place}.json"
    assert ended.code == 0
    assert str(file) in ended.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not [token for token in tokens_in(file) if token in ended.out + ended.err]
    grants = cloud.ask("stats")["password_grants"]
    assert call("parks", env=NO_PASSWORD).code == 0
    assert cloud.ask("stats")["password_grants"] == grants


def test_a_stored_token_is_renewed_and_kept_when_it_ends(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    assert call("login", "--token-file", file).code == 0
    before = tokens_in(file)
    cloud.ask("oauth/expire", method="POST")
    assert call("parks", "--token-file", file, env=NO_PASSWORD).code == 0
    assert not set(before) & set(tokens_in(file))


def test_a_token_that_is_worth_nothing_any_more_is_a_matter_of_authentication(
    call: Run, cloud: Cloud, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    assert call("login", "--token-file", file).code == 0
    cloud.ask("oauth/revoke", {"everything": True})
    ended = call("parks", "--token-file", file, env=NO_PASSWORD)
    assert ended.code == 4
    assert not [token for token in tokens_in(file) if token in ended.err]


def test_a_login_is_a_login_even_where_a_good_token_is_kept(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    assert call("login", "--token-file", file).code == 0
    before = tokens_in(file)
    assert call("login", "--token-file", file, env={"SMAPPEE_PASSWORD": "wrong"}).code == 4
    assert tokens_in(file) == before
    assert call("login", "--token-file", file).code == 0
    assert not set(before) & set(tokens_in(file))


def test_a_refresh_token_in_the_environment_is_enough(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    assert call("login", "--token-file", file).code == 0
    assert call("parks", env={**NO_PASSWORD, "SMAPPEE_REFRESH_TOKEN": tokens_in(file)[1]}).code == 0


def test_a_token_file_that_others_can_read_is_refused(call: Run, tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    assert call("login", "--token-file", file).code == 0
    file.chmod(0o644)
    ended = call("parks", "--token-file", file, env=NO_PASSWORD)
    assert ended.code == 1
    assert "chmod 600" in ended.err


def test_without_a_terminal_nothing_is_asked(call: Run) -> None:
    ended = call("login", env=NO_PASSWORD)
    assert ended.code == 2
    assert "SMAPPEE_USERNAME, SMAPPEE_PASSWORD" in ended.err


def converse(start: Start, tmp_path: Path, *inputs: tuple[str, str]) -> tuple[int, str]:
    """Log in on a terminal; each input is typed after its prompt was shown."""
    ours, theirs = pty.openpty()
    shown = ""
    try:
        environment = {**NO_PASSWORD, "SMAPPEE_TOKEN_FILE": str(tmp_path / "token.json")}
        terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
        with start("login", env=environment, **terminal) as process:
            os.close(theirs)
            for prompt, text in inputs:
                while prompt not in shown:
                    shown += os.read(ours, 1024).decode()
                os.write(ours, text.encode())
            while data := _read(ours):
                shown += data
            return process.wait(timeout=100), shown
    finally:
        os.close(ours)


def _read(descriptor: int) -> str:
    try:
        return os.read(descriptor, 1024).decode()
    except OSError:  # Linux says so when the other end has gone
        return ""


def test_on_a_terminal_it_asks_and_does_not_show_the_password(start: Start, tmp_path: Path) -> None:
    inputs = ("User name: ", "simulated user\n"), ("Password: ", "simulated&pass=word\n")
    code, shown = converse(start, tmp_path, *inputs)
    assert code == 0
    assert "Logged in" in shown
    assert "simulated&pass=word" not in shown


def test_no_input_is_no_login(start: Start, tmp_path: Path) -> None:
    code, shown = converse(start, tmp_path, ("User name: ", "\x04"))
    assert code == 2
    assert "no input was given" in shown
    assert not (tmp_path / "token.json").exists()


@pytest.mark.parametrize(
    ("configured", "base_url", "file"),
    [
        ("/etc/xdg", "https://app1pub.smappee.net/dev/v3", "/etc/xdg/smappee-async/token.json"),
        ("/etc/xdg", "https://app1pub.smappee.net/dev/v3/", "/etc/xdg/smappee-async/token.json"),
        ("/etc/xdg", "http://[::1]:8080/dev/v3", "/etc/xdg/smappee-async/token-1-8080.json"),
        ("relative", "https://app1pub.smappee.net/dev/v3", "~/.config/smappee-async/token.json"),
        ("", "not a URL", "~/.config/smappee-async/token.json"),
    ],
)
def test_the_token_file_is_where_the_desktop_specification_says(configured: str, base_url: str, file: str) -> None:
    assert default_token_file(base_url, {"XDG_CONFIG_HOME": configured}) == Path(file).expanduser()
