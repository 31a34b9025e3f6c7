"""The cost of ``import smappee_async``, beside that of importing its dependencies, each in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.speed.result import Goal, Row
from benchmarks.speed.scale import Scale

_OURS: Final = "from smappee_async import SmappeeClient"
#: A name is loaded when it is first used, so this import alone costs next to nothing.
_NAMES_LATER: Final = "import smappee_async"
_PARTS: Final = "import aiohttp, attrs, cattrs, anyio, orjson"
_PARTS_USED: Final = "import aiohttp, attrs, cattrs, anyio, msgspec"
_GOAL: Final = Goal(at_most=1.1)
_GOAL_OF_ALL: Final = Goal(at_most=1.15)
#: Packages that the client does not need: some of its own, and those of its extras.
_NOT_WANTED: Final = (
    "smappee_async.cli",
    "smappee_async.simulator",
    "smappee_async.testing",
    "smappee_async.auth.stores.redis",
    "zoneinfo",
    "typer",
    "rich",
    "filelock",
    "redis",
    "uvloop",
)
_PROGRAM: Final = """
import sys, time
began_at = time.process_time()
{statement}
took_s = time.process_time() - began_at
print("[", took_s, ",", "[", ",".join('"' + name + '"' for name in sys.modules), "]]")
"""


def run(scale: Scale) -> list[Row]:
    """The rows of the table."""
    took_s: dict[str, list[float]] = {each: [] for each in (_OURS, _NAMES_LATER, _PARTS, _PARTS_USED)}
    modules: Sequence[str] = ()
    with TemporaryDirectory() as cache:
        for number in range(scale.of(15, quick=1) + 1):  # the first round compiles, and does not count
            for statement, seconds in took_s.items():
                took, loaded = _import(statement, cache)
                if statement == _OURS:
                    modules = loaded
                if number:
                    seconds.append(took)
    not_wanted = [name for name in modules if name in _NOT_WANTED]
    return [
        Row.of(f"{_OURS}, CPU", (seconds * 1e3 for seconds in took_s[_OURS]), "ms"),
        *(
            Row.of(f"{ours} ÷ {parts}", map(float.__truediv__, took_s[ours], took_s[parts]), goal=goal)
            for ours, parts, goal in (
                (_NAMES_LATER, _PARTS, _GOAL),
                (_OURS, _PARTS_USED, _GOAL_OF_ALL),
            )
        ),
        Row("modules that it should not bring", len(not_wanted), "", goal=Goal(at_most=0)),
    ]


def _import(statement: str, cache: str) -> tuple[float, list[str]]:
    """CPU seconds of an import, and the modules that are loaded after it.

    :param cache: directory of the compiled modules, used by all, whatever the environment says.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement=statement)],
        env=environment | {"PYTHONPYCACHEPREFIX": cache},
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=tuple[float, list[str]])
