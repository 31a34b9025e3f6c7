"""The page about the service names every switch and every fault of the simulator, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from smappee_async.simulator import Assumptions
from smappee_async.simulator.faults import FAULT_KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "service.md").read_text(encoding="utf-8")


def test_the_page_names_every_assumption_and_no_other() -> None:
    named = set(re.findall(r"`Assumptions\.(\w+)`", PAGE))

    assert named == {field.name for field in attrs.fields(Assumptions)}


def test_the_page_names_every_kind_of_fault_and_no_other() -> None:
    named = set(re.findall(r'`Fault\("(\w+)"\)`', PAGE))

    assert named == FAULT_KINDS


def test_each_anchor_that_the_code_cites_exists() -> None:
    cited = {
        anchor
        for source in (ROOT / "smappee_async").rglob("*.py")
        for anchor in re.findall(r"service\.md#([a-z-]+)", source.read_text(encoding="utf-8"))
    }

    assert {"park-sessions", "get-token"} <= cited
    assert {anchor for anchor in cited if f"\n({anchor})=\n" not in PAGE} == set()


def test_each_anchor_of_the_list_of_pages_exists() -> None:
    cited = re.findall(r"^\| .* \| \[[a-z-]+\]\(#([a-z-]+)\) \|$", PAGE, re.MULTILINE)

    assert len(cited) == 7
    assert [anchor for anchor in cited if f"\n({anchor})=\n" not in PAGE] == []
