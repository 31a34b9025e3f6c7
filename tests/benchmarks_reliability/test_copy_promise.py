"""The program that compares copies with what the service listed: that it agrees, and that it finds mistakes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs
import pytest

from benchmarks.reliability import copy_promise
from benchmarks.reliability.copy_promise import QUICK, Run, Tally, world_of
from benchmarks.reliability.copying import Copying, Ours, Write
from smappee_async.sync import Tier, visitor
from smappee_async.sync.state import ParkState
from smappee_async.sync.visit import MARGIN_MS, Window, window


def tally_of(copying: Copying) -> Tally:
    return asyncio.run(Run(QUICK, copying, world_of(QUICK)).run())


def test_the_copy_keeps_its_promise_and_bookmarks_lose_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    assert copy_promise.main(["--quick", "--worlds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "all of it met"
    lost = {line[:45].strip(): int(line[45:53].replace(",", "")) for line in lines[2:-2]}
    assert lost["smappee_async.sync"] == 0
    assert lost["one bookmark for all parks"] > lost["a bookmark per park, active and completed"] > 0


def test_a_window_that_is_measured_from_now_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_now(state: ParkState, tiers: Sequence[Tier], now_ms: int) -> Window:
        right = window(state, tiers, now_ms)
        ages_ms = [tiers[number].age_ms for number in right.tiers]
        return attrs.evolve(right, start_ms=max(state.since_ms, now_ms - max(ages_ms, default=0) - MARGIN_MS))

    monkeypatch.setattr(visitor, "window", from_now)
    assert not tally_of(Ours()).keeps_its_promise


def test_a_copy_that_forgets_what_runs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "to_ask_for", lambda *_: {})
    assert not tally_of(Ours()).keeps_its_promise


@pytest.mark.parametrize("what", ["lost", "stale", "not_removed"])
def test_each_kind_of_mistake_is_counted(what: str) -> None:
    class Wrong(Ours):
        async def sync(self, source, parks, since_ms):  # type: ignore[no-untyped-def]
            writes = await super().sync(source, parks, since_ms)
            return [write for write in writes if not self._is_dropped(write)]

        def _is_dropped(self, write: Write) -> bool:
            match what:
                case "lost":
                    return write.id % 10 == 0
                case "stale":
                    return write.session is not None and write.session.to_ms is not None and write.id % 10 == 0
                case _:
                    return write.session is None

    assert getattr(tally_of(Wrong()), what) > 0
