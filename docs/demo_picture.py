"""Draws the picture of the demonstration: ``python docs/demo_picture.py`` writes ``docs/images/demo.svg``.

It runs ``smappee-async demo`` on a terminal of its own and draws what the command printed.
"""

from __future__ import annotations

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

PICTURE = Path(__file__).with_name("images") / "demo.svg"
COLUMNS = 100


def main() -> int:
    status, output = run_demo()
    if status:
        print(output, f"the demonstration failed with {status}; the picture stays as it is", sep="\n", file=sys.stderr)
        return 1
    PICTURE.write_text(draw(f"$ smappee-async demo\n{output}"), encoding="utf-8")
    print("wrote", PICTURE)
    return 0


def run_demo() -> tuple[int, str]:
    """The exit status, and everything that was printed, with its colours.

    The standard output is a terminal, and the standard error is none: so the progress bar, which erases itself, is not
    part of it.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "smappee_async.cli", "demo"]
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


def draw(output: str) -> str:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(output.rstrip()))
    picture = console.export_svg(title="smappee-async demo", unique_id="demo")
    # Without fonts from the network: a picture in a page cannot load them.
    picture = re.sub(r"\s*(@font-face \{.*?\}|<!--.*?-->)", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


if __name__ == "__main__":
    sys.exit(main())
