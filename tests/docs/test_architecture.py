"""The picture of the floors is what its program draws, and its floors are those of the contract."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "docs" / "explanation" / "floors.py"
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_its_program_draws() -> None:
    floors = load(PROGRAM)

    assert floors.PICTURE.read_text(encoding="utf-8") == floors.drawing()


def test_the_floors_are_those_of_the_contract() -> None:
    floors = load(PROGRAM)
    (layers,) = (contract["layers"] for contract in CONTRACT["contracts"] if contract["type"] == "layers")

    drawn = [{name for name, _ in floor} for floor in floors.FLOORS] + [{floors.APART[0]}]
    assert drawn == [set(re.findall(r"\w+", layer)) - {"_version"} for layer in layers]


def test_each_part_of_the_package_is_on_the_picture() -> None:
    floors = load(PROGRAM)
    drawn = {name for floor in floors.FLOORS for name, _ in floor} | {floors.APART[0]}
    parts = {path.stem for path in (ROOT / "smappee_async").iterdir() if not path.name.startswith(("_", "py.typed"))}

    assert parts - drawn == set()


PACKAGE = ROOT / "smappee_async"
ROWS = re.findall(
    r"^\| `(\w+)/` \| (.+) \|$", (PROGRAM.parent / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(("package", "row"), ROWS, ids=[package for package, _ in ROWS])
def test_the_page_names_each_module_of_a_package_and_no_other(package: str, row: str) -> None:
    named = {re.findall(r"`(\w+)/?`", each)[0] for each in row.split(" \u00b7 ")}

    assert named == {path.stem for path in (PACKAGE / package).iterdir() if not path.name.startswith("_")}
