from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from .harness import Cloud, Run


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])
    finally:
        connection.close()


def arguments(cloud: Cloud, path: Path) -> list[str]:
    return ["sync", *map(str, cloud.parks[:2]), "--to", f"sqlite:///{path}", "--since", "2026-09-01"]


def test_the_account_is_one_line(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = call(*arguments(cloud, tmp_path / "copy.db"))

    assert ended.code == 0
    new = re.fullmatch(
        r"parks 2, new ([\d,]+), changed 0, ended 0, vanished 0, returned 0, unchanged 0, requests \d+\n", ended.out
    )
    assert new is not None
    assert int(new[1].replace(",", "")) == count(tmp_path / "copy.db")


def test_a_second_run_writes_only_what_changed(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    call(*arguments(cloud, tmp_path / "copy.db"))

    ended = call(*arguments(cloud, tmp_path / "copy.db"))

    assert ended.code == 0
    assert ended.out.startswith("parks 2, new 0, changed 0, ended 0, ")


def test_a_park_that_cannot_be_read_is_named(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    command = arguments(cloud, tmp_path / "copy.db")
    command.insert(1, "4711")

    ended = call(*command)

    assert ended.code == 3
    assert "missing: park 4711: Smappee answered 404 Not Found" in ended.err
    assert ended.out.startswith("parks 2, ")


def test_a_place_that_is_not_known_is_a_usage_error(call: Run, cloud: Cloud) -> None:
    ended = call("sync", str(cloud.parks[0]), "--to", "copy.db", "--since", "2026-09-01")
    assert (ended.code, ended.out) == (2, "")
    assert "sqlite:///" in ended.err


def test_a_file_that_cannot_be_made_is_an_error_with_advice(call: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = call(*arguments(cloud, tmp_path / "nowhere" / "copy.db"))
    assert ended.code == 1
    assert "may write to" in ended.err
