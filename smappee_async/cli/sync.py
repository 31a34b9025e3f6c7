"""``smappee-async sync``: brings a copy of sessions up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smappee_async.cli.copying import counts_line, failed, sync_progress
from smappee_async.cli.ending import ExitCode, reason, run_async, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.limits import Limits
from smappee_async.sync import RfidChoice, SyncReport, sync


def show_sync(
    login_options: LoginOptions, parks: Sequence[int], to: str, since: datetime, rfid: RfidChoice, limits: Limits
) -> ExitCode:
    """Bring the copy up to date, and print the account."""
    with sync_progress("Sync") as on_progress:

        async def main() -> SyncReport:
            async with await login_options.client(limits) as client:
                return await sync(client, parks, to=to, since=since, rfid=rfid, on_progress=on_progress)

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
    return counts_line(counts)
