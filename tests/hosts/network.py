"""What stands between a client and the simulator: a forward proxy, and a TLS server with a certificate authority of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urlsplit

import attrs
import trustme

HERE: Final = "127.0.0.1"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a port of this machine; when it ends, no task and no connection is left."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HERE, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def connect_both(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, first: bytes = b""
) -> None:
    """Pass on what either side says, until both have ended."""
    their_reader, their_writer = await asyncio.open_connection(host, port)
    try:
        their_writer.write(first)
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, their_writer))
            both.create_task(pump(their_reader, writer))
    except* ConnectionError:
        pass
    finally:
        their_writer.close()


@attrs.define
class ForwardProxy:
    """A proxy for ``CONNECT`` and for plain http, a request for each connection.

    :param login: the user name and password that it asks for, as ``user:password``.
    :param refuses: the status with which it refuses everybody.
    :param heard: the first line of each request, and what it carried as ``Proxy-Authorization``.
    """

    port: int = 0
    login: str | None = None
    refuses: int | None = None
    heard: list[tuple[str, str | None]] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.port}"

    def url_with(self, login: str) -> str:
        return f"http://{login}@{HERE}:{self.port}"

    @property
    def lines(self) -> list[str]:
        return [line for line, _ in self.heard]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        authorization = headers.get("proxy-authorization")
        self.heard.append((line, authorization))
        wanted = None if self.login is None else f"Basic {b64encode(self.login.encode()).decode()}"
        status = self.refuses or (407 if wanted not in (None, authorization) else None)
        if status is not None:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return
        method, target, _ = line.split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await connect_both(reader, writer, host, int(port))
            return
        url = urlsplit(target)
        assert url.hostname is not None
        path = target.removeprefix(f"{url.scheme}://{url.netloc}")
        kept = [field for field in fields if not field.lower().startswith(("proxy-", "connection:"))]
        first = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
        await connect_both(reader, writer, url.hostname, url.port or 80, first.encode())


@asynccontextmanager
async def forward_proxy(login: str | None = None, refuses: int | None = None) -> AsyncIterator[ForwardProxy]:
    proxy = ForwardProxy(login=login, refuses=refuses)
    async with serving(proxy.handle) as proxy.port:
        yield proxy


@contextmanager
def forward_proxy_in_thread() -> Iterator[ForwardProxy]:
    """A proxy for programs that have a loop of their own."""
    started: Future[tuple[ForwardProxy, Callable[[], object]]] = Future()

    async def serve() -> None:
        async with forward_proxy() as proxy:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            started.set_result((proxy, lambda: loop.call_soon_threadsafe(ended.set)))
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="proxy")
    thread.start()
    proxy, end = started.result(10)
    try:
        yield proxy
    finally:
        end()
        thread.join(10)


@asynccontextmanager
async def tls_front(base_url: str, authority: trustme.CA) -> AsyncIterator[str]:
    """The same service behind TLS, with a certificate of an authority that nobody trusts: its base URL."""
    inner = urlsplit(base_url)
    assert inner.hostname is not None
    assert inner.port is not None
    host, port = inner.hostname, inner.port
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HERE).configure_cert(context)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connect_both(reader, writer, host, port)

    async with serving(handle, context) as outer:
        yield f"https://{HERE}:{outer}{inner.path}"
