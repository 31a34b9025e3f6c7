"""The invented service, in a process of its own: one asyncio protocol that sends bytes that are ready-made.

It reads the query: a response holds the sessions that start in the range, and no others.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs
import msgspec

from benchmarks.speed.world import Kind, Timeline, kind_of

_PATH: Final = "/dev/v3"
_SESSIONS: Final = re.compile(
    rb"GET /dev/v3/chargingparks/(\d+)/sessions\?(?:active=(true|false)&)?range=(\d+)(?:(?:,|%2C)(\d+))? "
)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TOKEN: Final = b'{"access_token":"invented","refresh_token":"invented-too","expires_in":86400}'
_HEAD: Final = b"HTTP/1.1 %s\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n\r\n"


@attrs.frozen
class Setup:
    """The settings of the service.

    :param kinds: the kinds of its parks; see :mod:`benchmarks.speed.world`.
    :param delay_s: how many seconds it waits before it responds to a query for sessions.
    """

    kinds: Sequence[Kind]
    delay_s: float = 0.0


@contextmanager
def serving(*kinds: Kind, delay_s: float = 0.0) -> Iterator[str]:
    """Run a service while the block lasts; yields its base URL."""
    setup = msgspec.json.encode(Setup(kinds, delay_s)).decode()
    command = [sys.executable, "-m", "benchmarks.speed.server", setup]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}{_PATH}"
        finally:
            process.stdin.close()


class _Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, timelines: Sequence[Timeline], delay_s: float) -> None:
        self._timelines = timelines
        self._delay_s = delay_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=1 << 20)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        self._received = rest[size:]
        self._respond(head)

    def _respond(self, head: bytes) -> None:
        if query := _SESSIONS.match(head):
            response = self._sessions(query)
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._send, response)
            else:
                self._send(response)
        elif head.startswith(b"POST /dev/v3/oauth2/token "):
            self._send([_HEAD % (b"200 OK", len(TOKEN)), TOKEN])
        else:
            self._send([_HEAD % (b"404 Not Found", 0)])

    def _sessions(self, query: re.Match[bytes]) -> list[bytes | memoryview]:
        park, active, start_ms, end_ms = query.groups()
        timeline = self._timelines[kind_of(int(park)) - 1]
        found = timeline.between(int(start_ms), int(end_ms) if end_ms else None)
        if active == b"true":
            found = found[:0]
        return [_HEAD % (b"200 OK", len(found) + 2), b"[", found, b"]"]

    def _send(self, response: list[bytes | memoryview]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(response)


async def _serve(setup: Setup) -> None:
    loop = asyncio.get_running_loop()
    timelines = [Timeline(kind) for kind in setup.kinds]
    server = await loop.create_server(lambda: _Connection(timelines, setup.delay_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent process holds the other end of the pipe: when the parent ends, in any way, this process ends too.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(msgspec.json.decode(sys.argv[1], type=Setup)))
