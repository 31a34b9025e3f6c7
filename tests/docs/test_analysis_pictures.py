"""The plots of the page are what its program draws."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests import analysis

from .pages import ROOT, text_of

PROGRAM = ROOT / "docs" / "analysis_pictures.py"
PICTURES = ROOT / "docs" / "images"
SHOWN = sorted(re.findall(r"\(\.\./images/([\w-]+\.svg)\)", text_of(ROOT / "docs" / "how-to" / "analysis.md")))


def parts(picture: Path) -> list[tuple[str, str]]:
    """The texts of a picture, and the colours of its shapes, in their order. Places differ between versions of fonts."""
    found = []
    for element in ET.parse(picture).iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "text":
            found.append((tag, "".join(element.itertext()).strip()))
        elif fill := re.search(r"fill: (#\w+)", element.get("style", "")):
            found.append((tag, fill[1]))
    return found


def test_the_plots_are_what_their_program_draws(tmp_path: Path) -> None:
    for module in ("matplotlib", "pandas"):
        analysis.need(module)
    subprocess.run([sys.executable, "-W", "error", str(PROGRAM), str(tmp_path)], check=True, timeout=100)

    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == SHOWN
    assert {name: parts(tmp_path / name) for name in drawn} == {name: parts(PICTURES / name) for name in drawn}


def test_the_plots_name_their_units() -> None:
    texts = {text for name in SHOWN for tag, text in parts(PICTURES / name) if tag == "text"}

    assert {
        "energy (kWh)",
        "energy of a session (kWh)",
        "share of the park's sessions (%)",
        "local time (hours)",
    } <= texts
