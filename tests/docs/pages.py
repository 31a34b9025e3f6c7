"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))

#: A comment above a block: ``<!-- not run: the reason -->``; ``<!-- output -->`` above what the block before prints; or
#: ``<!-- goes on -->``: the block goes on with the program of the last one, as in a notebook.
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
_FENCE = re.compile(r"(`{3,}|:{3,}|~{3,})\s*(\S*)")


@attrs.frozen
class Block:
    """A block of code.

    :param line: where it begins in its page, counted from 1.
    :param language: what stands behind the opening fence, such as ``python``.
    :param comment: the text of the comment directly above it; empty if there is none.
    :param prints: the text that a following block says it prints; ``None`` if no block does.
    """

    page: Path
    line: int
    language: str
    text: str
    comment: str
    prints: str | None = None

    @property
    def name(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether no reason is given why it is not run."""
        return not self.comment.startswith("not run")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """The programs and other blocks of a page in their order, each with the output that the page shows of it."""
    found: list[Block] = []
    for block in _fenced(page):
        if block.comment == "output":
            found[-1] = attrs.evolve(found[-1], prints=(found[-1].prints or "") + block.text)
        elif block.comment == "goes on":
            found[-1] = attrs.evolve(found[-1], text=found[-1].text + block.text)
        else:
            found.append(block)
    return found


def _fenced(page: Path) -> Iterator[Block]:
    lines = text_of(page).splitlines()
    comment = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if opening := _FENCE.match(line):
            fence, language = opening.groups()
            if fence[0] == ":":  # a note or the like; blocks may stand in it
                continue
            first = number
            while number < len(lines) and lines[number].strip() != fence:
                number += 1
            yield Block(page, first, language, "".join(f"{text}\n" for text in lines[first:number]), comment)
            number += 1
            comment = ""
        elif line.strip():
            remark = _COMMENT.fullmatch(line.strip())
            comment = remark[1] if remark else ""


def run_blocks(language: str) -> list[Block]:
    """All blocks of a language that are to be run."""
    return [block for page in PAGES for block in blocks(page) if block.language == language and block.is_run]
