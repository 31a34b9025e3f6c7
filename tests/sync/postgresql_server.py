"""A PostgreSQL server of the tests' own, and a proxy in front of it that cuts connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs
import psycopg
import pytest

_PATIENCE_S: Final = 20.0
_NUMBERS: Final = count()


def program() -> Path:
    """The folder of initdb and postgres; without it, the test is skipped."""
    # Debian keeps them where only its own commands look.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    reason = "there is no PostgreSQL; on Debian: apt-get install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@attrs.frozen
class Database:
    """A database of one test, on a server with a Unix socket only.

    :param place: the folder of the server's socket.
    """

    place: Path
    name: str

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{self.name}?host={quote(str(self.place), safe='')}"

    def execute(self, statement: str) -> list[Any]:
        """By a connection of the test's own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def sessions_of_the_store(self) -> list[Any]:
        """Connections of stores to the database: process and state."""
        return self.execute(
            "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'smappee-async'"
        )


@contextmanager
def running_server() -> Iterator[Path]:
    """Start a server, and end it; its socket is in the folder."""
    programs = program()
    # PostgreSQL refuses to run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        place.chmod(0o755)
        data = place / "data"
        data.mkdir(mode=0o700)
        if user:
            shutil.chown(place, user["user"])
            shutil.chown(data, user["user"])
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place, **user}
        made = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "-N",
        ]
        subprocess.run(made, check=True, **quiet)
        options = ["fsync=off", "full_page_writes=off", "listen_addresses=", f"unix_socket_directories={place}"]
        command = [
            str(programs / "postgres"),
            "-D",
            str(data),
            *(part for option in options for part in ("-c", option)),
        ]
        server = subprocess.Popen(command, **quiet)
        try:
            give_up_at = time.monotonic() + _PATIENCE_S
            while True:
                with suppress(psycopg.OperationalError):
                    Database(place, "postgres").execute("SELECT 1")
                    break
                if server.poll() is not None or time.monotonic() > give_up_at:
                    pytest.fail("PostgreSQL did not start")
                time.sleep(0.02)
            yield place
        finally:
            server.send_signal(2)  # SIGINT: roll back what is under way, and end
            server.wait(_PATIENCE_S)


@contextmanager
def new_database(place: Path) -> Iterator[Database]:
    """An empty database."""
    server, made = Database(place, "postgres"), Database(place, f"copy{next(_NUMBERS)}")
    server.execute(f"CREATE DATABASE {made.name}")
    try:
        yield made
    finally:
        server.execute(f"DROP DATABASE {made.name} WITH (FORCE)")


@attrs.define
class Cutter:
    """Passes bytes on to a server, and cuts the connection at a statement.

    :param at: the statement; ``None`` for none.
    :param when: before the server sees it, or after it was answered, so that the answer is lost.
    :param cuts: how often it does so.
    """

    place: Path
    at: bytes | None = None
    when: Literal["before", "after"] = "before"
    cuts: int = 1
    port: int = 0
    was_cut: int = 0
    has_cut: asyncio.Event = attrs.field(factory=asyncio.Event)

    def url(self, name: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}?sslmode=disable&gssencmode=disable"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            down, up = await asyncio.open_unix_connection(str(self.place / ".s.PGSQL.5432"))
        except OSError:
            writer.transport.abort()
            return
        back = asyncio.create_task(self._pass(down, writer))
        try:
            while data := await reader.read(65536):
                if self.at is not None and self.at in data and self.was_cut < self.cuts:
                    self.was_cut += 1
                    self.has_cut.set()
                    if self.when == "after":
                        back.cancel()
                        await asyncio.wait([back])
                        up.write(data)
                        await down.read(65536)
                    break
                up.write(data)
                await up.drain()
        except OSError:
            pass
        finally:
            back.cancel()
            up.transport.abort()
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def cutting(place: Path) -> AsyncIterator[Cutter]:
    """A proxy on a port of its own."""
    cutter = Cutter(place)
    handlers: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(cutter.serve(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    cutter.port = server.sockets[0].getsockname()[1]
    try:
        yield cutter
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        if handlers:
            await asyncio.wait(handlers)
        await server.wait_closed()
        await asyncio.sleep(0.01)  # what was aborted is closed by the loop
