"""The simulator in a process of its own, so that the client shares neither event loop nor core with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import smappee_async
from smappee_async.auth.credentials import Credentials
from smappee_async.cli.ending import Failure
from smappee_async.timerange import TimeRange

_HERE: Final = str(Path(smappee_async.__file__).parents[1])
_ADMIN_TIMEOUT_S: Final = 120.0
_END_TIMEOUT_S: Final = 5.0


class SimulatorProcess:
    """Runs ``python -m smappee_async.simulator`` inside the block, and calls its admin routes.

    :raises Failure: it did not start.
    """

    def __init__(self, *, parks: int, sessions: int, seed: int, now: str, changes: bool = False) -> None:
        # With -P and the path to this package, a file random.py in the working directory is not imported.
        command = [sys.executable, "-P", "-m", "smappee_async.simulator", "--now", now]
        self._command = [*command, "--parks", str(parks), "--sessions", str(sessions), "--seed", str(seed)]
        if changes:
            self._command.append("--changes")
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (_HERE, os.getenv("PYTHONPATH")))),
        }
        # Without the proxy of the environment, because the simulator is on this machine.
        self._opener = build_opener(ProxyHandler({}))

    def __enter__(self) -> Self:
        # A file, because a pipe that nobody reads fills up.
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and whole numbers
            self._command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self._read_greeting()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _read_greeting(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise Failure(f"the simulator did not start: {last or 'it printed nothing'}")
        greeting = json.loads(line)
        account = greeting["account"]
        self.base_url: str = greeting["base_url"]
        self.parks: list[int] = greeting["parks"]
        self.credentials = Credentials(
            account["client_id"], account["client_secret"], account["username"], account["password"]
        )
        #: What another program logs in with.
        self.login = {f"SMAPPEE_{name.upper()}": value for name, value in account.items()}
        self.login["SMAPPEE_BASE_URL"] = self.base_url
        self._admin_url: str = greeting["admin_url"]

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._errors.close()

    # --- the admin routes ---------------------------------------------------------------------------------------------

    def add_faults(self, faults: Sequence[Mapping[str, object]]) -> None:
        """Add faults, which strike from now on."""
        self._call_admin("faults", body=list(faults))

    def faults_met(self) -> dict[str, int]:
        """How often each kind of fault has struck."""
        met: dict[str, int] = {}
        for fault in self._call_admin("faults"):
            name = fault["kind"] if fault["kind"] != "status" else str(fault["status"])
            met[name] = met.get(name, 0) + fault["struck"]
        return met

    def truth(self, park: int, time_range: TimeRange) -> tuple[int, str]:
        """The number of completed sessions of a park, and the digest of their records."""
        response = self._call_admin("ledger", park=park, start=time_range.start_ms, end=time_range.end_ms)
        return response["count"], response["digest"]

    def true_ids(self, park: int, time_range: TimeRange) -> list[int]:
        """The ids of those sessions."""
        response = self._call_admin("ledger", park=park, start=time_range.start_ms, end=time_range.end_ms, full=1)
        return [record["id"] for record in response["sessions"]]

    def true_records(self, park: int, start: datetime, ago: timedelta = timedelta(0)) -> list[dict[str, Any]]:
        """The records that the service lists, or listed some time ago, of all sessions that started since then."""
        at_ms = self._call_admin("clock")["now_ms"] + ago // timedelta(milliseconds=1)
        start_ms = TimeRange.since(start).start_ms
        response = self._call_admin("ledger", park=park, start=start_ms, state="all", at=at_ms, full=1)
        records: list[dict[str, Any]] = response["sessions"]
        return records

    def move_clock(self, by: timedelta) -> None:
        """Let simulated time pass."""
        self._call_admin("clock", body={"move_s": by.total_seconds()})

    def _call_admin(self, route: str, *, body: object = None, **query: object) -> Any:
        url = f"{self._admin_url}/{route}?{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data=data)  # noqa: S310 - the address comes from the child process
        with self._opener.open(request, timeout=_ADMIN_TIMEOUT_S) as response:
            return json.load(response)
