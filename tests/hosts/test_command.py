"""The command behind a proxy and in front of a certificate authority of one's own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

import smappee_async
from smappee_async.simulator import Simulator
from tests.cli.harness import Ended
from tests.walking import shown

from .network import HERE, ForwardProxy, forward_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

Run = Callable[..., Awaitable[Ended]]
#: Each command that talks to the service.
COMMANDS = pytest.mark.parametrize(
    "command", [["login"], ["parks"], ["sessions", "1001", "--month", "2026-03"], ["doctor"]]
)


@pytest.fixture
def run(sim: Simulator, tmp_path: Path) -> Run:
    """Runs the command in a process of its own, while the test's loop serves it."""
    account = sim.account
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMAPPEE_")}
    environment |= {
        "PYTHONPATH": str(Path(smappee_async.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "SMAPPEE_CLIENT_ID": account.client_id,
        "SMAPPEE_CLIENT_SECRET": account.client_secret,
        "SMAPPEE_USERNAME": account.username,
        "SMAPPEE_PASSWORD": account.password,
    }

    async def running(*arguments: object, **env: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "smappee_async.cli", *map(str, arguments)),
            env=environment | env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return running


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@COMMANDS
async def test_each_command_goes_through_the_proxy_and_trusts_the_authority(
    run: Run, secure_url: str, ca_file: Path, proxy: ForwardProxy, command: list[str]
) -> None:
    """R49."""
    ended = await run(*command, "--base-url", secure_url, "--proxy", proxy.url, "--ca-file", ca_file)

    assert ended.code == 0, ended.err
    assert proxy.heard


@COMMANDS
async def test_each_command_without_the_authority_says_that_it_is_not_trusted(
    run: Run, sim: Simulator, secure_url: str, command: list[str]
) -> None:
    """R49."""
    ended = await run(*command, "--base-url", secure_url)

    assert ended.code == 1
    assert "certificate is not trusted" in ended.err
    assert list(sim.requests) == []


async def test_the_command_takes_the_proxy_of_the_environment_with_its_password(
    run: Run, secure_url: str, ca_file: Path
) -> None:
    """R49."""
    async with forward_proxy(login="marked-user:marked/pass") as proxy:
        url = proxy.url_with("marked-user:marked%2Fpass")
        ended = await run("parks", "--base-url", secure_url, "--ca-file", ca_file, HTTPS_PROXY=url)

    assert ended.code == 0, ended.err
    assert proxy.heard
    assert shown(["marked"], [ended.out, ended.err]) == []


async def test_a_password_on_the_command_line_is_refused(run: Run, secure_url: str) -> None:
    """R49."""
    ended = await run("parks", "--base-url", secure_url, "--proxy", f"http://marked-user:marked-pass@{HERE}:1")

    assert ended.code == 2
    assert "can be seen by other users of the machine" in ended.err
    assert "HTTPS_PROXY" in ended.err
    assert shown(["marked"], [ended.out, ended.err]) == []


@pytest.mark.parametrize(("proxy_url", "says"), [("socks5://127.0.0.1:1", "not an http proxy"), ("http://", "no host")])
async def test_a_proxy_that_cannot_be_used_is_a_mistake_of_usage(
    run: Run, secure_url: str, proxy_url: str, says: str
) -> None:
    ended = await run("parks", "--base-url", secure_url, "--proxy", proxy_url)

    assert ended.code == 2
    assert says in ended.err


async def test_an_authority_that_cannot_be_read_is_a_mistake_of_usage(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    missing = await run("parks", "--ca-file", tmp_path / "missing.pem")
    no_pem = await run("parks", "--ca-file", empty)

    assert (missing.code, no_pem.code) == (2, 2)
    assert "missing.pem cannot be read: No such file or directory" in missing.err
    assert "holds no certificate" in no_pem.err
    assert "Traceback" not in missing.err + no_pem.err


async def test_the_demonstration_needs_no_proxy(run: Run) -> None:
    """Its simulator is on this machine, and nobody listens at the proxy."""
    ended = await run("demo", "--parks", "1", "--sessions", "100", "--plain", HTTP_PROXY=f"http://{HERE}:1")

    assert ended.code == 0, ended.err
