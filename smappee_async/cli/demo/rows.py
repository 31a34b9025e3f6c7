"""Compares the rows of a copy with the ledger: every column of every row."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from smappee_async.simulator.wire_fields import wire_record
from smappee_async.sync.stores.rows import session_of

_MOST_LINES: Final = 5


@attrs.frozen
class CopiedRow:
    """A row of the copy: the record that it stands for, and whether it is marked as no longer listed."""

    record: Mapping[str, Any]
    is_vanished: bool


@attrs.frozen
class RowVerdict:
    """How the copy of one park, or of several, differs from the ledger."""

    listed: int = 0
    """Sessions that the service lists."""
    rows: int = 0
    """Rows of the copy that are not marked as vanished."""
    lost: int = 0
    """Listed, but not in the copy, or marked as vanished."""
    stale: int = 0
    """In the copy with other values."""
    not_removed: int = 0
    """In the copy, but not listed, now and at the sync before."""
    differences: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        return not (self.lost or self.stale or self.not_removed)

    def __add__(self, other: RowVerdict) -> RowVerdict:
        return RowVerdict(
            *(mine + theirs for mine, theirs in zip(attrs.astuple(self), attrs.astuple(other), strict=True))
        )


def judge_rows(
    rows: Sequence[CopiedRow], listed: Mapping[int, Mapping[str, Any]], listed_before: Collection[int]
) -> RowVerdict:
    """Compare the copy of one park with the ledger.

    :param listed: the records of the ledger by id.
    :param listed_before: the ids that were listed at the sync before.
    """
    copied = {row.record["id"]: row.record for row in rows if not row.is_vanished}
    lost = sorted(listed.keys() - copied.keys())
    stale = sorted(number for number in listed.keys() & copied.keys() if dict(copied[number]) != dict(listed[number]))
    strange = sorted(copied.keys() - listed.keys() - set(listed_before))
    return RowVerdict(
        listed=len(listed),
        rows=len(copied),
        lost=len(lost),
        stale=len(stale),
        not_removed=len(strange),
        differences=tuple(_lines("lost", lost)) + tuple(_lines("stale", stale)) + tuple(_lines("not removed", strange)),
    )


def copied_rows(path: Path) -> dict[int, list[CopiedRow]]:
    """All rows of the copy, by park."""
    rows: dict[int, list[CopiedRow]] = defaultdict(list)
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM sessions"):
            record = wire_record(session_of(row))
            rows[row["service_location_id"]].append(CopiedRow(record, row["vanished_at"] is not None))
    return rows


def counted_changes(path: Path) -> dict[int, Counter[str]]:
    """How many changes of each kind the copy has noted, by park."""
    kinds: dict[int, Counter[str]] = defaultdict(Counter)
    with closing(sqlite3.connect(path)) as connection:
        statement = "SELECT service_location_id, kind, count(*) FROM session_changes GROUP BY 1, 2"
        for park, kind, count in connection.execute(statement):
            kinds[park][kind] = count
    return kinds


def _lines(what: str, numbers: Sequence[int]) -> Iterator[str]:
    yield from (f"session {number} {what}" for number in numbers[:_MOST_LINES])
    if len(numbers) > _MOST_LINES:
        yield f"{len(numbers) - _MOST_LINES:,} more {what}"
