"""Draws the floors of the package: ``python docs/explanation/floors.py`` writes ``floors.svg`` beside this file.

The picture has a background of its own, so that it can be read on a light page and on a dark one.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

PICTURE: Final = Path(__file__).with_name("floors.svg")

#: From the top to the bottom. The modules of one floor do not import each other, but for the packages' own insides.
FLOORS: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (("cli", "the command: a process with signals, files and exit codes"),),
    (("doctor", "what is assumed of the service, checked"),),
    (
        ("testing", "fixtures"),
        ("telemetry", "spans and metrics"),
        ("dlt", "sessions for dlt"),
        ("spark", "for Spark"),
    ),
    (("sync", "a copy that stays right"), ("export", "sessions as files"), ("distributed", "many workers")),
    (("client", "SmappeeClient: opens, closes, makes streams"),),
    (("query", "plans chunks, reads them, selects sessions, hands them over"),),
    (("transport", "one call: gate, attempt, retry"), ("auth", "tokens"), ("tables", "sessions as columns")),
    (("protocol", "requests as values; responses to records; no I/O"), ("report", "sums")),
    (("models", "the records that come out"),),
    (("events", "what a client tells its host"), ("limits", "how much at once, how often again")),
    (
        ("timerange", "half-open ranges, and their algebra"),
        ("rfid", "what becomes of a card"),
        ("redis_link", "one client"),
    ),
    (("errors", "one tree"), ("secret", "shows nothing"), ("defaults", "the numbers")),
)
#: Imports nothing of the package, and only ``cli`` and ``testing`` import it.
APART: Final = ("simulator", "Smappee's cloud in a box")

_WIDTH, _ROW, _GAP, _EDGE, _SIDE = 880, 50, 8, 16, 172
_INK, _QUIET, _PAPER, _BOX, _LINE, _OTHER = "#16324f", "#4a6076", "#f4f7fa", "#ffffff", "#8fa6bd", "#fff6e0"


def drawing() -> str:
    """The picture as SVG."""
    height = 2 * _EDGE + len(FLOORS) * (_ROW + _GAP) - _GAP
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui, sans-serif">',
        "<title>The floors of smappee_async</title>",
        "<desc>Each floor imports only from floors below it. "
        + escape("; ".join(", ".join(name for name, _ in floor) for floor in FLOORS))
        + ". The simulator stands apart.</desc>",
        f'<rect width="{_WIDTH}" height="{height}" rx="10" fill="{_PAPER}"/>',
    ]
    inner = _WIDTH - 3 * _EDGE - _SIDE
    for row, floor in enumerate(FLOORS):
        top = _EDGE + row * (_ROW + _GAP)
        width = (inner - _GAP * (len(floor) - 1)) / len(floor)
        for column, (name, text) in enumerate(floor):
            lines += _box(_EDGE + column * (width + _GAP), top, width, _ROW, _BOX, name, text)
    lines += _box(_WIDTH - _EDGE - _SIDE, _EDGE, _SIDE, height - 2 * _EDGE, _OTHER, *APART)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _box(left: float, top: float, width: float, height: float, fill: str, name: str, text: str) -> list[str]:
    middle, centre = top + height / 2, left + width / 2
    return [
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" stroke="{_LINE}"/>',
        _text(centre, middle - 4, f'font-size="15" font-weight="600" fill="{_INK}"', name),
        _text(centre, middle + 14, f'font-size="12" fill="{_QUIET}"', text),
    ]


def _text(centre: float, base: float, style: str, text: str) -> str:
    return f'<text x="{centre:g}" y="{base:g}" text-anchor="middle" {style}>{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
