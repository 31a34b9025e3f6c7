"""Draws what commands print: ``python docs/terminal_pictures.py`` writes two pictures to ``docs/images``.

``demo.svg`` is what ``smappee-async demo`` prints, and ``summary.svg`` what ``smappee-async summary`` prints on the
simulator of the tutorial. Each runs on a terminal of its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import selectors
import struct
import subprocess
import sys
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smappee_async.simulator.options import SimulateOptions

PICTURES = Path(__file__).with_name("images")
COLUMNS = 100
SUMMARY = ("summary", "1001", "--month", "2026-10")


def main() -> int:
    failed = [draw_picture("demo", "demo"), asyncio.run(draw_summary())]
    return max(failed)


async def draw_summary() -> int:
    simulator = SimulateOptions(world="small", now="2026-11-01T00:00Z").simulator()
    async with simulator:
        account = simulator.account
        login = {
            "SMAPPEE_BASE_URL": simulator.base_url,
            "SMAPPEE_CLIENT_ID": account.client_id,
            "SMAPPEE_CLIENT_SECRET": account.client_secret,
            "SMAPPEE_USERNAME": account.username,
            "SMAPPEE_PASSWORD": account.password,
        }
        return await asyncio.to_thread(draw_picture, "summary", *SUMMARY, **login)


def draw_picture(name: str, *arguments: str, **variables: str) -> int:
    """Run a command and draw what it printed; if it fails, the picture stays as it is."""
    status, output = run(*arguments, **variables)
    if status:
        print(output, f"the command failed with {status}; the picture stays as it is", sep="\n", file=sys.stderr)
        return 1
    picture = PICTURES / f"{name}.svg"
    picture.write_text(draw(name, f"$ smappee-async {' '.join(arguments)}\n{output}"), encoding="utf-8")
    print("wrote", picture)
    return 0


def run(*arguments: str, **variables: str) -> tuple[int, str]:
    """The exit status, and everything that was printed, with its colours.

    The standard output is a terminal, and the standard error is none: so the progress bar, which erases itself, is not
    part of it.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)} | variables
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "smappee_async.cli", *arguments]
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stderr is not None
        output = b"".join(read_as_it_comes(ours, process.stderr.fileno()))
    os.close(ours)
    return process.returncode, output.decode().replace("\r\n", "\n")


def read_as_it_comes(*descriptors: int) -> list[bytes]:
    """What arrives on several descriptors, in the order in which it arrives."""
    found = []
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    data = os.read(key.fd, 65536)
                except OSError:  # how Linux reports the end of a terminal
                    data = b""
                if data:
                    found.append(data)
                else:
                    selector.unregister(key.fd)
    return found


def draw(name: str, output: str) -> str:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(output.rstrip()))
    picture = console.export_svg(title=f"smappee-async {name}", unique_id=name)
    # Without fonts from the network: a picture in a page cannot load them.
    picture = re.sub(r"\s*(@font-face \{.*?\}|<!--.*?-->)", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


if __name__ == "__main__":
    sys.exit(main())
