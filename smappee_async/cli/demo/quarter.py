"""``demo --sync``: keep a copy of a quarter whose sessions change, through kills, and compare it with the ledger."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from smappee_async.cli.demo.child import SimulatorProcess
from smappee_async.cli.demo.rows import CopiedRow, RowVerdict, copied_rows, counted_changes, judge_rows
from smappee_async.cli.ending import ExitCode, Failure, run_async
from smappee_async.cli.output import Column, Row, TableWriter
from smappee_async.cli.progress import ProgressCallback, progress
from smappee_async.cli.sinks import open_sink
from smappee_async.client import SmappeeClient
from smappee_async.limits import Limits
from smappee_async.sync import SyncReport, sync

_BEGIN: Final = datetime(2026, 7, 1, tzinfo=UTC)
_END: Final = datetime(2026, 10, 1, tzinfo=UTC)
_EVERY: Final = timedelta(hours=12)
#: After so long sessions of every age are read again. Twice, because a removal is certain when two reads have missed
#: the session.
_LAST: Final = (timedelta(days=31), timedelta(days=31))
_SYNCS_A_KILL: Final = 9
_PATIENCE_S: Final = 20.0
_COLUMNS: Final = (
    Column("park", "Park", right=True),
    Column("sessions", "Sessions", right=True),
    Column("ended", "Ended", right=True),
    Column("corrected", "Corrected", right=True),
    Column("vanished", "Vanished", right=True),
    Column("returned", "Returned", right=True),
)


@attrs.frozen(kw_only=True)
class QuarterDemo:
    """The options of the demo; see :class:`smappee_async.cli.demo.show.Demo`."""

    parks: int
    sessions: int
    seed: int
    limits: Limits
    plain: bool


@attrs.define
class _Account:
    syncs: int = 0
    kills: int = 0
    report: SyncReport = attrs.field(factory=SyncReport)


def show_quarter(demo: QuarterDemo) -> ExitCode:
    """Run the demo; it fails if one row of the copy differs from the ledger."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="smappee-demo-") as place:
        path = Path(place) / "sessions.db"
        child = SimulatorProcess(
            parks=demo.parks, sessions=demo.sessions, seed=demo.seed, now=_BEGIN.isoformat(), changes=True
        )
        with child as simulator:
            _tell(
                f"A simulated cloud of {len(simulator.parks)} parks, {_BEGIN:%B} to {_END - _EVERY:%B %Y}, read every"
                f" {_EVERY // timedelta(hours=1)} hours into SQLite. Sessions stay for weeks, come late, settle, are"
                " corrected, moved, removed and opened again; every few syncs the program is killed."
            )
            with progress("Keeping a copy", wanted=not demo.plain) as on_progress:
                account = _keep(simulator, path, demo, on_progress)
            with progress("Comparing with the ledger", wanted=not demo.plain) as on_progress:
                verdicts = _judge_all(simulator, path, on_progress)
        kinds = counted_changes(path)
        rows = copied_rows(path)
    with open_sink(None) as sink:
        table = TableWriter(_COLUMNS, what="parks", colours=sink.is_terminal and not demo.plain, plain=demo.plain)
        table.add(_row(park, rows.get(park, []), kinds.get(park, Counter())) for park in verdicts)
        total = sum(verdicts.values(), RowVerdict())
        sink.write(table.end() + _summary(total, account, time.perf_counter() - started) + "\n")
    for park, verdict in verdicts.items():
        for line in verdict.differences:
            _tell(f"Park {park} differs: {line}")
    return ExitCode.OK if total.is_exact else ExitCode.FAILED


# --- keeping the copy -------------------------------------------------------------------------------------------------


def _keep(simulator: SimulatorProcess, path: Path, demo: QuarterDemo, on_progress: ProgressCallback) -> _Account:
    account, chance = _Account(), random.Random(demo.seed)
    steps = [_EVERY] * ((_END - _BEGIN) // _EVERY) + list(_LAST)
    for number, step in enumerate(steps):
        simulator.move_clock(step)
        if number % _SYNCS_A_KILL == 0 and number < len(steps) - len(_LAST):
            _sync_and_kill(simulator, path, chance.uniform(0.0, 0.03))
            account.kills += 1
        account.report += run_async(_sync(simulator, path, demo.limits))
        account.syncs += 1
        on_progress((number + 1) / len(steps), f"{account.report.new:,} sessions, {account.kills} kills")
    return account


async def _sync(simulator: SimulatorProcess, path: Path, limits: Limits) -> SyncReport:
    async with SmappeeClient(simulator.credentials, base_url=simulator.base_url, proxy=False, limits=limits) as client:
        report = await sync(client, simulator.parks, to=f"sqlite:///{path}", since=_BEGIN)
    if report.failures:
        raise Failure(f"park {report.failures[0].service_location_id} could not be read")
    return report


def _sync_and_kill(simulator: SimulatorProcess, path: Path, after_s: float) -> None:
    """Run the command ``sync``, and kill it a moment after it has begun to write."""
    command = [sys.executable, "-P", "-m", "smappee_async.cli", "sync", *map(str, simulator.parks)]
    command += ["--to", f"sqlite:///{path}", "--since", _BEGIN.date().isoformat()]
    log = path.with_name(f"{path.name}-wal")
    before = _written(log)
    with subprocess.Popen(  # noqa: S603 - this Python, and whole numbers
        command,
        env={**simulator.environment, **simulator.login},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + _PATIENCE_S
        while process.poll() is None and _written(log) == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(after_s)
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))


def _written(path: Path) -> tuple[int, int]:
    """Size and time of a file, which change when it is written."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


# --- the verdict ------------------------------------------------------------------------------------------------------


def _judge_all(simulator: SimulatorProcess, path: Path, on_progress: ProgressCallback) -> dict[int, RowVerdict]:
    rows = copied_rows(path)
    verdicts: dict[int, RowVerdict] = {}
    for number, park in enumerate(simulator.parks):
        on_progress(number / len(simulator.parks), f"park {park}")
        now = _listed(simulator, park, timedelta(0))
        # A session that left both lists since the sync before is not known to be removed yet.
        before = _listed(simulator, park, -_LAST[-1])
        verdicts[park] = judge_rows(rows.get(park, []), now, before.keys())
    return verdicts


def _listed(simulator: SimulatorProcess, park: int, ago: timedelta) -> Mapping[int, Mapping[str, Any]]:
    records = simulator.true_records(park, _BEGIN, ago)
    return {record["id"]: record for record in records}


def _row(park: int, rows: Sequence[CopiedRow], kinds: Counter[str]) -> Row:
    shown = {kind: f"{kinds[kind]:,}" for kind in ("ended", "corrected", "vanished", "returned")}
    return {"park": park, "sessions": f"{len(rows):,}", **shown}


def _summary(total: RowVerdict, account: _Account, seconds: float) -> str:
    """The line that sums up the demo."""
    parts = [
        f"ledger {total.listed:,}",
        f"copy {total.rows:,}",
        f"lost {total.lost:,}",
        f"stale {total.stale:,}",
        f"not removed {total.not_removed:,}",
        f"syncs {account.syncs:,}",
        f"kills {account.kills:,}",
        f"requests {account.report.requests:,}",
        f"seconds {seconds:.1f}",
    ]
    end = "every row agrees" if total.is_exact else "ROWS DIFFER"
    return f"Account: {', '.join(parts)}: {end}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
