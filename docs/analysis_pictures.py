"""Draws the plots of a page: ``python docs/analysis_pictures.py`` writes three pictures to ``docs/images``.

It runs the program of ``how-to/analysis.md`` on the simulator of the tutorial. Another directory can be given.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl

import smappee_async.tables.schema  # noqa: F401 - imports pyarrow, before an event loop runs
from smappee_async import SmappeeClient
from smappee_async.simulator.options import SimulateOptions

PAGE = Path(__file__).parent / "how-to" / "analysis.md"
PICTURES = Path(__file__).with_name("images")


def main(pictures: Path) -> None:
    mpl.use("agg")
    # Texts stay texts, and names depend on nothing, so that each run writes the same.
    mpl.rc("svg", fonttype="none", hashsalt="smappee_async")
    with TemporaryDirectory() as folder, chdir(folder):
        asyncio.run(run_page())
        for drawn in sorted(Path(folder).glob("*.svg")):
            picture = re.sub(r"\s*<metadata>.*?</metadata>", "", drawn.read_text(encoding="utf-8"), flags=re.DOTALL)
            (pictures / drawn.name).write_text(picture, encoding="utf-8")
            print("wrote", pictures / drawn.name)


async def run_page() -> None:
    program = "".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    code = compile(program, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    async with SimulateOptions(world="small", now="2026-11-01T00:00Z").simulator() as simulator:
        account = simulator.account
        os.environ["SMAPPEE_CLIENT_ID"] = account.client_id
        os.environ["SMAPPEE_CLIENT_SECRET"] = account.client_secret
        os.environ["SMAPPEE_USERNAME"] = account.username
        os.environ["SMAPPEE_PASSWORD"] = account.password
        # The page reads the service, so the simulator takes the place of the service.
        defaults = SmappeeClient.__init__.__kwdefaults__
        assert defaults is not None
        defaults["base_url"] = simulator.base_url
        await eval(code, {})  # noqa: S307 - of our own page


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else PICTURES)
