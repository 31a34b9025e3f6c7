"""The requirements and their tests, as page and tests name them.

``python -m tests.reliability.requirements`` writes the lists of tests on the page anew, from the docstrings.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
PAGE: Final = TESTS.parent / "docs" / "explanation" / "requirements.md"
NUMBER: Final = re.compile(r"\bR[0-9]{1,2}\b")
_SECTION: Final = re.compile(r"^### (R[0-9]{1,2}): ", re.MULTILINE)
_ITEM: Final = re.compile(r"^- `(tests/[\w/.]+)`: (.+)$")
_HELD_BY: Final = "Tests:"


@functools.cache
def named_in_tests() -> dict[str, list[str]]:
    """The tests that name each requirement in their docstring, as ``path::test``."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for number in dict.fromkeys(NUMBER.findall(ast.get_docstring(node) or "")):
                    found[number].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return dict(found)


def mentioned_in_tests() -> set[str]:
    """Every number that stands anywhere in the tests: in docstrings, in comments, in names."""
    return {number for path in TESTS.rglob("*.py") for number in NUMBER.findall(path.read_text(encoding="utf-8"))}


def sections(page: str) -> dict[str, str]:
    """The text about each requirement."""
    heads = list(_SECTION.finditer(page))
    ends = [head.start() for head in heads[1:]] + [len(page)]
    return {head[1]: page[head.start() : end] for head, end in zip(heads, ends, strict=True)}


def listed(section: str) -> list[str]:
    """The tests that the text about one requirement lists, as ``path::test``."""
    items = [item for line in section.splitlines() if (item := _ITEM.match(line))]
    return [f"{item[1]}::{test}" for item in items for test in re.findall(r"`(\w+)`", item[2])]


def with_lists(page: str) -> str:
    """The page with the lists of tests that the docstrings give."""
    tests = named_in_tests()
    for number, section in sections(page).items():
        text, _, rest = section.partition(f"\n{_HELD_BY}\n")
        if rest:  # what follows the list: the heading of the next group, or the anchor of the next requirement
            rest = "\n".join(line for line in rest.splitlines() if not _ITEM.match(line)).strip("\n")
        else:
            # A page without lists: the list goes before the next anchor or heading.
            lines = text.split("\n")
            after = next((at for at, line in enumerate(lines[1:], 1) if line.startswith(("(r", "## "))), len(lines))
            text, rest = "\n".join(lines[:after]), "\n".join(lines[after:]).strip("\n")
        parts = [text.rstrip("\n"), _list(tests[number])] if number in tests else [text.rstrip("\n")]
        page = page.replace(section, "\n\n".join([*parts, rest]).rstrip("\n") + "\n")
    return page


def _list(tests: list[str]) -> str:
    by_file: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        path, _, name = test.partition("::")
        by_file[path].append(f"`{name}`")
    return "\n".join([_HELD_BY, "", *(f"- `{path}`: {', '.join(names)}" for path, names in by_file.items())])


if __name__ == "__main__":
    PAGE.write_text(with_lists(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
