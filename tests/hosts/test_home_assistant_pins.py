"""The package installs beside Home Assistant: what that pins is within what this asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = {
    pin.name: pin
    for line in (ROOT / ".ci" / "home-assistant.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for pin in [Requirement(line)]
}
ASKED = [Requirement(text) for text in PROJECT["dependencies"]]


def exactly(pin: Requirement) -> Version | None:
    return next((Version(part.version) for part in pin.specifier if part.operator == "=="), None)


def test_the_pins_that_matter_are_there() -> None:
    """R53."""
    assert {"aiohttp", "anyio", "attrs"} <= {asked.name for asked in ASKED} & PINS.keys()


@pytest.mark.parametrize("asked", [asked for asked in ASKED if asked.name in PINS], ids=lambda asked: asked.name)
def test_what_home_assistant_pins_is_within_what_the_package_asks_for(asked: Requirement) -> None:
    """R53."""
    pinned = exactly(PINS[asked.name])

    assert pinned is not None
    assert pinned in asked.specifier


def test_the_whole_suite_is_run_with_these_pins() -> None:
    """R53: the workflow always, the script on request."""
    for name in (".github/workflows/ci.yml", ".ci/run"):
        assert "-c .ci/home-assistant.txt" in (ROOT / name).read_text(encoding="utf-8"), name
