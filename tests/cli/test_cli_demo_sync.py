"""``smappee-async demo --sync``: the copy agrees with the ledger, and a difference is found."""

from __future__ import annotations

import re

import pytest

from smappee_async.cli.demo.rows import CopiedRow, RowVerdict, judge_rows

from .harness import Run

ACCOUNT = re.compile(
    r"Account: ledger ([\d,]+), copy ([\d,]+), lost 0, stale 0, not removed 0, syncs (\d+), kills (\d+), "
    r"requests ([\d,]+), seconds [\d.]+: every row agrees"
)


def test_the_copy_agrees_with_the_ledger_after_changes_and_kills(run: Run) -> None:
    ended = run("demo", "--sync", "--parks", 2, "--sessions", 900)
    *table, account = ended.out.splitlines()
    found = ACCOUNT.fullmatch(account)
    assert (ended.code, found is not None) == (0, True), ended.out + ended.err
    assert found is not None
    assert [int(found[number]) for number in (3, 4)] == [186, 21]
    assert any(re.match(r"\s+10001(\s+[\d,]+){5}", line) for line in table)
    assert "differs" not in ended.err


RECORD = {"id": 7, "energy": 20.0}


@pytest.mark.parametrize(
    ("rows", "listed", "listed_before", "expected"),
    [
        pytest.param([CopiedRow(RECORD, False)], {7: RECORD}, {7}, RowVerdict(1, 1), id="the same"),
        pytest.param([], {7: RECORD}, set(), RowVerdict(1, 0, lost=1), id="lost"),
        pytest.param([CopiedRow(RECORD, True)], {7: RECORD}, {7}, RowVerdict(1, 0, lost=1), id="marked as vanished"),
        pytest.param(
            [CopiedRow(RECORD, False)], {7: {**RECORD, "energy": 21.0}}, {7}, RowVerdict(1, 1, stale=1), id="stale"
        ),
        pytest.param([CopiedRow(RECORD, False)], {}, set(), RowVerdict(0, 1, not_removed=1), id="not removed"),
        pytest.param([CopiedRow(RECORD, False)], {}, {7}, RowVerdict(0, 1), id="listed at the sync before"),
        pytest.param([CopiedRow(RECORD, True)], {}, set(), RowVerdict(0, 0), id="removed"),
    ],
)
def test_a_difference_is_found(
    rows: list[CopiedRow], listed: dict[int, dict[str, object]], listed_before: set[int], expected: RowVerdict
) -> None:
    verdict = judge_rows(rows, listed, listed_before)
    assert RowVerdict(verdict.listed, verdict.rows, verdict.lost, verdict.stale, verdict.not_removed) == expected
    assert verdict.is_exact == (not verdict.differences)
