"""``smappee-async verify``: reads a month whole, and lists what differs."""

from __future__ import annotations

from collections.abc import Iterator

from smappee_async.cli.copying import counts_line, failed, sync_progress
from smappee_async.cli.ending import ExitCode, run_async, tell_missing
from smappee_async.cli.login import LoginOptions
from smappee_async.limits import Limits
from smappee_async.sync import RfidChoice, SessionEvent, VerifyReport, verify


def show_verify(
    login_options: LoginOptions, month: str, zone: str, to: str, rfid: RfidChoice, limits: Limits
) -> ExitCode:
    """Verify a month, and print a line for each park and each difference."""
    with sync_progress("Verify") as on_progress:

        async def main() -> VerifyReport:
            async with await login_options.client(limits) as client:
                return await verify(client, month, to=to, tz=zone, rfid=rfid, on_progress=on_progress)

        report = run_async(main())
    for line in lines(report):
        print(line)
    missing = failed(report.failures)
    missing += [f"park {park}: another program wrote to the copy meanwhile" for park in report.superseded]
    return tell_missing(missing)


def lines(report: VerifyReport) -> Iterator[str]:
    """The account: each park with its differences, and all of them in one line."""
    for park in report.parks:
        state = "unchanged" if park.is_unchanged else "changed"
        if park.is_first:
            state = f"verified, {'as the copy' if park.is_unchanged else 'the copy differed'}"
        yield f"park {park.service_location_id}: {park.sessions:,} sessions, {state}, digest {park.digest}"
        yield from (f"  {difference(change)}" for change in park.changes)
        yield from (f"  session {number}: in the copy, but not listed" for number in park.missing)
        yield from (f"  session {number}: still runs" for number in park.running)
    counts = {
        "parks": len(report.parks),
        "sessions": sum(park.sessions for park in report.parks),
        "changed": sum(len(park.changes) for park in report.parks),
        "missing": sum(len(park.missing) for park in report.parks),
        "running": sum(len(park.running) for park in report.parks),
        "requests": report.requests,
    }
    yield counts_line(counts)


def difference(event: SessionEvent) -> str:
    """A change in one line: what was, and what is."""
    kwh = [None if each is None else each.energy_kwh for each in (event.before, event.after)]
    energy = "" if kwh[0] == kwh[1] else f", kWh {_text(kwh[0])} -> {_text(kwh[1])}"
    return f"session {event.session.id}: {event.kind} at {event.at:%Y-%m-%d %H:%M}Z{energy}"


def _text(value: object) -> str:
    return "-" if value is None else str(value)
