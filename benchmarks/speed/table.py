"""The table that is printed."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.speed.result import Row, RunResult

_HEADINGS = ("what", "median", "spread", "goal", "")
_VERDICTS = {None: "", True: "met", False: "MISSED"}


def lines(result: RunResult) -> Iterator[str]:
    """The result of a run, line by line."""
    cells = [
        (name, [_cells(row) for row in part.rows] + [_count_cells(*count) for count in part.counts.items()])
        for name, part in result.parts.items()
    ]
    rows = [row for _, part in cells for row in part]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    yield f"{result.machine}, Python {result.python}" + (", quick: the figures mean nothing" if result.quick else "")
    yield _line(_HEADINGS, widths)
    for name, part in cells:
        yield f"--- {name}, {result.parts[name].seconds:.0f} s "
        for row in part:
            yield _line(row, widths)


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.low is None or row.high is None else f"{_number(row.low)} … {_number(row.high)}"
    goal = "" if row.goal is None else str(row.goal)
    return (row.name, f"{_number(row.value)} {row.unit}".rstrip(), spread, goal, _VERDICTS[row.is_met])


def _count_cells(name: str, value: float) -> tuple[str, ...]:
    return (f"count: {name}", _number(value), "", "", "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 or value == int(value) else f"{value:.3g}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    what, *others = (
        cell.ljust(width) if number in (0, 4) else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([what, *others]).rstrip()
