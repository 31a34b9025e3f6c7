"""Every requirement has a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: R4 waits for incremental synchronisation. R39 is about a release, and R40 is in ``test_behaviour_pins.py``.
REQUIRED = {f"R{number}" for number in range(1, 39)} - {"R4"}
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(.*?\)(?: -> None)?:\n +(\"\"\".*?\"\"\")", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"\bR[0-9]{1,2}\b")


def named_in_tests() -> dict[str, list[str]]:
    """The tests that name each requirement at the head of their docstring."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path == Path(__file__):
            continue
        for test, docstring in _TEST.findall(path.read_text()):
            for number in _NUMBER.findall(docstring):
                found.setdefault(number, []).append(f"{path.relative_to(TESTS)}::{test}")
    return found


def test_every_requirement_is_named_by_a_test() -> None:
    missing = sorted(REQUIRED - named_in_tests().keys(), key=lambda number: int(number[1:]))

    assert missing == []


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    known = {f"R{number}" for number in range(1, 41)}

    assert {number: tests for number, tests in named_in_tests().items() if number not in known} == {}


def test_the_documents_that_a_release_needs_are_there() -> None:
    """R39: what is written down; its figures come from the committed programs."""
    root = TESTS.parent
    for name in ("SECURITY.md", "THREAT_MODEL.md", "CHANGELOG.md", "LICENSE", "smappee_async/py.typed"):
        assert (root / name).is_file(), name
    for workflow in (root / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        assert re.search(r"^permissions: \{\}$", text, re.MULTILINE), workflow.name
        for used in re.findall(r"uses: *(\S+.*)", text):
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v[0-9.]+", used), (workflow.name, used)
        assert text.count("actions/checkout@") == text.count("persist-credentials: false"), workflow.name


def test_a_mitigation_of_the_threat_model_points_at_a_test_that_exists() -> None:
    """R39."""
    text = (TESTS.parent / "THREAT_MODEL.md").read_text()
    pointers = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)

    assert len(pointers) > 15
    for path, test in pointers:
        assert (TESTS.parent / path).is_file(), path
        assert f"def {test}" in (TESTS.parent / path).read_text(), (path, test)
