"""The chart of the README: ``python -m benchmarks.speed.chart results.json results.svg`` draws a saved run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import attrs

from benchmarks.speed.result import RunResult

_WIDTH, _MARGIN, _LABELS, _VALUES = 760, 16, 240, 70
_BARS: Final = _WIDTH - 2 * _MARGIN - _LABELS - _VALUES
_HEADING, _LINE, _GAP = 48, 26, 22
#: Readable on white and on black, and by people who cannot tell red from green.
_STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.note { fill: #59636e; font-size: 12px }
.ours { fill: #0969da }
.other { fill: #b1bac4 }
text.ours { fill: #0969da; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note { fill: #9198a1 }
  .ours { fill: #4493f8 }
  .other { fill: #59636e }
  text.ours { fill: #4493f8 }
}
"""


@attrs.frozen
class _Bar:
    """One bar.

    :param row: the row of the table that holds its value; ``None`` for the bar that the others are compared with.
    """

    label: str
    row: str | None
    is_ours: bool = False


@attrs.frozen
class _Panel:
    """Bars of one scale.

    :param part: the part of the benchmarks that their rows belong to.
    """

    title: str
    note: str
    part: str
    unit: str
    bars: Sequence[_Bar]

    @property
    def height(self) -> int:
        """In pixels."""
        return _HEADING + _LINE * len(self.bars)


_OURS: Final = _Bar("smappee_async", None, is_ours=True)
_PANELS: Final = (
    _Panel(
        "From bytes to records",
        "CPU time a record, in batches of 500; smappee_async = 1",
        "structuring",
        "\N{MULTIPLICATION SIGN}",
        (
            _OURS,
            _Bar("pydantic v2", "batches of 500: pydantic v2 ÷ ours"),
            _Bar("mashumaro", "batches of 500: mashumaro ÷ ours"),
            _Bar("a strict loop by hand", "batches of 500: strict loop by hand ÷ ours"),
            _Bar("cattrs as it comes", "batches of 500: cattrs as it comes ÷ ours"),
        ),
    ),
    _Panel(
        "From parks to sessions",
        "CPU time of the client for a month of 60 parks, 500 sessions each; smappee_async = 1",
        "fanout",
        "\N{MULTIPLICATION SIGN}",
        (
            _OURS,
            _Bar("httpx and pydantic", "60 parks of 500 sessions: httpx loop + pydantic ÷ ours, CPU"),
            _Bar("dlt's REST source", "60 parks of 500 sessions: dlt's REST source ÷ ours, CPU"),
        ),
    ),
    _Panel(
        "Requests",
        "for five years of 90 home chargers, 9 offices and a hub of 5,000 sessions a day; smappee_async = 1",
        "planner",
        "\N{MULTIPLICATION SIGN}",
        (
            _OURS,
            _Bar("month by month, responses of 152,000", "mixture, even: requests of fixed months ÷ ours"),
            _Bar("week by week, responses of 35,000", "mixture, even: requests of fixed weeks ÷ ours"),
            _Bar("19 hours each, responses of 4,000", "mixture, even: requests of 19 h steps, as bounded, ÷ ours"),
        ),
    ),
    _Panel(
        "Longest stall of the event loop",
        "while a response of 50,000 sessions is read",
        "host",
        " ms",
        (
            _Bar("smappee_async", "1,000,000 sessions: longest stall", is_ours=True),
            _Bar("json.loads and pydantic", "json.loads + pydantic of 50,000: longest stall"),
        ),
    ),
)


def draw(result: RunResult) -> str:
    """The chart as SVG."""
    height = _MARGIN + sum(panel.height + _GAP for panel in _PANELS) + _LINE
    body = "\n".join(_body(result))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'role="img" aria-label="How smappee_async compares">\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def _body(result: RunResult) -> Iterator[str]:
    top = _MARGIN
    for panel in _PANELS:
        rows = {row.name: row.value for row in result.parts[panel.part].rows}
        yield from _panel(panel, rows, top)
        top += panel.height + _GAP
    yield _text(_MARGIN, top + 12, f"Shorter is better. {result.machine}, CPython {result.python}.", "note")


def _panel(panel: _Panel, rows: Mapping[str, float], top: int) -> Iterator[str]:
    values = [1.0 if bar.row is None else rows[bar.row] for bar in panel.bars]
    yield _text(_MARGIN, top + 14, panel.title, "title")
    yield _text(_MARGIN, top + 33, panel.note, "note")
    for number, (bar, value) in enumerate(zip(panel.bars, values, strict=True)):
        y = top + _HEADING + number * _LINE
        length = max(2.0, _BARS * value / max(values))
        kind = "ours" if bar.is_ours else "other"
        yield _text(_MARGIN, y + 14, bar.label, "ours" if bar.is_ours else "")
        yield f'<rect class="{kind}" x="{_MARGIN + _LABELS}" y="{y}" width="{length:.1f}" height="19" rx="3"/>'
        yield _text(_MARGIN + _LABELS + length + 8, y + 14, f"{_number(value)}{panel.unit}", "")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 1 else f"{value:.1f}"


def _text(x: float, y: float, text: str, kind: str) -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{of_kind}>{escape(text)}</text>'


if __name__ == "__main__":
    found, drawn = map(Path, sys.argv[1:])
    drawn.write_text(draw(RunResult.load(found)), encoding="utf-8")
