"""The page of requirements and the tests say the same, and so does the threat model."""

from __future__ import annotations

import re

import pytest

from . import requirements

ROOT = requirements.TESTS.parent
EXPLANATION = ROOT / "docs" / "explanation"
SECTIONS = requirements.sections(requirements.PAGE.read_text(encoding="utf-8"))
NUMBERS = [f"R{number}" for number in range(1, 54)]
WRITE_IT = "run 'python -m tests.reliability.requirements', which writes the lists of tests anew"


def test_the_page_has_every_requirement_once_and_in_order() -> None:
    assert list(SECTIONS) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_the_page_lists_the_tests_that_name_a_requirement(number: str) -> None:
    assert requirements.listed(SECTIONS[number]) == requirements.named_in_tests().get(number, []), WRITE_IT


@pytest.mark.parametrize("number", NUMBERS)
def test_only_a_requirement_that_is_not_held_has_no_test(number: str) -> None:
    said = re.findall(r"^\*\*(Held|Held in part|Not held)\.\*\*", SECTIONS[number], re.MULTILINE)

    assert len(said) == 1
    assert (said == ["Not held"]) == (requirements.listed(SECTIONS[number]) == [])


def test_each_number_that_stands_in_the_tests_is_on_the_page() -> None:
    assert requirements.mentioned_in_tests() - SECTIONS.keys() == set()


def test_the_documents_that_a_release_needs_are_there() -> None:
    """R39: what is written down; its figures come from the committed programs."""
    documents = ("SECURITY.md", "docs/explanation/threat-model.md", "CHANGELOG.md", "LICENSE", "smappee_async/py.typed")
    for name in documents:
        assert (ROOT / name).is_file(), name
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        assert re.search(r"^permissions: \{\}$", text, re.MULTILINE), workflow.name
        for used in re.findall(r"uses: *(\S+.*)", text):
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v[0-9.]+", used), (workflow.name, used)
        assert text.count("actions/checkout@") == text.count("persist-credentials: false"), workflow.name


def test_a_mitigation_of_the_threat_model_points_at_a_test_that_exists() -> None:
    """R39."""
    text = (EXPLANATION / "threat-model.md").read_text(encoding="utf-8")
    pointers = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)

    assert len(pointers) > 15
    for path, test in pointers:
        assert (ROOT / path).is_file(), path
        assert f"def {test}" in (ROOT / path).read_text(encoding="utf-8"), (path, test)
