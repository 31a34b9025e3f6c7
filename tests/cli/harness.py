"""Types for the tests of the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from subprocess import Popen
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import attrs


@attrs.frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]
Start = Callable[..., AbstractContextManager[Popen[str]]]


@attrs.frozen
class Cloud:
    """A simulator in another process: three parks in three time zones, and the account that sees them."""

    environment: Mapping[str, str]
    admin_url: str
    parks: tuple[int, ...]

    def add_fault(self, kind: str, **conditions: object) -> None:
        self.ask("faults", {"kind": kind, **conditions})

    def truth(self, park: int, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        response = self.ask(f"ledger?park={park}&start={start_ms}&end={end_ms}&full=1")
        sessions: list[dict[str, Any]] = response["sessions"]
        return sessions

    def ask(self, route: str, body: object = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.admin_url}/{route}", data=data, method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=100) as response:
            return json.load(response)
