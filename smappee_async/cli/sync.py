"""``smappee-async sync``: brings a copy of sessions up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smappee_async.cli.copying import failed
from smappee_async.cli.ending import ExitCode, reason, run_async, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.cli.progress import progress
from smappee_async.limits import Limits
from smappee_async.sync import RfidChoice, SyncProgress, SyncReport, sync


def show_sync(
    login_options: LoginOptions, parks: Sequence[int], to: str, since: datetime, rfid: RfidChoice, limits: Limits
) -> ExitCode:
    """Bring the copy up to date, and print the account."""
    with progress("Sync") as on_progress:

        def show(done: SyncProgress) -> None:
            on_progress(done.parks / done.of_parks, f"{done.sessions:,} sessions")

        async def main() -> SyncReport:
            async with await login_options.client(limits) as client:
                return await sync(client, parks, to=to, since=since, rfid=rfid, on_progress=show)

        report = run_async(main())
    print(account(report))
    missing = failed(report.failures)
    missing += [
        f"a record of park {each.error.facts.service_location_id}: {reason(each.error)}" for each in report.invalid
    ]
    return tell_missing(missing)


def account(report: SyncReport) -> str:
    """The account in one line."""
    counts = {
        "parks": report.parks,
        "new": report.new,
        "changed": report.changed,
        "ended": report.ended,
        "vanished": report.vanished,
        "returned": report.returned,
        "unchanged": report.unchanged,
        "requests": report.requests,
    }
    if report.superseded:
        counts["superseded"] = report.superseded
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
