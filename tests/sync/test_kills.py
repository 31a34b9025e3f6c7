"""Syncs that are killed at every point of their transactions: ``benchmarks.reliability.store_kills``, made small."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from benchmarks.reliability.store_kills import Account, Killer, Kills, killed_postgresql, killed_sqlite
from smappee_async.sync import Commit, SqliteStore

from .postgresql_server import Database

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def killed(make, kills: int = 24) -> Account:  # type: ignore[no-untyped-def]
    return Kills(make, seed=3, parks=2, sessions=6_000).run(kills)


def test_nothing_is_lost_and_nothing_comes_twice_in_sqlite(tmp_path: Path) -> None:
    account = killed(killed_sqlite(tmp_path / "copy.db"))
    assert account.is_exact, account
    assert (account.kills, len(account.points) > 10, account.events > 50) == (24, True, True)


def test_nothing_is_lost_and_nothing_comes_twice_in_postgresql(database: Database) -> None:
    account = killed(killed_postgresql(database.url))
    assert account.is_exact, account
    assert (account.kills, len(account.points) > 10, account.events > 50) == (24, True, True)


class Careless(SqliteStore):
    """Writes what it remembers in one transaction, and the sessions in the next."""

    def __init__(self, path: Path, killer: Killer) -> None:
        super().__init__(path)
        self._killer = killer

    def _open(self) -> None:
        super()._open()
        self._opened().set_trace_callback(self._killer)

    def _commit(self, commit: Commit) -> bool:
        if not super()._commit(attrs.evolve(commit, changes=())):
            return False
        for change in commit.changes:
            self._write(self._opened(), change, is_logged=commit.is_logged)
        return True


def test_a_store_that_writes_its_state_apart_is_found_out(tmp_path: Path) -> None:
    account = killed(lambda killer: Careless(tmp_path / "copy.db", killer))
    assert account.lost > 0
