"""A headless Chromium of the tests' own, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_S = 60.0
_CALL_S = 30.0


def find_chromium() -> str:
    """Where it is. Without it a test is skipped, but never in ``.ci/run``."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        reason = "there is no chromium; on Debian: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


class Tab:
    """A page in the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session_id: str) -> None:
        self._socket = socket
        self._session_id = session_id
        self._ids = itertools.count(100)

    async def call(self, method: str, **params: Any) -> Any:
        """A command of the DevTools protocol, and its result."""
        return await _call(self._socket, next(self._ids), method, params, self._session_id)

    async def open(self, url: str) -> None:
        await self.call("Page.enable")
        result = await self.call("Page.navigate", url=url)
        assert "errorText" not in result, result

    async def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression of JavaScript holds, but not for ever."""
        for _ in range(1500):
            if await self.value(expression):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{expression} did not come to hold:\n{await self.value('document.body.innerText')}")


@asynccontextmanager
async def open_tab(place: Path) -> AsyncIterator[Tab]:
    """Start a browser with an empty profile, and open a tab. It talks to this machine only."""
    command = [
        find_chromium(),
        "--headless",
        "--no-sandbox",  # the tests may run as root, and open their own page only
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-sync",
        "--metrics-recording-only",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--remote-debugging-port=0",
        f"--user-data-dir={place}",
        "about:blank",
    ]
    browser = _start(command, place)
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(await _address(browser, place), max_msg_size=0) as socket,
        ):
            target = await _call(socket, 1, "Target.createTarget", {"url": "about:blank"})
            attach = {"targetId": target["targetId"], "flatten": True}
            yield Tab(socket, (await _call(socket, 2, "Target.attachToTarget", attach))["sessionId"])
            await _call(socket, 3, "Browser.close", {})
            await asyncio.to_thread(browser.wait, _CALL_S)
    finally:
        browser.kill()
        browser.wait()


def _start(command: list[str], place: Path) -> subprocess.Popen[bytes]:
    with (place.parent / "chromium.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"HOME": str(place)})


async def _address(browser: subprocess.Popen[bytes], place: Path) -> str:
    """Where the browser listens, which it writes into its profile."""
    written = place / "DevToolsActivePort"
    async with asyncio.timeout(_START_S):
        while not (written.exists() and len(lines := written.read_text().split("\n")) >= 2):
            assert browser.poll() is None, (place.parent / "chromium.log").read_text(errors="replace")
            await asyncio.sleep(0.05)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


async def _call(
    socket: aiohttp.ClientWebSocketResponse,
    number: int,
    method: str,
    params: dict[str, Any],
    session_id: str | None = None,
) -> Any:
    message = {"id": number, "method": method, "params": params}
    await socket.send_json(message if session_id is None else message | {"sessionId": session_id})
    async with asyncio.timeout(_CALL_S):
        while (answer := await socket.receive_json()).get("id") != number:
            pass  # what happens in the browser meanwhile
    assert "error" not in answer, (method, answer)
    return answer["result"]
