"""An nginx of the tests' own, in front of a simulator."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

_CONFIGURATION: Final = """\
{user}
worker_processes 1;
pid nginx.pid;
error_log error.log notice;
events {{ worker_connections 256; }}
http {{
  log_format seen '$status $pid $connection $request_method $request_uri $sent_http_content_encoding';
  access_log access.log seen;
  client_body_temp_path temporary;
  proxy_temp_path temporary;
  fastcgi_temp_path temporary;
  scgi_temp_path temporary;
  uwsgi_temp_path temporary;
  {http}
  server {{
    listen 127.0.0.1:{port};
    {server}
    location / {{ proxy_pass {origin}; {location} }}
  }}
}}
"""
_PATIENCE_S: Final = 10.0


@attrs.frozen
class Logged:
    """A line of the access log."""

    status: int
    worker: int
    connection: int
    method: str
    path: str
    encoding: str


@attrs.frozen(kw_only=True)
class Settings:
    """Directives of nginx, by the block that they stand in."""

    http: str = ""
    server: str = ""
    location: str = ""


class Nginx:
    """nginx in the foreground, as a child of the test, with its files in ``place`` and a port of its own.

    :param origin: the simulator's scheme, host and port.
    """

    def __init__(self, program: str, place: Path, origin: str, settings: Settings) -> None:
        self._program = program
        self._place = place
        self._origin = origin
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.configure(settings)

    @property
    def base_url(self) -> str:
        """The base URL of a client that goes through it."""
        return f"http://127.0.0.1:{self._port}/dev/v3"

    def configure(self, settings: Settings) -> None:
        """Write the configuration, which the next start or :meth:`reload` reads."""
        is_root = os.geteuid() == 0  # its workers would be of another user then, who cannot read the folder
        (self._place / "nginx.conf").write_text(
            _CONFIGURATION.format(
                user="user root;" if is_root else "",
                port=self._port,
                origin=self._origin,
                **attrs.asdict(settings),
            )
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [self._program, "-p", str(self._place), "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The file is written after the port is opened.
        self._wait_until((self._place / "nginx.pid").exists)

    def reload(self) -> None:
        """Read the configuration again: a new worker takes over, and the old one ends after its last response."""
        assert self._process is not None
        before = self._errors().count("start worker process ")
        self._process.send_signal(signal.SIGHUP)
        self._wait_until(lambda: self._errors().count("start worker process ") > before)

    def stop(self) -> None:
        """End it at once: connections are cut, those with a response under way included."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(_PATIENCE_S)
        self._process = None

    def requests(self) -> list[Logged]:
        """The access log."""
        lines = (self._place / "access.log").read_text().splitlines()
        fields = (line.split(" ") for line in lines)
        return [
            Logged(int(status), int(worker), int(connection), *texts) for status, worker, connection, *texts in fields
        ]

    def _errors(self) -> str:
        return (self._place / "error.log").read_text()

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        assert self._process is not None
        give_up_at = time.monotonic() + _PATIENCE_S
        while not condition():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"nginx did not start:\n{self._errors()}")
            time.sleep(0.005)
