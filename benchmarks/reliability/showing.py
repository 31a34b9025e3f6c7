"""What a program does with its figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec


def show(lines: Iterable[str], result: object, path: Path | None) -> None:
    """Print the lines of a run, and save its figures as JSON.

    :param path: where to save them; ``None`` to print only.
    """
    print(*lines, sep="\n", flush=True)
    if path is not None:
        path.write_bytes(msgspec.json.encode(result))
